"""Write one model in several quantizations, run each file in a fresh process, and compare its outputs with Keras."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from tlkeras.errors import InputError
from tlkeras.exporters.measuring_process import measure
from tlkeras.exporters.runtimes import side_by_side
from tlkeras.exporters.verification import compare


@dataclass
class Candidates:
    """Exported files and their measurements.

    Attributes:
        files: Dict that maps each quantization to the path of its file.
        refused: Dict that maps each quantization that could not be written or run to the reason.
        tools: Dict that maps the name of each tool that wrote a file to the tool's version.
        measured: Dict that maps each quantization to a dict with the results of `compare`, the file's size in `bytes`,
            and `milliseconds`, a dict that maps each number of threads to a time.
    """

    files: dict[str, Path]
    refused: dict[str, str]
    tools: dict[str, str]
    measured: dict[str, dict]


def measure_candidates(subject, format, quantizations, batch, folder, threads=(1, 2), seconds=1.0):
    """Write a model in several quantizations, and measure each file.

    Args:
        subject: `tlkeras.exporters.subject.Subject` to export.
        format: Format of all files, such as `"litert"`.
        quantizations: Names of the quantizations to write, a tuple.
        batch: Images per call, or None for any number.
        folder: Output folder, `pathlib.Path`.
        threads: Thread counts with which to time each file. Defaults to `(1, 2)`.
        seconds: Seconds of timing for each combination of file and number of threads. Defaults to 1.

    Returns:
        `Candidates`.

    Raises:
        InputError: The model cannot be exported in this format, or the exported file cannot be run.
    """
    wanted, refused = list(quantizations), {}
    if not len(subject.calibration):
        why = "calibration needs images; pass `images`"
        refused = {name: why for name in wanted if name in ("int8", "full_int8")}
        wanted = [name for name in wanted if name not in refused]
    if "full_int8" in wanted and "unknown_threshold" in subject.labels:
        refused["full_int8"] = "its unknown score needs floating point"
        wanted.remove("full_int8")
    write = writer_of(format).write
    files, more, tools = write(subject.model, folder, batch, tuple(wanted), subject.calibration)
    refused |= more
    answers, times, errors = measure(files, format, subject.pixels, threads, seconds)
    expected = side_by_side(subject.model.predict(subject.pixels, batch_size=32, verbose=0)).astype("float32")
    refused |= errors
    files = {name: path for name, path in files.items() if name in answers}
    measured = {}
    for name, path in files.items():
        measured[name] = compare(answers[name], expected, subject)
        measured[name] |= {"bytes": size_of(path), "milliseconds": times[name]}
    return Candidates(files, refused, tools, measured)


def size_of(path):
    """Return the size, in bytes, of a folder or of an exported file with its separate weights file, if any."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    weights = path.with_suffix(".bin")
    return path.stat().st_size + (weights.stat().st_size if path.suffix == ".xml" and weights.is_file() else 0)


def writer_of(format):
    """Return the module that writes files of a format."""
    return importlib.import_module(f"tlkeras.exporters.{format}")


def refusal(name, candidates, format):
    """Build the error for a requested quantization that could not be written."""
    return InputError(f"This model cannot be exported to {format} with quantize={name!r}: {candidates.refused[name]}.")
