"""The section on calibration: whether, for example, 90% of predictions with a probability of 90% are correct."""

import numpy as np

from tlkeras.report.charts import reliability_chart
from tlkeras.report.wording import percent

_BINS = 10
_FEWEST = 20  # smallest number of confident predictions for the sentence about them


def calibration(facts):
    """Return the bins of a reliability diagram, the diagram itself, and the expected calibration error.

    With one class per image, the bins are taken from `metrics.json`. They are those after scaling if the probabilities
    were scaled with a temperature.
    """
    if facts.multilabel:
        stated, right, what = facts.probabilities.ravel(), (facts.labels > 0.5).ravel(), "labels"
    else:
        stated, right, what = facts.probabilities.max(axis=1), facts.right, "predictions"
    known = facts.metrics.get("calibration") or {}
    measured = known.get("after") or known.get("before")
    bins = measured_bins(measured["bins"]) if measured else reliability_bins(stated, right)
    error = sum(one["images"] * abs(one["share"] - one["confidence"]) for one in bins) / len(stated)
    sure, confident = stated >= 0.9, None
    if sure.sum() >= _FEWEST:
        mean, share = percent(stated[sure].mean()), percent(right[sure].mean())
        confident = {"count": int(sure.sum()), "mean": mean, "share": share}
    label = f"Predicted probabilities against the share of correct {what}; the table lists the numbers."
    return {
        "chart": reliability_chart(bins, label),
        "bins": bins,
        "error": percent(error),
        "noise": percent(measured["noise"]) if measured else None,
        "sure": confident,
        "unit": what,
    }


def measured_bins(bins):
    """Return the nonempty bins of a `tlkeras.evaluation.calibration.Reliability`, with their intervals."""
    return [_bin(one["images"], one["confidence"], one["accuracy"]) for one in bins if one["images"]]


def reliability_bins(stated, right):
    """Group predictions into bins by their probability.

    Args:
        stated: Predicted probabilities, array of shape `(predictions,)`.
        right: Whether each prediction is correct, boolean array with the shape of `stated`.

    Returns:
        List with one dict per nonempty bin: the number of `images`, the mean `confidence`, the `share` of correct
        predictions, and the 95% interval of this fraction (Wilson, 1927) from `low` to `high`.

    Example:

    >>> [one["share"] for one in reliability_bins(np.array([0.95, 0.97, 0.35]), np.array([True, True, False]))]
    [0.0, 1.0]
    """
    number = np.minimum((np.asarray(stated) * _BINS).astype(int), _BINS - 1)
    bins = []
    for one in np.unique(number):
        inside = number == one
        confidence, share = (float(np.asarray(values)[inside].mean()) for values in (stated, right))
        bins.append(_bin(int(inside.sum()), confidence, share))
    return bins


def _bin(images, confidence, share):
    low, high = _wilson(share, images)
    return {"images": images, "confidence": confidence, "share": share, "low": low, "high": high}


def _wilson(share, count, z=1.96):
    center, spread = share + z**2 / (2 * count), z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return tuple(float(np.clip((center + sign * spread) / (1 + z**2 / count), 0, 1)) for sign in (-1, 1))
