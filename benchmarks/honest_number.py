"""Is the number that `tlkeras.fit` prints the accuracy that its model then has?

A data set is halved at random, with near-duplicates (and, in emoji4, the four drawings of one thing) on one side. `fit`
learns from one half and prints an accuracy with an interval; then its model answers the other half. Over many halvings:
the mean difference of the two accuracies, and how often the interval holds.

Run: python benchmarks/honest_number.py [--halvings 20] [--data data/clipart10 data/emoji4]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import tlkeras

DATA = Path("data")

#: How to read the data sets that are not a plain folder per class.
OPTIONS = {
    DATA / "emoji4": {"label_of": lambda path: Path(path).parent.name or None, "groups": lambda path: Path(path).stem},
}


def halves(whole, seed):
    """Split at random into two halves that share no group."""
    groups = np.random.default_rng(seed).permutation(np.unique(whole.groups))
    first = np.isin(whole.groups, groups[: len(groups) // 2])
    return whole.take(first), whole.take(~first)


def answers(run, features):
    """Answer as the run's model does, from features: its last layer is the probe."""
    kernel, bias = run.model.layers[-1].get_weights()
    return (features @ kernel + bias).argmax(axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--halvings", type=int, default=20)
    parser.add_argument("--data", type=Path, nargs="+", default=[DATA / "clipart10", DATA / "emoji4"])
    options = parser.parse_args()
    for source in options.data:
        images = tlkeras.load_images(source, test_size=0, validation_size=0, **OPTIONS.get(source, {}))
        whole = images.train.join(images.validation, images.test)
        nothing = whole.take([])
        features = dict(zip(whole.paths, tlkeras.FeatureExtractor(verbose=True).transform(whole), strict=True))
        differences, covered, start = [], [], time.perf_counter()
        for seed in range(options.halvings):
            half, other = halves(whole, seed)
            part = replace(images, train=half, validation=nothing, test=nothing, given=frozenset())
            run = tlkeras.fit(part, seed=seed, verbose=False)
            accuracy = float(np.mean(answers(run, [features[path] for path in other.paths]) == other.labels))
            printed, (low, high) = run.metrics["scores"]["accuracy"], run.metrics["measured"]["expected"]
            differences.append(accuracy - printed)
            covered.append(low <= accuracy <= high)
            print(f"{source.name} {seed}: {printed:.3f} printed, {low:.2f} to {high:.2f}; ", end="")
            print(
                f"{accuracy:.3f} on the other half; {(time.perf_counter() - start) / (seed + 1):.0f} s each", flush=True
            )
        mean, error = np.mean(differences), np.std(differences) / np.sqrt(len(differences))
        print(f"{source.name}: mean difference {mean:+.4f} ± {error:.4f}; covered {np.mean(covered):.0%}")


if __name__ == "__main__":
    main()
