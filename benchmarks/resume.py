"""Does a killed `tlkeras fit --resume` end with the numbers of an uninterrupted run?

One run is left alone. Then runs of the same call are killed by SIGKILL after random times, resumed, killed again, and
finally left alone; their metrics must be equal to the digit, times aside. Before each resumption, the output folder is
absent or whole. The table counts the kills by the phase that they came in, according to the log. Features are kept with
the unfinished run only, so that a killed run has to compute them.

Run: python benchmarks/resume.py [--kills 30] [--strategy features finetune]
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

#: The phase that comes after the last one in the log.
NEXT = {None: "loading", "load": "features or probe of fine_tune", "features": "probe", "probe": "folding or writing"}


def command(options, strategy, output):
    """Return the call whose runs are compared."""
    limits = ["--per-class", str(options.per_class), "--image-size", str(options.image_size), "--epochs", "2"]
    fit = ["fit", str(options.data), "-o", str(output), "--strategy", strategy, *limits, "--seed", "0"]
    return [sys.executable, "-m", "tlkeras", *fit, "--resume", "--quiet"]


def metrics(output):
    """Return the metrics of a run but for times."""
    return json.loads((output / "metrics.json").read_text()) | {"seconds": None}


def phase_of_the_kill(output, started):
    """Name the phase that a killed run was in: the one after the last line that this process wrote to its log."""
    if (output / "metrics.json").exists():
        return "cleaning up"
    path = output.with_name(f".{output.name}.unfinished") / "log.jsonl"
    if not path.exists() or path.stat().st_mtime < started:
        return NEXT[None]
    last = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")][-1]
    stage = f" ({last['stage']})" if "stage" in last else ""
    return NEXT.get(last["phase"], f"after {last['phase']}{stage}")


def run_and_kill(options, strategy, output, seconds):
    """Run the call and kill it after some seconds; return the phase it was in, or None if it ended before."""
    started = time.time()
    process = subprocess.Popen(command(options, strategy, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not output.exists() or metrics(output), "half-written run"
        return phase_of_the_kill(output, started)
    assert process.returncode == 0, f"exit status {process.returncode}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--strategy", nargs="+", default=["features", "finetune"])
    parser.add_argument("--data", type=Path, default=Path("data/clipart10"))
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=64)
    options = parser.parse_args()
    os.environ["TLKERAS_CACHE"] = "off"
    draw = random.Random(0)
    folder = Path(tempfile.mkdtemp())
    for strategy in options.strategy:
        start = time.perf_counter()
        subprocess.run(command(options, strategy, folder / "whole"), check=True, capture_output=True)
        whole, expected = time.perf_counter() - start, metrics(folder / "whole")
        kills, runs, different = Counter(), 0, 0
        while kills.total() < options.kills:
            output = folder / "killed"
            # Keras takes about a third of the time of a small run to load; little of interest can be killed there.
            while phase := run_and_kill(options, strategy, output, draw.uniform(0.3, 1.05) * whole):
                kills[phase] += 1
            runs, different = runs + 1, different + (metrics(output) != expected)
            print(f"{strategy}: {kills.total()} kills, {different} of {runs} resumed runs differ", flush=True)
            shutil.rmtree(output)
        for phase, count in kills.most_common():
            print(f"{strategy}: {count:>3} kills in: {phase}", flush=True)
        shutil.rmtree(folder / "whole")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
