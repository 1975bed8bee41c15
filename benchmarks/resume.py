"""Does a killed `tlkeras fit --resume` end with the numbers of an uninterrupted run?

One run is left alone. Then runs of the same call are killed by SIGKILL after random times, resumed, killed again, and
finally left alone; their metrics must be equal to the digit, times aside. Before each resumption, the output folder is
absent or whole.

Run: python benchmarks/resume.py [--kills 30] [--strategy features finetune]
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(options, strategy, output):
    """Return the call whose runs are compared."""
    limits = ["--per-class", str(options.per_class), "--image-size", str(options.image_size), "--epochs", "2"]
    fit = ["fit", str(options.data), "-o", str(output), "--strategy", strategy, *limits, "--seed", "0"]
    return [sys.executable, "-m", "tlkeras", *fit, "--resume", "--quiet"]


def metrics(output):
    """Return the metrics of a run but for times."""
    return json.loads((output / "metrics.json").read_text()) | {"seconds": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--strategy", nargs="+", default=["features", "finetune"])
    parser.add_argument("--data", type=Path, default=Path("data/clipart10"))
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=64)
    options = parser.parse_args()
    draw = random.Random(0)
    folder = Path(tempfile.mkdtemp())
    for strategy in options.strategy:
        start = time.perf_counter()
        subprocess.run(command(options, strategy, folder / "whole"), check=True, capture_output=True)
        whole, expected = time.perf_counter() - start, metrics(folder / "whole")
        kills, different = 0, 0
        while kills < options.kills:
            output = folder / "killed"
            while True:
                process = subprocess.Popen(
                    command(options, strategy, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                try:
                    process.wait(draw.uniform(0, 1.1) * whole)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                    assert not output.exists() or metrics(output), "half-written run"
                    continue
                assert process.returncode == 0, f"exit status {process.returncode}"
                break
            different += metrics(output) != expected
            print(f"{strategy}: {kills} kills, {different} runs differ", flush=True)
            shutil.rmtree(output)
        shutil.rmtree(folder / "whole")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
