"""Reliability of probabilities: reliability bins, expected calibration error, and temperature scaling."""

from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from tlkeras.errors import InputError
from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.utils.validation import check_integer, check_number, invalid

#: Range of temperatures. If all of a few images are classified correctly, the loss alone would favor 0.
BOUNDS = (0.2, 20.0)


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose highest class probability lies in one interval.

    Attributes:
        low: Lower end of the interval, exclusive, except that the first bin includes 0.
        high: Upper end of the interval, inclusive.
        images: Number of images.
        confidence: Mean probability of the predicted class; None if there are no images.
        accuracy: Fraction of correct predictions; None if there are no images.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """Measurements of how well predicted probabilities match the fraction of correct predictions.

    Attributes:
        images: Number of images.
        accuracy: Fraction of correct predictions.
        confidence: Mean probability of the predicted classes. If it is above `accuracy`, the classifier is
            overconfident.
        overconfidence: 95% interval `(low, high)` of `confidence - accuracy`; images in the same group are treated as
            dependent. If the interval includes 0, the difference may be due to chance. The interval is at least as wide
            as for a calibrated classifier, since the observed spread underestimates the uncertainty if all of a few
            images are classified correctly.
        expected_calibration_error: Absolute difference between the confidence and the accuracy of each bin, averaged
            over images.
        interval: 95% bootstrap interval `(low, high)` of `expected_calibration_error`.
        noise: Mean calibration error that a perfectly calibrated classifier with these probabilities would have on
            these images, because each bin contains only a few of them.
        noise_limit: Calibration error that such a classifier would exceed one time in 20. A smaller error is not
            evidence of miscalibration.
        log_loss: Mean negative logarithm of the probability of the true class.
        bins: A `ReliabilityBin` for each bin.
    """

    images: int
    accuracy: float
    confidence: float
    overconfidence: tuple[float, float]
    expected_calibration_error: float
    interval: tuple[float, float]
    noise: float
    noise_limit: float
    log_loss: float
    bins: tuple[ReliabilityBin, ...] = field(repr=False)

    def to_dict(self) -> dict:
        """Return the measurements as plain numbers, lists and dicts, ready for JSON."""
        pairs = {name: list(getattr(self, name)) for name in ("overconfidence", "interval")}
        return asdict(self) | pairs | {"bins": [asdict(one) for one in self.bins]}


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Compute the expected calibration error: the gap between probabilities and the fraction of correct predictions.

    Images are sorted into bins of equal width by the probability of their predicted class. In each bin, the mean
    probability is compared with the fraction of correct predictions, and the differences are averaged over images.

    Args:
        labels: Class indices of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`.
        bins: Number of bins. Defaults to 10; with few images, more bins mostly measure noise.

    Returns:
        The error, in [0, 1].

    Raises:
        InputError: The array shapes do not match, or `probabilities` are not probabilities.

    Example:

    >>> expected_calibration_error([0, 0, 0, 1], [[0.9, 0.1]] * 4)  # predicts 0.9, is correct in 0.75
    0.15

    References: Naeini et al., 2015, https://doi.org/10.1609/aaai.v29i1.9602; Guo et al., 2017,
    https://arxiv.org/abs/1706.04599
    """
    labels, probabilities = check_probabilities(labels, probabilities)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return round(float(_errors(right[None, :], confidence, check_integer("bins", bins, 1))[0]), 12)


def reliability(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    bins: int = 10,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Reliability:
    """Compare the probabilities of predicted classes with the fraction of correct predictions.

    Args:
        labels: Class indices of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`, for images that the classifier was not trained on.
        bins: Number of bins, as in `tlkeras.expected_calibration_error`. Defaults to 10.
        groups: Array of shape `(images,)`: images in the same group are drawn together in the bootstrap. Defaults to
            None, which treats all images as independent.
        resamples: Number of bootstrap samples. Defaults to 1000, enough to locate the ends of the interval to within
            about 5% of its width.
        seed: Seed for the samples. Defaults to 0.

    Returns:
        `Reliability`.

    Raises:
        InputError: The shapes of the arrays do not match, or an argument is invalid.

    Example:

    >>> found = reliability([0, 0, 0, 1], [[0.9, 0.1]] * 4)
    >>> found.accuracy, found.confidence, found.expected_calibration_error
    (0.75, 0.9, 0.15)
    """
    labels, probabilities = check_probabilities(labels, probabilities)
    bins, resamples = check_integer("bins", bins, 1), check_integer("resamples", resamples, 1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    rng = np.random.default_rng(seed)
    _, numbers = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    spread, noise = _resampled(right, confidence, numbers, bins, resamples, rng)
    gap, error = mean_with_error(confidence - right, numbers)
    chance = np.sqrt((confidence * (1 - confidence)).sum()) / len(labels)  # of the gap, if calibrated
    half = 1.96 * max(error, chance) if np.isfinite(error) else 2.0  # only one group
    return Reliability(
        images=len(labels),
        accuracy=float(right.mean()),
        confidence=round(float(confidence.mean()), 12),
        overconfidence=(max(-1.0, gap - half), min(1.0, gap + half)),
        expected_calibration_error=expected_calibration_error(labels, probabilities, bins),
        interval=tuple(float(bound) for bound in np.quantile(spread, (0.025, 0.975))),
        noise=float(noise.mean()),
        noise_limit=float(np.quantile(noise, 0.95)),
        log_loss=_log_loss(labels, probabilities),
        bins=tuple(_each_bin(right, confidence, bins)),
    )


def fit_temperature(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Fit the temperature that calibrates probabilities.

    The log loss is lowest if the logits are divided by this temperature. A temperature above 1 makes an overconfident
    classifier more cautious. Scaling changes neither the ranking of the classes nor the accuracy.

    Args:
        labels: Class indices of shape `(images,)`, for images that the classifier was not trained on.
        probabilities: Array of shape `(images, classes)`. Their logarithms serve as logits, since the two differ only
            by a constant per image, which softmax ignores.

    Returns:
        The temperature, between 0.2 and 20.

    Raises:
        InputError: The array shapes do not match, or `probabilities` are not probabilities.

    Example:

    >>> overconfident = np.tile([0.99, 0.01], (10, 1))  # but right only 8 times in 10
    >>> round(fit_temperature([0] * 8 + [1] * 2, overconfident), 2)
    3.31

    Reference: Guo et al., 2017, https://arxiv.org/abs/1706.04599
    """
    labels, probabilities = check_probabilities(labels, probabilities)
    result = minimize_scalar(
        lambda log: _log_loss(labels, scale_temperature(probabilities, np.exp(log))),
        bounds=np.log(BOUNDS),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(result.x))


def scale_temperature(probabilities: ArrayLike, temperature: float) -> np.ndarray:
    """Recompute probabilities after dividing their logits by a temperature.

    Args:
        probabilities: Array of shape `(images, classes)`.
        temperature: A positive number; 1 changes nothing.

    Returns:
        float64 array of the same shape.

    Example:

    >>> scale_temperature([[0.8, 0.2]], 2.0).round(3)
    array([[0.667, 0.333]])
    """
    temperature = check_number("temperature", temperature, "(0, inf)")
    floor = np.finfo("float32").tiny  # probabilities of float32 models reach 0
    return softmax(np.log(np.maximum(np.asarray(probabilities, "float64"), floor)) / temperature, axis=1)


def check_probabilities(labels, probabilities):
    """Return labels and float64 probabilities, or raise an error if they do not match.

    Raises:
        InputError: The shapes or the values of the arrays are invalid.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, "float64")
    if labels.ndim != 1 or probabilities.ndim != 2 or len(labels) != len(probabilities) or not len(labels):
        raise InputError(
            "`labels` and `probabilities` must have the shapes (images,) and (images, classes), for at least one "
            f"image. Received: {labels.shape} and {probabilities.shape}. Calibration supports only one label per image."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise invalid("labels", labels, f"be class indices from 0 to {probabilities.shape[1] - 1}")
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0):
        raise invalid("probabilities", probabilities, "be finite and not negative", "Apply a softmax to logits first.")
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise invalid("probabilities", probabilities, "sum to 1 for each image", "Apply a softmax to logits first.")
    return labels, probabilities


def _bin_numbers(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def _errors(right, confidence, bins, weights=None):
    """Compute the expected calibration error of each sample.

    Args:
        right: bool array of shape `(samples, images)`, or `(images,)` if the samples differ only in their weights.
        confidence: float64 array of shape `(images,)`.
        bins: Number of bins.
        weights: Array of shape `(samples, images)`: number of times that each image was drawn; None means once.

    Returns:
        float64 array of shape `(samples,)`.
    """
    gaps = right - confidence
    if weights is not None:
        gaps = gaps * weights
    member = np.eye(bins)[_bin_numbers(confidence, bins)]
    total = gaps.shape[1] if weights is None else np.maximum(weights.sum(axis=1), 1)
    return np.abs(gaps @ member).sum(axis=1) / total


def _resampled(right, confidence, groups, bins, resamples, rng):
    """Compute the calibration errors of bootstrap samples of groups, and of labels simulated from the confidences."""
    count, spread, noise = groups.max() + 1, [], []
    chunk = max(1, 2_000_000 // len(right))  # 16 MB at a time
    for size in np.diff([*range(0, resamples, chunk), resamples]):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size)[:, groups]
        spread.append(_errors(right, confidence, bins, drawn))
        noise.append(_errors(rng.random((size, len(right))) < confidence, confidence, bins))
    return np.concatenate(spread), np.concatenate(noise)


def _each_bin(right, confidence, bins):
    numbers, edges = _bin_numbers(confidence, bins), np.linspace(0, 1, bins + 1).round(12)
    for number in range(bins):
        inside = numbers == number
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if inside.any() else (None, None)
        yield ReliabilityBin(float(edges[number]), float(edges[number + 1]), int(inside.sum()), *means)


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo("float64").tiny)).mean())
