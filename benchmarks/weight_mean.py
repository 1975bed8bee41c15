"""Weights between the linear probe's and those fine-tuned from it: accuracy and log loss on new images (WiSE-FT).

Trained on the training images of splits of clipart10, tested on their test images and on the rightly labeled unseen
drawings of `unseen_drawings.py`, which says where to get them. Options of `fine_tune`, MixUp, dropout, and the mean of
1, 2, ... runs that differ in the order of images, augmentation and dropout (model soups) can be tried.

Run: python benchmarks/weight_mean.py /tmp/openclipart/usr/share/openclipart/png [--seeds 10 11 12]
     [--options '{"batch_size": 8}'] [--mixup 0.2] [--dropout 0.3] [--runs 2]
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import keras
import numpy as np
from unseen_drawings import DATA, FOLDERS, WRONG, pixels, unseen

import tlkeras

SHARES = (0, 0.25, 0.5, 0.75, 1)


def drawings(root, resize="stretch"):
    """The rightly labeled unseen drawings, and class numbers as `load_images` gives them."""
    pairs = [(path, label) for path, label in unseen(root)[0] if not path.name.startswith(tuple(WRONG.get(label, "?")))]
    return tlkeras.read_images([pixels(path) for path, _ in pairs], resize=resize), np.array(
        [sorted(FOLDERS).index(label) for _, label in pairs]
    )


def measured(model, images, labels):
    """Accuracy and log loss."""
    chances = model.predict(images, batch_size=32, verbose=0)
    right = np.maximum(chances[np.arange(len(labels)), labels], 1e-7)
    return (chances.argmax(axis=1) == labels).mean(), -np.log(right).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the package's PNG files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--options", type=json.loads, default={}, help="of fine_tune, as JSON")
    parser.add_argument("--mixup", type=float, help="alpha of MixUp")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--runs", type=int, default=1, help="whose fine-tuned weights are averaged")
    options = parser.parse_args()
    mix = None if options.mixup is None else keras.layers.MixUp(options.mixup)
    new, found = drawings(options.root), []
    cases = [(runs, share) for runs in range(1, options.runs + 1) for share in SHARES]
    print("seed  runs  share   test: accuracy  loss   unseen: accuracy  loss", flush=True)
    for seed in options.seeds:
        images = tlkeras.load_images(DATA, seed=seed)
        test = tlkeras.read_images(images.test.paths), images.test.labels
        probe, runs = None, []
        for run in range(options.runs):
            keras.utils.set_random_seed(seed + 1000 * run)
            model = tlkeras.image_classifier(
                "efficientnet_lite0",
                classes=images.class_names,
                dropout=options.dropout,
                augmentation=tlkeras.augmentation("drawing", seed=seed + 1000 * run),
            )
            if probe is None:
                tlkeras.fine_tune(model, images.train, epochs=0, seed=seed, verbose=False)
                probe = model.get_weights()
            model.set_weights(probe)
            tlkeras.fine_tune(
                model, images.train, probe=False, seed=seed + 1000 * run, mix=mix, verbose=False, **options.options
            )
            runs.append(model.get_weights())
        found.append([])
        for count, share in cases:
            tuned = [np.mean(weights, axis=0) for weights in zip(*runs[:count], strict=True)]
            model.set_weights([(1 - share) * one + share * other for one, other in zip(probe, tuned, strict=True)])
            found[-1].append((*measured(model, *test), *measured(model, *new)))
            print(line(seed, count, share, found[-1][-1]), flush=True)
    for case, values in zip(cases, np.mean(found, axis=0), strict=True):
        print(line("mean", *case, values))


def line(seed, runs, share, values):
    return f"{seed:>4}  {runs:4}  {share:5.2f}  {values[0]:15.3f} {values[1]:5.2f}  {values[2]:17.3f} {values[3]:5.2f}"


if __name__ == "__main__":
    main()
