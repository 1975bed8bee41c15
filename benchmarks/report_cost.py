"""What the report adds to `fit`: seconds of the processor, and bytes.

    python benchmarks/report_cost.py [FOLDER] [--quick]

Every fit computes its features anew, as the first one on a folder does, or takes them from the cache, as later ones do.
Seconds are those of all threads together, so that a busy machine changes little.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tlkeras
from tlkeras.evaluation.activation_maps import activation_maps, quick_activation_maps
from tlkeras.runs import fitting


def timed(function, *arguments, **options):
    """Return a result and the processor's seconds that it took."""
    start = time.process_time()
    return function(*arguments, **options), time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="data/clipart10")
    parser.add_argument("--quick", action="store_true", help="few images, one repetition")
    options = parser.parse_args()
    spent, write = [], fitting.write_reports
    fitting.write_reports = lambda *arguments: spent.append(timed(write, *arguments)[1])
    limit = {"per_class": 6} if options.quick else {}
    print("features    fit, s  report, s  share  report.html, kB")
    with tempfile.TemporaryDirectory() as folder:
        for repetition in range(1 if options.quick else 3):
            os.environ["TLKERAS_CACHE"] = f"{folder}/cache{repetition}"
            for features in ("computed", "cached"):
                output = Path(folder) / "run"
                run, whole = timed(tlkeras.fit, options.folder, output, overwrite=True, verbose=False, **limit)
                size = run.report.stat().st_size / 1000
                print(f"{features:<10} {whole:7.2f} {spent[-1]:10.2f} {spent[-1] / whole:6.0%} {size:17.0f}")
        pixels = tlkeras.load_images(options.folder).test.read()[:20]
        classes = np.arange(len(pixels)) % len(run.class_names)
        for function in (quick_activation_maps, activation_maps) * 2:
            maps, seconds = timed(function, run.model, pixels, classes)
            print(f"{function.__name__}: {seconds:.2f} s for {len(maps)} images")


if __name__ == "__main__":
    main()
