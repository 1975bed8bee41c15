"""Check the exercises in `09_domain_shift`."""

import numpy as np

from tlkeras.teaching.exercises import require, require_choice, tried

QUIZ = {
    "a": (
        False,
        "That is likely but not certain: dark emoji were easy to tell apart, too. A distance is not an accuracy.",
    ),
    "b": (
        True,
        "The distance shows that the images differ. Only labels show how accurate the answers are.",
    ),
    "c": (False, "If the answers are still right, adapting has little to gain and something to lose."),
    "d": (False, "Another style, camera or season differs without being poor."),
}


def exercise_1(prediction, comparison):
    """Compare the guess with the interval of the gain. Accept every guess that the interval overlaps."""
    places = ("less than 5", "5 to 15", "more than 15")
    require_choice(prediction, places)
    low, high = (100 * end for end in comparison.interval)
    said = f"the gain was {100 * comparison.difference:.1f} points, with an interval of {low:.1f} to {high:.1f}"
    holds = {places[0]: low < 5, places[1]: low < 15 and high > 5, places[2]: high > 15}
    require(holds[prediction], f"{said}. Your answer lies outside.")
    shown = "adapting helps in this direction, too" if low > 0 else "no gain shows in this direction"
    return f"{said[0].upper()}{said[1:]}: {shown}. Every answer inside the interval counts."


def exercise_2(standardize):
    """Call the learner's function with synthetic features, one of them constant in the target domain."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(2, 3, (60, 4)), rng.normal(-1, 0.5, (50, 4))
    target[:, 3] = 7.0
    result = np.asarray(tried(standardize, source.copy(), target.copy()), "float64")
    require(result.shape == target.shape, f"return an array of the target's shape, {target.shape}, not {result.shape}.")
    require(np.isfinite(result).all(), "a feature that is constant in the target became NaN or infinite.")
    require(np.allclose(result.mean(axis=0), source.mean(axis=0)), "the means are not those of the source.")
    varying = slice(0, 3)
    same = np.allclose(result[:, varying].std(axis=0), source[:, varying].std(axis=0), rtol=1e-2)
    require(same, "the standard deviations are not those of the source.")
    ranks = [np.argsort(values[:, 0], kind="stable").tolist() for values in (result, target)]
    require(ranks[0] == ranks[1], "the order of the images changed. Map the target, do not return the source.")
    return "Your map moves each feature to where it lies in the source. It is affine, so it can be folded into a head."


def exercise_3(verdict, distance):
    """Compare the verdict with the interval of the distance."""
    require(hasattr(distance, "interval"), "my_distance must be the result of tlkeras.domain_distance.")
    require(verdict in ("same", "shifted"), f"my_verdict must be 'same' or 'shifted'. Received: {verdict!r}")
    low, high = distance.interval
    said = f"the distance is {distance.distance:.2f}, with an interval of {low:.2f} to {high:.2f}"
    require(verdict == "shifted" or low < 0.2, f"{said}. That is clearly above zero.")
    require(verdict == "same" or low > 0, f"{said}. It reaches zero, so nothing shows a shift.")
    return f"{said[0].upper()}{said[1:]}. Whether accuracy falls, only labels can tell."
