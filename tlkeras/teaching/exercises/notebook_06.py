"""Check the exercises of `06_how_much_data`."""

from numbers import Real

import numpy as np

from tlkeras.teaching.exercises import require, require_splits, tried

QUIZ = {
    "a": (False, "Where a curve is flat, more of the same teaches little. The forecast of your curve says how little."),
    "b": (True, "A flat curve says that the number of images is not what holds you back, so change something else."),
    "c": (
        False,
        "From scratch the curve starts far lower and climbs for far longer. You would need many more images first.",
    ),
}


def exercise_1(bet, gain):
    """Require a bet within the interval of the forecast, or at most two points away from it."""
    require(isinstance(bet, Real), f"a bet must be one number, such as 0.05. Received: {bet!r}")
    require(abs(bet) < 1, f"give a share: 0.02 is two points. Received: {bet!r}")
    low, high = gain.low - 0.02, gain.high + 0.02
    require(bet >= low, "more images of the same kind rarely hurt.")
    require(
        bet <= high,
        f"the curve bends: twice as many images bring {100 * gain.high:.0f} points in the best of ten forecasts. Why "
        f"should they bring {100 * bet:.0f}?",
    )
    return f"Forecast: {100 * gain.accuracy:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})."


def exercise_2(spread):
    """Require several accuracies that do not all come from one sample."""
    returned = tried(spread, 4)
    accuracies = tried(lambda: np.asarray(returned, float))
    require(accuracies.shape == (4,), f"spread(4) must return four accuracies. Received: shape {accuracies.shape}.")
    require(((accuracies > 0) & (accuracies <= 1)).all(), f"accuracies must lie in (0, 1]. Received: {accuracies}.")
    require(len(set(accuracies)) > 1, "all four are equal. Does each sample have its own seed?")
    low, high = accuracies.min(), accuracies.max()
    return f"Between {low:.0%} and {high:.0%}: that is how much depends on which ten they are."


def exercise_3(images):
    """Require splits that are separate from each other."""
    require_splits(images)
    return f"{len(images.train)} images to train on and {len(images.test)} to test on, none of them in both."
