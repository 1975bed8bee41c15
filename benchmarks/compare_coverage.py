"""Measure how often 95% intervals of the difference of two methods contain the truth: corrected and plain t intervals.

Images are points of two normal classes, so the true accuracy of each classifier is known in closed form. Two
nearest-mean classifiers, of one feature and of four, are compared on repeated random splits of 100 images. In the other
rows both have two features that are equally good, and a difference that is found is a false alarm.

    python benchmarks/compare_coverage.py [--quick]
"""

import argparse

import numpy as np
from scipy.stats import norm, t

from tlkeras.evaluation.comparison import compare

IMAGES, TRAIN, SHIFT = 100, 80, 0.5


def accuracies(points, labels, train):
    """Return the accuracy of a nearest-mean classifier on the other images, and its true accuracy."""
    zero, one = (points[train & (labels == label)].mean(axis=0) for label in (0, 1))
    weights, middle = one - zero, (zero + one) / 2
    measured = np.mean(((points[~train] - middle) @ weights > 0) == labels[~train])
    side, offset = SHIFT * weights.sum(), middle @ weights
    true = np.mean([norm.cdf((side + sign * offset) / np.linalg.norm(weights)) for sign in (-1, 1)])
    return measured, true


def simulate(first, second, splits, repeats, random):
    """Return the share of corrected and of plain intervals that contain the true difference, and that difference."""
    intervals, plain, true = [], [], []
    for _ in range(repeats):
        labels = random.permutation(IMAGES) % 2
        points = random.normal(size=(IMAGES, 4)) + np.where(labels, SHIFT, -SHIFT)[:, None]
        scores = []
        for _ in range(splits):
            train = random.permutation(IMAGES) < TRAIN
            pair = [accuracies(points[:, used], labels, train) for used in (first, second)]
            scores.append([measured for measured, _ in pair])
            true.append([value for _, value in pair])
        a, b = np.transpose(scores)
        intervals.append(compare(a, b, train=TRAIN, test=IMAGES - TRAIN).interval)
        half = t.ppf(0.975, splits - 1) * np.std(a - b, ddof=1) / np.sqrt(splits)
        plain.append((np.mean(a - b) - half, np.mean(a - b) + half))
    truth = np.subtract(*np.mean(true, axis=0))
    return *(np.mean([low <= truth <= high for low, high in each]) for each in (intervals, plain)), truth


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100 data sets per row instead of 1000")
    repeats = 100 if parser.parse_args().quick else 1000
    random = np.random.default_rng(0)
    print(
        f"{repeats} data sets of {IMAGES} images, {TRAIN} to learn from; intervals that hold the truth (95% promised)"
    )
    print(f"{'true difference':>16} {'splits':>7} {'corrected':>10} {'plain t':>8}")
    for first, second in (([0], [0, 1, 2, 3]), ([0, 1], [2, 3])):
        for splits in (3, 5, 12, 30):
            corrected, plain, truth = simulate(first, second, splits, repeats, random)
            print(f"{100 * abs(truth):>9.1f} points {splits:>7} {corrected:>10.1%} {plain:>8.1%}", flush=True)


if __name__ == "__main__":
    main()
