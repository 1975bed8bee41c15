"""How long each notebook runs, and how fast this machine is, for `tlkeras doctor` to scale from.

    python benchmarks/notebook_seconds.py [NAME ...]     (by default all)

Stored is the smaller one of two numbers: the seconds of the clock, and those of the processors. Two quiet cores share
the work, so the clock shows fewer. On a busy machine it shows more, and the processors say what quiet cores need at
most. `python notebooks/build.py --seconds` stores the seconds of the processors while it builds.
"""

import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

from tlkeras.teaching import doctor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402


def main():
    batches, seconds, quiet = [], {}, True
    for name in sys.argv[1:] or build.names():
        os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp()  # a learner's first run finds no features
        batches.append(doctor.check_forward_pass()[1])
        start, busy = time.perf_counter(), build.child_seconds()
        build.execute(build.lesson(name))
        clock, processors = time.perf_counter() - start, build.child_seconds() - busy
        seconds[name] = round(min(clock, processors), 1)
        quiet &= clock < processors
        batch = f"a batch of {doctor.BATCH} before it: {batches[-1]:.3f} s"
        print(f"{name}: {clock:.1f} s by the clock, {processors:.1f} of the processors; {batch}", flush=True)
    build.record(seconds, min(batches) if quiet else None)  # other programs would slow a batch down, too
    print(f"all: {sum(seconds.values()):.0f} s")


if __name__ == "__main__":
    main()
