"""How long each notebook runs, and how fast this machine is, for `tlkeras doctor` to scale from.

Run on two quiet cores: python benchmarks/notebook_seconds.py
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TLKERAS_CACHE"] = "off"  # a learner's first run finds no features

from pathlib import Path

from tlkeras.teaching import doctor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402

RESULT = ROOT / "tlkeras" / "teaching" / "measurements" / "notebook_seconds.json"


def main():
    _, batch = doctor.check_forward_pass()
    seconds = {}
    for name in build.names():
        start = time.perf_counter()
        build.execute(build.lesson(name))
        seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: {seconds[name]} s", flush=True)
    _, again = doctor.check_forward_pass()
    RESULT.write_text(json.dumps({"batch": round(min(batch, again), 4), "notebooks": seconds}, indent=1) + "\n")
    print(f"all: {sum(seconds.values()):.0f} s; a batch of {doctor.BATCH}: {batch:.3f} and {again:.3f} s")


if __name__ == "__main__":
    main()
