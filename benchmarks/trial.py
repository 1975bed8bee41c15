"""Claim: `tlkeras.trial` says when transfer is worth it, against rivals that are tuned as well as it is.

Runs the trial on each set: pretrained weights, new random weights, and the pretrained values in random order, each
with the learning rate that is best on the validation images, at all, half and a quarter of the training images.
Drawings need not be like ImageNet's photos; scikit-learn's digits are far from them.

    python benchmarks/trial.py [--size 96] [--epochs 20] [--shares 1 0.5 0.25] [--rates 3e-4 ...] [--data DIR ...]
                               [--only clipart10] [--quick]

Prints the trial of each set. About 36 trainings per set: an hour on two cores for clipart10 at 96 pixels.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_digits

import tlkeras

CLIPART = Path(__file__).parents[1] / "data" / "clipart10"


def digits(size, seed):
    """scikit-learn's 1,797 digits of 8 x 8 pixels, as RGB images; a third, since nothing more is needed here."""
    data = load_digits()
    rows = np.random.default_rng(seed).permutation(len(data.target))[:600]
    pixels = np.repeat((data.images[rows] * 15.9).astype("uint8")[..., None], 3, axis=-1)
    return tlkeras.load_images(pixels, labels=data.target[rows], image_size=size, seed=seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--shares", type=float, nargs="+", help="default: those of trial")
    parser.add_argument("--rates", type=float, nargs="+", help="default: those of trial")
    parser.add_argument("--only", nargs="+", choices=("clipart10", "digits"), default=["clipart10", "digits"])
    parser.add_argument("--data", nargs="*", default=[], help="more folders with one folder per class")
    parser.add_argument("--quick", action="store_true", help="one share, two rates, two epochs, 32 pixels, clipart10")
    options = parser.parse_args()
    settings = {"epochs": options.epochs}
    settings |= {"shares": tuple(options.shares)} if options.shares else {}
    settings |= {"learning_rates": tuple(options.rates)} if options.rates else {}
    if options.quick:
        options.size, options.only = 32, ["clipart10"]
        settings = {"epochs": 2, "shares": (1.0,), "learning_rates": (3e-4, 3e-3)}
    sets = {
        "clipart10": lambda: tlkeras.load_images(CLIPART, image_size=options.size),
        "digits": lambda: digits(options.size, seed=0),
    }
    sets = {name: sets[name] for name in options.only}
    sets |= {name: lambda name=name: tlkeras.load_images(name, image_size=options.size) for name in options.data}
    for name, load in sets.items():
        print(f"\n{name}\n{tlkeras.trial(load(), **settings)}", flush=True)


if __name__ == "__main__":
    main()
