"""Get an unbiased estimate of a probe's accuracy: each image is classified once, by a probe not trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import check_probe_options, chosen_strength
from tlkeras.pipelines.regularization import (
    DEFAULT_CS,
    cross_validated_path,
    in_threads,
    log_losses,
)
from tlkeras.utils.validation import check_integer, invalid

#: Number of blocks of folds in which C is chosen for each fold. With more, the pairs of blocks would take most of the
#: time, and the best C hardly depends on how many images a block leaves for training.
_BLOCKS = 5


@dataclass(frozen=True)
class CrossValidation:
    """The cross-validated accuracy of a probe, and the probe itself.

    Attributes:
        accuracy: Fraction of images classified correctly by a probe that was not trained on their group; with several
            labels per image, the fraction of correct decisions at a threshold of 0.5.
        standard_error: Standard error of `accuracy`; images in the same group are treated as dependent.
        probabilities: float64 array of shape `(images, classes)`: the held-out predictions.
        classes: Array of shape `(classes,)`: the class of each column of `probabilities`.
        folds: int array of shape `(images,)`: the fold in which each image was held out.
        strengths: The value of C (for LDA, the temperature) chosen for each fold without the fold's held-out images.
        probe: The fitted `sklearn.pipeline.Pipeline`, trained on all images.
    """

    accuracy: float
    standard_error: float
    probabilities: np.ndarray = field(repr=False)
    classes: np.ndarray = field(repr=False)
    folds: np.ndarray = field(repr=False)
    strengths: tuple[float, ...]
    probe: Pipeline


def cross_validate_probe(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    estimator: str = "logistic",
    groups: ArrayLike | None = None,
    Cs: Sequence[float] = DEFAULT_CS,
    folds: int = 5,
    seed: int = 0,
    class_weight: dict | str | None = None,
) -> CrossValidation:
    """Evaluate a linear probe by nested cross-validation, then fit it on all images.

    Each image is classified once, by a probe that was trained without the image and its group, and whose C was chosen
    without them. Therefore, the choice of C does not bias the accuracy. The standard error is about half as large as
    with a single held-out set of a fifth of the images. The returned probe is trained on all images, so it should be
    slightly more accurate than this estimate.

    To choose C for a fold, the folds are merged into five blocks (with up to five folds, every fold is a block). The
    block that contains the fold is held out together with each of the other blocks in turn. Holding out a pair of
    blocks helps to choose C for both of them, so the regressions of each pair are fitted only once.

    Args:
        features: Array of shape `(images, features)`.
        labels: Array of shape `(images,)` of class indices or names, or of shape `(images, classes)` of zeros and ones.
        estimator: As in `tlkeras.linear_probe`.
        groups: Array of shape `(images,)`: the group of each image, such as a patient ID or a number shared by
            near-duplicates (`ImageSplit.groups`). Images in the same group are held out together. Defaults to None,
            which puts every image in its own group.
        Cs: As in `tlkeras.linear_probe`.
        folds: Number of folds, at least 3. Defaults to 5, which leaves four fifths of the images for training. For few
            images, 10 is better: the evaluated probes are then trained on nine tenths of the images, almost as many as
            the returned probe is.
        seed: Seed for the folds. Defaults to 0.
        class_weight: As in `tlkeras.linear_probe`.

    Returns:
        `CrossValidation`.

    Raises:
        InputError: The shapes of the arrays do not match, an option is invalid, or there are fewer groups than folds.

    Example:

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> measured = cross_validate_probe(X, y)
    >>> f"{measured.accuracy:.2f} ± {measured.standard_error:.2f}"
    '0.97 ± 0.01'

    References: Varma and Simon, 2006, https://doi.org/10.1186/1471-2105-7-91, on nested cross-validation; Miller, 2024,
    https://arxiv.org/abs/2411.00640, on standard errors of clustered data.
    """
    data = labeled_features(features, labels, groups)
    family = check_probe_options(estimator, Cs, class_weight, data.multilabel)
    count = len(np.unique(data.groups))
    if check_integer("folds", folds, minimum=3) > count:
        raise invalid(
            "folds",
            folds,
            f"be at most {count}, the number of groups",
            "Use fewer folds, or add images from more groups.",
        )
    parts = data.deal_folds(folds, seed)
    with threadpool_limits(1, user_api="blas"):
        chosen = _chosen_without(data, parts, family, class_weight)
        path, losses = cross_validated_path(data, parts, family.strengths, class_weight, chosen, family.paths)
        probe = family.fit(data, family.strengths[int(losses.argmin())], class_weight)
    probabilities = np.empty(path.shape[1:])
    for rows, index in zip(parts, chosen, strict=True):
        probabilities[rows] = path[index, rows]
    accuracy, error = mean_with_error(_scores(data, probabilities), data.groups)
    strengths = tuple(family.strengths[index] for index in chosen)
    return CrossValidation(accuracy, error, probabilities, data.classes, _fold_numbers(parts), strengths, probe)


def predict_each_fold(result, features, labels, views, class_weight=None):
    """Classify other views of the images, such as flipped copies, with probes that were not trained on these images.

    Args:
        result: `CrossValidation` of the images.
        features: The features from which `result` was computed.
        labels: The labels from which `result` was computed.
        views: Features of each view, as arrays with the shape of `features`.
        class_weight: As in `cross_validate_probe`.

    Returns:
        List with one float64 array of shape `(images, classes)` per view.
    """
    data, answers = labeled_features(features, labels), [np.zeros_like(result.probabilities) for _ in views]
    estimator = "lda" if "temperature" in chosen_strength(result.probe) else "logistic"
    with threadpool_limits(1, user_api="blas"):
        for fold, strength in enumerate(result.strengths):
            held_out = result.folds == fold
            rows = np.flatnonzero(~held_out)
            probe = check_probe_options(estimator, [strength], class_weight, data.multilabel).fit(
                data.take(rows), strength, class_weight
            )
            known = np.arange(answers[0].shape[1]) if data.multilabel else np.searchsorted(data.classes, probe.classes_)
            for answer, view in zip(answers, views, strict=True):
                answer[np.ix_(held_out, known)] = probe.predict_proba(view[held_out])
    return answers


def mean_with_error(scores: ArrayLike, groups: ArrayLike | None = None) -> tuple[float, float]:
    """Compute the mean of per-image scores and its standard error, treating images in the same group as dependent.

    Args:
        scores: Array of shape `(images,)`, such as 1 for each correct prediction and 0 for each wrong one.
        groups: Array of shape `(images,)`, or None if all images are independent.

    Returns:
        `(mean, standard_error)`; `standard_error` is NaN if there is only one group. For independent images,
        `standard_error` is the usual standard error of the mean.

    Example:

    >>> mean_with_error([1, 1, 0, 0]), mean_with_error([1, 1, 0, 0], groups=[1, 1, 2, 2])
    ((0.5, 0.28867513459481287), (0.5, 0.5))
    """
    scores = np.asarray(scores, "float64")
    mean = float(scores.mean())
    _, numbers = np.unique(np.arange(len(scores)) if groups is None else groups, return_inverse=True)
    sums = np.bincount(numbers, scores - mean)
    if len(sums) < 2:
        return mean, float("nan")
    return mean, float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(scores))


def _chosen_without(data, parts, family, class_weight):
    """Choose a strength for each fold, using only blocks of folds that do not contain it; return indices."""
    blocks = np.array_split(np.arange(len(parts)), min(len(parts), _BLOCKS))
    rows = [np.concatenate([parts[fold] for fold in block]) for block in blocks]
    losses = np.zeros((len(blocks), len(family.strengths)))
    pairs = list(combinations(range(len(blocks)), 2))

    def fitted(pair):
        return family.paths(data, [rows[block] for block in pair], family.strengths, class_weight)

    for pair, paths in zip(pairs, in_threads(fitted, pairs), strict=True):
        for block, judge, path in zip(pair, pair[::-1], paths[::-1], strict=True):
            losses[block] += log_losses(path, data, rows[judge], class_weight).mean(axis=1)
    return losses.argmin(axis=1).repeat(list(map(len, blocks))).tolist()


def _fold_numbers(parts):
    """Return the fold number of each image."""
    numbers = np.empty(sum(map(len, parts)), int)
    for number, rows in enumerate(parts):
        numbers[rows] = number
    return numbers


def _scores(data, probabilities):
    """Compute the fraction of correct decisions per image, float64 of shape `(images,)`."""
    if data.multilabel:
        return ((probabilities >= 0.5) == data.numbers).mean(axis=1)
    return (probabilities.argmax(axis=1) == data.numbers).astype("float64")
