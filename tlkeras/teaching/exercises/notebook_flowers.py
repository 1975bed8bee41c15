"""Checks of `tfds_flowers`."""

from numbers import Real

import numpy as np

from tlkeras.teaching.exercises import require, require_splits, tried


def exercise_1(bet, curve):
    """A bet on the next doubling, between nothing and twice what doublings gained on average."""
    require(isinstance(bet, Real), f"a bet is one number, such as 0.05. Received: {bet!r}")
    usual = (curve[-1] - curve[0]) / (len(curve) - 1)
    require(bet >= 0, "more images of the same kind rarely hurt.")
    require(bet <= 2 * usual, f"the doublings so far gained {usual:.2f} on average; why should this give {bet:.2f}?")
    return f"The doublings so far gained {usual:.2f} on average, the last one {curve[-1] - curve[-2]:+.2f}."


def exercise_2(spread):
    """Several accuracies, not all from one sample."""
    found = tried(spread, 4)
    accuracies = tried(lambda: np.asarray(found, float))
    require(accuracies.shape == (4,), f"spread(4) gives four accuracies. Received: shape {accuracies.shape}.")
    require(((accuracies > 0) & (accuracies <= 1)).all(), f"accuracies lie in (0, 1]. Received: {accuracies}.")
    require(len(set(accuracies)) > 1, "all four are equal: is each sample drawn with a seed of its own?")
    low, high = accuracies.min(), accuracies.max()
    return f"Between {low:.2f} and {high:.2f}: so much depends on which ten they are."


def exercise_3(images):
    """Any splits, apart from each other."""
    require_splits(images)
    return f"{len(images.train)} images to train on, {len(images.test)} to test on, none on both sides."
