"""How long each notebook runs, and how fast this machine is, for `tlkeras doctor` to scale from.

Run on two quiet cores: python benchmarks/notebook_seconds.py [NAME ...]     (by default all)
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TLKERAS_CACHE"] = "off"  # a learner's first run finds no features

from pathlib import Path
from statistics import median

from tlkeras.teaching import doctor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402

RESULT = ROOT / "tlkeras" / "teaching" / "measurements" / "notebook_seconds.json"


def main():
    batches, seconds = [], {}
    for name in sys.argv[1:] or build.names():
        batches.append(doctor.check_forward_pass()[1])
        start = time.perf_counter()
        build.execute(build.lesson(name))
        seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: {seconds[name]} s; a batch of {doctor.BATCH} before it: {batches[-1]:.3f} s", flush=True)
    earlier = {
        name: each for name, each in json.loads(RESULT.read_text())["notebooks"].items() if name in build.names()
    }
    seconds = dict(sorted((earlier | seconds).items()))
    RESULT.write_text(json.dumps({"batch": round(median(batches), 4), "notebooks": seconds}, indent=1) + "\n")
    print(f"all: {sum(seconds.values()):.0f} s")


if __name__ == "__main__":
    main()
