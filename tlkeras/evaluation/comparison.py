"""Compare two methods on the same splits, with an interval that accounts for images shared between splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tlkeras.errors import InputError
from tlkeras.utils.validation import check_integer, check_number, invalid

#: Probability of detecting a difference as large as the smallest detectable one; 80% is customary.
POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """A comparison of two methods on the same splits. It prints as one sentence.

    Attributes:
        names: Names of the two methods.
        means: Mean score of each method, as a fraction.
        difference: First mean minus second mean, as a fraction; 0.01 is one percentage point.
        interval: Corrected confidence interval `(low, high)` of the difference.
        level: Confidence level of the interval.
        p_value: Two-sided p-value of the corrected t-test for a difference.
        smallest_detectable: Difference that would be detected four times in five, as a fraction. Smaller differences
            may exist but go undetected.
        splits: Number of splits.
        train: Number of training images in each split before any sampling.
        test: Number of test images in each split.
    """

    names: tuple[str, str]
    means: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    level: float
    p_value: float
    smallest_detectable: float
    splits: int
    train: int
    test: int

    @property
    def better(self) -> str | None:
        """Name of the better method, or None if the interval includes 0."""
        low, high = self.interval
        return self.names[0] if low > 0 else self.names[1] if high < 0 else None

    @property
    def verdict(self) -> str:
        """The result in words, such as "A is better"."""
        return f"{self.better} is better" if self.better else "cannot be told apart with this many images"

    def __str__(self) -> str:
        (first, second), (low, high) = self.names, self.interval
        measured = (
            f"{first} ({self.means[0]:.1%}) and {second} ({self.means[1]:.1%})",
            f"{_points(self.difference)} points, {self.level:.0%} interval {_points(low)} to {_points(high)}",
        )
        if self.better:
            other = second if self.better == first else first
            return f"{self.better} is better than {other}: {measured[0]} differ by {measured[1]}."
        return (
            f"{measured[0]} {self.verdict}: they differ by {measured[1]}, and a difference of "
            f"{100 * self.smallest_detectable:.1f} points would be found four times in five."
        )


def compare(
    a: ArrayLike,
    b: ArrayLike,
    *,
    train: int,
    test: int,
    names: Sequence[str] = ("A", "B"),
    level: float = 0.95,
) -> Comparison:
    """Compare the scores of two methods on the same splits.

    Scores on different splits are not independent: the training images of the splits overlap, and so do the test images
    of repeated random splits. The usual t interval of the differences ignores this, so it too often finds a difference
    where there is none. The corrected resampled t interval (Nadeau and Bengio, 2003, "Inference for the generalization
    error") replaces the factor `1 / splits` in the variance with `1 / splits + test / train`. More splits narrow the
    interval only a little; more images keep narrowing it.

    If only a sample of each split's training images is used, such as five per class, `train` is the number of images
    that the sample was drawn from. The added term accounts for the images that the splits share, and samples share no
    more images than the training sets that they were drawn from.

    Args:
        a: Array of shape `(splits,)`: scores of the first method, such as accuracies, as fractions in [0, 1].
        b: Array of shape `(splits,)`: scores of the second method on the same splits in the same order.
        train: Number of training images in each split before any sampling; with k folds, the number of images in k - 1
            folds.
        test: Number of test images in each split.
        names: Names of the two methods, for the sentence that describes the result.
        level: Confidence level of the interval.

    Returns:
        `Comparison`; `str(comparison)` states the result in one sentence.

    Raises:
        InputError: The scores are not in [0, 1], there are fewer than two splits, or `a` and `b` differ in length.

    Example:

    >>> features, scratch = [0.70, 0.74, 0.72, 0.69], [0.31, 0.29, 0.36, 0.30]
    >>> print(compare(features, scratch, train=320, test=80, names=("transfer", "scratch")).verdict)
    transfer is better
    """
    if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
        raise invalid("names", names, "be two different names")
    a, b = _scores("a", a), _scores("b", b)
    if len(a) != len(b):
        raise InputError(
            "`a` and `b` must be scores on the same splits, in the same order. "
            f"Received: {len(a)} scores and {len(b)} scores."
        )
    from scipy.stats import t as student

    mean, error = _corrected(a - b, train, test)
    quantile = student.ppf((1 + check_number("level", level, "(0, 1)")) / 2, len(a) - 1)
    return Comparison(
        names=(str(names[0]), str(names[1])),
        means=(float(a.mean()), float(b.mean())),
        difference=mean,
        interval=(float(mean - quantile * error), float(mean + quantile * error)),
        level=float(level),
        p_value=float(2 * student.sf(abs(mean) / error, len(a) - 1)),
        smallest_detectable=float((quantile + student.ppf(POWER, len(a) - 1)) * error),
        splits=len(a),
        train=int(train),
        test=int(test),
    )


def resampled_interval(scores: ArrayLike, *, train: int, test: int, level: float = 0.95) -> tuple[float, float, float]:
    """Compute the mean score of one method over several splits, with a corrected confidence interval.

    The interval is for one method alone. The difference between two methods on the same images is known more precisely
    than two such intervals suggest, since most images are easy or hard for both methods. Use `tlkeras.compare` for
    differences.

    Args:
        scores: Array of shape `(splits,)`: scores as fractions in [0, 1].
        train: Number of training images in each split, as for `tlkeras.compare`.
        test: Number of test images in each split.
        level: Confidence level of the interval.

    Returns:
        `(mean, low, high)` as fractions; the interval is clipped to [0, 1]. See `tlkeras.compare` for the method.

    Raises:
        InputError: As for `tlkeras.compare`.

    Example:

    >>> [round(value, 3) for value in resampled_interval([0.70, 0.74, 0.72, 0.69], train=320, test=80)]
    [0.713, 0.663, 0.762]
    """
    from scipy.stats import t as student

    scores = _scores("scores", scores)
    mean, error = _corrected(scores, train, test)
    half = float(student.ppf((1 + check_number("level", level, "(0, 1)")) / 2, len(scores) - 1) * error)
    return mean, max(0.0, mean - half), min(1.0, mean + half)


def _corrected(values, train, test):
    """Return the mean of values from overlapping splits, and the corrected standard error of the mean."""
    train, test = check_integer("train", train, minimum=1), check_integer("test", test, minimum=1)
    # Scores move in steps of one image, so equal values on all splits do not prove that nothing varies.
    step = 1 / (test * np.sqrt(12))
    deviation = max(float(values.std(ddof=1)), step)
    return float(values.mean()), deviation * (1 / len(values) + test / train) ** 0.5


def _scores(name, values):
    values = np.asarray(values)
    numbers = values.dtype.kind in "uifb" and values.ndim == 1 and len(values) >= 2
    if not numbers or not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        raise invalid(name, values.tolist(), "be two or more fractions in [0, 1], one per split", "Write 72% as 0.72.")
    return values.astype("float64")


def _points(share):
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
