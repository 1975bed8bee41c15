"""`fine_tune(checkpoint=...)` killed at 30 random moments: weights and history against an undisturbed run, to the bit.

Run: python benchmarks/resume_training.py [--kills 30]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "training"))
from test_resuming import killed_and_undisturbed


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    options = parser.parse_args()
    total, seed, differing = 0, 0, 0
    while total < options.kills:
        with tempfile.TemporaryDirectory() as folder:
            killed, undisturbed, kills = killed_and_undisturbed(Path(folder), seed, options.kills - total)
        equal = all(np.array_equal(killed[name], values) for name, values in undisturbed.items())
        total, seed, differing = total + kills, seed + 1, differing + (not equal)
        print(f"killed {kills} times ({total} in all): {'equal' if equal else 'DIFFERENT'}", flush=True)
    print(f"{total} kills in {seed} runs, of which {differing} ended otherwise than the undisturbed one")


if __name__ == "__main__":
    main()
