"""How long each notebook runs, and how fast this machine is, for `tlkeras doctor` to scale from.

On two quiet cores: python benchmarks/notebook_seconds.py [NAME ...]     (by default all)
On a busy machine: python notebooks/build.py --seconds, which stores CPU seconds while it builds. Two quiet cores share
the work, so the clock shows as many seconds or fewer.
"""

import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path
from statistics import median

from tlkeras.teaching import doctor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402


def main():
    batches, seconds = [], {}
    for name in sys.argv[1:] or build.names():
        os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp()  # a learner's first run finds no features
        batches.append(doctor.check_forward_pass()[1])
        start = time.perf_counter()
        build.execute(build.lesson(name))
        seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: {seconds[name]} s; a batch of {doctor.BATCH} before it: {batches[-1]:.3f} s", flush=True)
    build.record(seconds, median(batches))
    print(f"all: {sum(seconds.values()):.0f} s")


if __name__ == "__main__":
    main()
