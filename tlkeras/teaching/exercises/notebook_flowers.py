"""Check the exercises of `tfds_flowers`."""

from numbers import Real

import numpy as np

from tlkeras.teaching.exercises import require, require_splits, tried


def exercise_1(bet, curve):
    """Require a bet between zero and twice the average gain of a doubling."""
    require(isinstance(bet, Real), f"a bet must be one number, such as 0.05. Received: {bet!r}")
    usual = (curve[-1] - curve[0]) / (len(curve) - 1)
    require(bet >= 0, "more images of the same kind rarely hurt.")
    require(
        bet <= 2 * usual, f"the doublings so far gained {usual:.2f} on average. Why should this one gain {bet:.2f}?"
    )
    return f"The doublings so far gained {usual:.2f} on average, the last one {curve[-1] - curve[-2]:+.2f}."


def exercise_2(spread):
    """Require several accuracies that do not all come from one sample."""
    returned = tried(spread, 4)
    accuracies = tried(lambda: np.asarray(returned, float))
    require(accuracies.shape == (4,), f"spread(4) must return four accuracies. Received: shape {accuracies.shape}.")
    require(((accuracies > 0) & (accuracies <= 1)).all(), f"accuracies must lie in (0, 1]. Received: {accuracies}.")
    require(len(set(accuracies)) > 1, "all four are equal. Does each sample have its own seed?")
    low, high = accuracies.min(), accuracies.max()
    return f"Between {low:.2f} and {high:.2f}: that is how much depends on which ten they are."


def exercise_3(images):
    """Require splits that are separate from each other."""
    require_splits(images)
    return f"{len(images.train)} images to train on and {len(images.test)} to test on, none of them in both."
