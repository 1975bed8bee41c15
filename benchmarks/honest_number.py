"""Is the number that `tlkeras.fit` prints the accuracy that its model then has?

A data set is halved at random, with near-duplicates (and, in emoji4, the four drawings of one thing) on one side. `fit`
learns from one half and prints an accuracy with an interval; then its model answers the other half. Over many halvings:
the mean difference of the two accuracies, and how often the interval holds.

Run: python benchmarks/honest_number.py [--halvings 20] [--data clipart10 emoji4]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import tlkeras

SOURCES = {
    "clipart10": {},
    "emoji4": {"label_of": lambda path: Path(path).parent.name or None, "groups": lambda path: Path(path).stem},
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
    parser.add_argument("--data", choices=SOURCES, nargs="+", default=list(SOURCES))
    options = parser.parse_args()
    for name in options.data:
        images = tlkeras.load_images(f"data/{name}", test_size=0, validation_size=0, **SOURCES[name])
        extractor = tlkeras.FeatureExtractor(verbose=True)
        features = dict(zip(images.train.paths, extractor.transform(images.train), strict=True))
        differences, covered, start = [], [], time.perf_counter()
        for seed in range(options.halvings):
            half, other = halves(images.train, seed)
            run = tlkeras.fit(replace(images, train=half), seed=seed, verbose=False)
            accuracy = float(np.mean(answers(run, [features[path] for path in other.paths]) == other.labels))
            low, high = run.metrics["measured"]["expected"]
            differences.append(accuracy - run.metrics["scores"]["accuracy"])
            covered.append(low <= accuracy <= high)
            print(f"{name} {seed}: {run.metrics['scores']['accuracy']:.3f} printed, {low:.2f} to {high:.2f}; ", end="")
            print(
                f"{accuracy:.3f} on the other half; {(time.perf_counter() - start) / (seed + 1):.0f} s each", flush=True
            )
        error = np.std(differences) / np.sqrt(len(differences))
        print(f"{name}: mean difference {np.mean(differences):+.4f} ± {error:.4f}; covered {np.mean(covered):.0%}")


if __name__ == "__main__":
    main()
