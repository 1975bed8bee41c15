"""A separate process that measures exported files.

The process imports TensorFlow only to run a SavedModel, and never imports Keras itself. `measure` starts the process,
which reads the object `{"format", "files": {name: path}, "pixels", "threads", "seconds", "output"}` from a JSON file.
It writes the outputs of each exported file to `output`, an `.npz` file, and the times in milliseconds to `output` +
`.json`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.exporters.runtimes import open_runtime


def measure(files, format, pixels, threads=(1, 2), seconds=2.0):
    """Run exported files on images in a fresh process.

    Args:
        files: Dict that maps names, such as quantizations, to paths of exported files.
        format: Format of all files, such as `"litert"`.
        pixels: Images to run the files on, uint8 array `(n, height, width, channels)`.
        threads: Thread counts with which to time each file. Defaults to `(1, 2)`.
        seconds: Seconds of timing for each combination of file and number of threads. Defaults to 2.

    Returns:
        `(answers, milliseconds, errors)`, three dicts with the names of `files` as keys. `answers` has the outputs of
        each file, float32 arrays `(n, outputs)`. `milliseconds` has dicts that map each number of threads to the median
        time per call, which is the time per image if the file takes one image per call. `errors` has the reason for
        each file that could not be run.

    Raises:
        InputError: No file can be run, or a file crashes the process.
    """
    with tempfile.TemporaryDirectory(prefix="tlkeras-") as folder:
        output = Path(folder, "answers.npz")
        np.save(Path(folder, "pixels.npy"), pixels)
        paths = {name: str(path) for name, path in files.items()}
        spec = {"format": format, "files": paths, "threads": list(threads), "seconds": seconds}
        spec |= {"pixels": str(Path(folder, "pixels.npy")), "output": str(output)}
        Path(folder, "spec.json").write_text(json.dumps(spec))
        command = [sys.executable, "-m", "tlkeras.exporters.measuring_process", str(Path(folder, "spec.json"))]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
        if done.returncode or not output.is_file():
            reason = (done.stderr.strip().splitlines() or [f"the process exited with status {done.returncode}"])[-1]
            raise InputError(f"The exported file cannot be run: {reason}")
        with np.load(output) as answers:
            answers = {name: answers[name] for name in paths if name in answers}
        found = json.loads(Path(f"{output}.json").read_text())
    if not answers:
        raise InputError(f"The exported file cannot be run: {next(iter(found['errors'].values()))}")
    times = {name: {int(count): ms for count, ms in found["times"][name].items()} for name in answers}
    return answers, times, found["errors"]


def _main(path):
    """Measure the files in a JSON specification, and write the results."""
    spec = json.loads(Path(path).read_text())
    pixels = np.load(spec["pixels"], mmap_mode="r")
    times, answers, errors = {name: {} for name in spec["files"]}, {}, {}
    for count in spec["threads"]:
        runtimes = {}
        for name in set(spec["files"]) - set(errors):
            try:
                runtimes[name] = open_runtime(spec["files"][name], spec["format"], count)
                if name not in answers:
                    answers[name] = runtimes[name](pixels)
            except Exception as error:  # each runtime has its own exception types
                errors[name] = first_line(error)
                runtimes.pop(name, None)
        for name, milliseconds in _times(runtimes, pixels, spec["seconds"]).items():
            times[name][count] = milliseconds
    loaded = {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
    if loaded and spec["format"] != "saved_model":  # TensorFlow itself imports Keras
        sys.exit(f"{sorted(loaded)} was imported")
    Path(f"{spec['output']}.json").write_text(json.dumps({"times": times, "errors": errors}))
    np.savez(spec["output"], **answers)


def _times(runtimes, pixels, seconds):
    """Measure the median time per call, alternating between files so that background load affects all files equally."""
    calls = {name: np.ascontiguousarray(np.resize(pixels[0], (runtime.batch or 1, *runtime.image_shape)))
             for name, runtime in runtimes.items()}  # fmt: skip
    taken = {name: [] for name in runtimes}
    for name, runtime in runtimes.items():
        runtime.run(calls[name])
    end = perf_counter() + seconds * len(runtimes)
    while taken and (perf_counter() < end or min(map(len, taken.values())) < 5):
        for name, runtime in runtimes.items():
            start = perf_counter()
            runtime.run(calls[name])
            taken[name].append(perf_counter() - start)
    return {name: round(float(np.median(values)) * 1e3, 3) for name, values in taken.items()}


if __name__ == "__main__":
    _main(sys.argv[1])
