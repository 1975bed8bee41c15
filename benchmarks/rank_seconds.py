"""Claim: ranking all blocks of the installed backbones costs little more than computing their features.

    python benchmarks/rank_seconds.py [--repeats 2] [--image-size 224]

Both sides start with empty caches, take turns in one process, and compute on clipart10. Prints the time of the process
on all cores and on the clock, the ratios, and how long a second `advise` takes, which finds features on disk.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tlkeras
from tlkeras.features import network


def timed(function):
    """Return `(processor seconds, seconds on the clock)` of a call, without networks built before."""
    network._shared.cache_clear()
    processor, clock = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - processor, time.perf_counter() - clock


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--image-size", type=int, help="default: each backbone's own")
    options = parser.parse_args()
    names = [name for name in tlkeras.list_backbones(offline=True) if name.startswith("efficientnet_lite")]
    images = tlkeras.load_images("data/clipart10", validation_size=0, test_size=0)
    blocks = {name: tlkeras.blocks(tlkeras.backbone(name, weights=None)).names for name in names}

    def extract():
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                extractor = tlkeras.FeatureExtractor(
                    name, block=blocks[name], image_size=options.image_size, cache=folder
                )
                extractor.transform(images.train)

    def rank(cache=None):
        with tempfile.TemporaryDirectory() as folder:
            tlkeras.rank(images, names, image_size=options.image_size, cache=cache or folder)

    pairs = [(timed(extract), timed(rank)) for _ in range(options.repeats)]
    for (alone, alone_clock), (all_of_it, clock) in pairs:
        print(
            f"features {alone:.1f} s ({alone_clock:.1f} on the clock); rank {all_of_it:.1f} s ({clock:.1f})", end="; "
        )
        print(f"ratio {all_of_it / alone:.2f} ({clock / alone_clock:.2f})", flush=True)
    print(f"{len(names)} backbones, mean ratio {np.mean([b[0] / a[0] for a, b in pairs]):.2f}")
    with tempfile.TemporaryDirectory() as folder:
        first = timed(lambda: tlkeras.advise(images, names, image_size=options.image_size, cache=folder))
        again = timed(lambda: tlkeras.advise(images, names, image_size=options.image_size, cache=folder))
    print(f"advise: {first[0]:.1f} s ({first[1]:.1f} on the clock), again {again[0]:.1f} s ({again[1]:.1f})")


if __name__ == "__main__":
    main()
