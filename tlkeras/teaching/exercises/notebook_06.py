"""Check the exercises in `06_how_much_data`."""

from numbers import Real

import numpy as np

from tlkeras.teaching.exercises import require, require_splits, tried

QUIZ = {
    "a": (False, "If a curve is flat, more of the same teaches little. The forecast of your curve says how little."),
    "b": (True, "A flat curve says that the number of images is not what holds you back, so change something else."),
    "c": (
        False,
        "From scratch the curve starts far lower and climbs for far longer. You would need many more images first.",
    ),
}


def exercise_1(bet, curve, wanted=0.05):
    """Require a number of images for which the forecast's interval contains the desired gain."""
    require(
        isinstance(bet, Real) and bet > 0,
        f"a bet must be one number of images per class, such as 9. Received: {bet!r}",
    )
    gain, goal = tried(curve.gain, bet), f"{100 * wanted:.0f} points"
    require(
        gain.high >= wanted,
        f"{bet} more images per class bring at most {100 * gain.high:.1f} points, even at the upper end of the "
        f"forecast. For {goal} you need more.",
    )
    require(
        gain.low <= wanted,
        f"{bet} more images per class bring at least {100 * gain.low:.1f} points, even at the lower end of the "
        f"forecast. For {goal} you need fewer.",
    )
    return (
        f"The forecast for {bet} more images per class: {100 * gain.accuracy:+.1f} points ({100 * gain.low:+.1f} to "
        f"{100 * gain.high:+.1f}). That includes {goal}, and many other numbers as well."
    )


def exercise_2(spread):
    """Require several accuracies that do not all come from one sample."""
    returned = tried(spread, 4)
    accuracies = tried(lambda: np.asarray(returned, float))
    require(accuracies.shape == (4,), f"spread(4) must return four accuracies. Received: shape {accuracies.shape}.")
    require(((accuracies > 0) & (accuracies <= 1)).all(), f"accuracies must be in (0, 1]. Received: {accuracies}.")
    require(len(set(accuracies)) > 1, "all four are equal. Does each sample have its own seed?")
    low, high = accuracies.min(), accuracies.max()
    return f"Between {low:.0%} and {high:.0%}: that is how much depends on which ten they are."


def exercise_3(images):
    """Require splits that do not overlap."""
    require_splits(images)
    return f"{len(images.train)} images to train on and {len(images.test)} to test on, none of them in both."
