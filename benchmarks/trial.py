"""Claim: `tlkeras.trial` says when transfer is worth it, against rivals that are tuned as well as it is.

Runs the trial on each set: pretrained weights, new random weights, and the pretrained values in random order, each
with the learning rate that is best on the validation images, at all, half and a quarter of the training images.
Drawings need not be like ImageNet's photos; scikit-learn's digits are far from them.

    python benchmarks/trial.py [--size 64] [--epochs 15] [--shares 1 0.25] [--rates 3e-4 1e-3 3e-3] [--data DIR ...]
                               [--only clipart10] [--results FILE] [--store] [--quick]

Prints the trial of each set. The defaults are smaller than those of `trial`: 18 trainings per set. With --results, each
share of each set is kept in a file, so a run can be continued. With --store, the first trial is stored for notebook 06.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

import tlkeras
from tlkeras.selection.trial import Arm, Lead, Trial

ROOT = Path(__file__).parents[1]
CLIPART = ROOT / "data" / "clipart10"
LESSON = ROOT / "tlkeras" / "teaching" / "measurements" / "trial.json"


def digits(size, seed):
    """scikit-learn's 1,797 digits of 8 x 8 pixels, as RGB images; a third, since nothing more is needed here."""
    data = load_digits()
    rows = np.random.default_rng(seed).permutation(len(data.target))[:600]
    pixels = np.repeat((data.images[rows] * 15.9).astype("uint8")[..., None], 3, axis=-1)
    return tlkeras.load_images(pixels, labels=data.target[rows], image_size=size, seed=seed)


def continued(name, load, shares, settings, kept, save):
    """Run the shares of a trial that are not kept yet; return the trial of all shares."""
    arms, leads = [], []
    for share in shares:
        key = f"{name} {share:g}"
        if key not in kept:
            kept[key] = tlkeras.trial(load(), shares=(share,), **settings).to_json()
            save()
        arms += [Arm(**one) for one in kept[key]["arms"]]
        leads += [Lead(**one) for one in kept[key]["leads"]]
    return Trial(tuple(arms), tuple(leads))


def store(trial, images, epochs, rates):
    """Write a trial to where notebook 06 finds it, with the command that made it."""
    settings = [word for word in sys.argv[1:] if word != "--store"]
    if "--results" in settings:  # where it was kept does not matter
        at = settings.index("--results")
        del settings[at : at + 2]
    about = {
        "script": " ".join(["python benchmarks/trial.py", *settings]),
        "backend": keras.backend.backend(),
        "backbone": "efficientnet_lite0",
        "image_size": images.image_size[0],
        "epochs": epochs,
        "rates": rates,
        "test": len(images.test),
    }
    rows = {kind: [rounded(row) for row in trial.to_json()[kind]] for kind in ("arms", "leads")}
    LESSON.write_text(json.dumps({**about, **rows}, indent=1) + "\n")


def rounded(row):
    """Round losses, accuracies and leads to three digits."""
    few = ("loss", "accuracy", "lead", "low", "high")
    return {name: round(value, 3) if name in few else value for name, value in row.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, help="default: 64 pixels; 32 for the digits, which have 8 x 8")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--shares", type=float, nargs="+", default=[1, 0.25], help="shares of the training images")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("--only", nargs="+", choices=("clipart10", "digits"), default=["clipart10", "digits"])
    parser.add_argument("--data", nargs="*", default=[], help="more folders with one folder per class")
    parser.add_argument("--results", type=Path, help="JSON file to keep results in")
    parser.add_argument("--store", action="store_true", help="store the first trial for notebook 06")
    parser.add_argument("--quick", action="store_true", help="one share, two rates, two epochs, 32 pixels, clipart10")
    options = parser.parse_args()
    if options.quick:
        options.size, options.only, options.shares = 32, ["clipart10"], [1]
        options.epochs, options.rates = 2, [3e-4, 3e-3]
    size = options.size or 64
    sets = {
        "clipart10": lambda: tlkeras.load_images(CLIPART, image_size=size),
        "digits": lambda: digits(options.size or 32, seed=0),
    }
    sets = {name: sets[name] for name in options.only}
    sets |= {name: lambda name=name: tlkeras.load_images(name, image_size=size) for name in options.data}
    kept = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}

    def save():
        if options.results:
            options.results.write_text(json.dumps(kept) + "\n")

    settings = {"epochs": options.epochs, "learning_rates": options.rates}
    for name, load in sets.items():
        trial = continued(name, load, options.shares, settings, kept, save)
        print(f"\n{name}\n{trial}", flush=True)
        if options.store:
            store(trial, load(), options.epochs, options.rates)
            options.store = False


if __name__ == "__main__":
    main()
