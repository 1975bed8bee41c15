"""Claim: forecasts of `tlkeras.learning_curve` are honest: their 80% intervals hold what is measured later.

Each trial takes a random two thirds of a set's classes and forecasts from half of their images what a probe reaches
with all of them; then that is measured. The forecast knows nothing of the other half. Beside it, the hindcast that the
function prints, which is made within the half. Classes with fewer than 20 distinct images are left out, since a half
then has fewer than 10. Near-duplicates stay on one side.

    python benchmarks/learning_curve.py [--trials 20] [--rounds 2] [--data DIR ...] [--quick]

Prints, for each set, the mean absolute error in points, the mean width of the interval and how often it held.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tlkeras
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.selection.learning_curve import FEWEST, curve_of_features, probe_accuracy

DATA = Path(__file__).parents[1] / "data"
STYLES = ("noto", "twemoji", "rendered", "line")


def features_of(folder):
    """Features, labels and groups of all images of a folder."""
    images = tlkeras.load_images(folder, test_size=0, validation_size=0).train
    return tlkeras.FeatureExtractor(verbose=True).transform(images), images.labels, images.groups


def trial(features, labels, groups, seed, rounds):
    """One forecast from half of the images, and what is measured on all: `(forecast, hindcast, measured)`."""
    rng = np.random.default_rng(seed)
    distinct = np.array([len(np.unique(groups[labels == one])) for one in range(labels.max() + 1)])
    large = np.flatnonzero(distinct >= 2 * FEWEST)
    classes = rng.choice(large, max(2, round(len(large) * 2 / 3)), replace=False)
    chosen = np.flatnonzero(np.isin(labels, classes))
    features, labels, groups = features[chosen], labels[chosen], groups[chosen]
    half = np.zeros(len(labels), bool)
    for one in classes:
        own = rng.permutation(np.unique(groups[labels == one]))
        half |= np.isin(groups, own[: max(FEWEST, len(own) // 2)]) & (labels == one)
    curve = curve_of_features(features[half], labels[half], groups[half], repeats=rounds, seed=seed)
    measured = probe_accuracy(labeled_features(features, labels, groups), rounds, seed)
    return curve.forecast(0.8 * len(labels) / len(classes)), curve.hindcast, measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20, help="trials per set")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of cross-validation per curve")
    parser.add_argument("--data", nargs="*", default=[], help="more folders with one folder per class")
    parser.add_argument("--quick", action="store_true", help="three trials on clipart10")
    options = parser.parse_args()
    folders = [DATA / "clipart10"]
    if options.quick:
        options.trials = 3
    else:
        folders += [DATA / "emoji4" / style for style in STYLES] + [Path(folder) for folder in options.data]
    print(f"{'set':<12}{'error':>8}{'width':>8}{'held':>8}{'| hindcast error':>18}{'width':>8}{'held':>8}", flush=True)
    every = []
    for folder in folders:
        features, labels, groups = features_of(folder)
        rows = []
        for seed in range(options.trials):
            forecast, hindcast, measured = trial(features, labels, groups, seed, options.rounds)
            rows.append(
                [
                    abs(forecast.accuracy - measured),
                    forecast.high - forecast.low,
                    forecast.low <= measured <= forecast.high,
                    abs(hindcast.error),
                    hindcast.high - hindcast.low,
                    hindcast.low <= hindcast.measured <= hindcast.high,
                ]
            )
        every += rows
        show(folder.name, rows)
    show("all", every)


def show(name, rows):
    error, width, held, past_error, past_width, past_held = np.mean(rows, axis=0)
    print(
        f"{name:<12}{error:>8.3f}{width:>8.3f}{held:>8.0%}{past_error:>18.3f}{past_width:>8.3f}{past_held:>8.0%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
