"""Metrics for images with several labels: average precision, F1, and thresholds."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support
from sklearn.model_selection import GroupKFold

from tlkeras.evaluation.metrics import defined
from tlkeras.pipelines.cross_validation import mean_with_error


@dataclass(frozen=True)
class LabelScore:
    """The scores of one label.

    Attributes:
        name: Name of the label, str.
        images: Number of images with the label.
        threshold: Probability at or above which the label is assigned.
        average_precision: Area under the precision-recall curve; for random scores, about the fraction of images with
            this label. None if no image has the label.
        precision: Fraction of the assignments of this label that are correct; None if it is never assigned.
        recall: Fraction of the images with this label to which it is assigned; None if no image has the label.
        f1: Harmonic mean of precision and recall; None if no image has the label and it is never assigned.
    """

    name: str
    images: int
    threshold: float
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class LabelScores:
    """The metrics of a classifier that assigns several labels to an image.

    Attributes:
        images: Number of images.
        mean_average_precision: Mean average precision (mAP) over the labels that at least one image has.
        chance: The mean average precision of random probabilities.
        mean_f1: Mean F1 over the labels for which F1 is defined.
        accuracy: Fraction of correct decisions over all images and labels.
        standard_error: Standard error of `accuracy`, where the labels of one image, and the images in one group, are
            treated as dependent. As in `Scores`, two correct and two wrong images are added.
        majority_accuracy: Accuracy of always predicting the more common value, 0 or 1, of each label.
        labels: A `LabelScore` per label.
    """

    images: int
    mean_average_precision: float
    chance: float
    mean_f1: float
    accuracy: float
    standard_error: float
    majority_accuracy: float
    labels: tuple[LabelScore, ...]

    def to_dict(self):
        """Return the scores as plain numbers, lists and dicts, ready for JSON."""
        return asdict(self)


def best_thresholds(labels, probabilities):
    """Choose, for each label, the probability threshold with the best F1.

    Args:
        labels: Array of 0s and 1s of shape `(images, labels)`.
        probabilities: Array with the shape of `labels`.

    Returns:
        float64 array of shape `(labels,)`; 0.5 for a label that no image or every image has.

    Example:

    >>> best_thresholds([[0], [0], [1], [1]], [[0.1], [0.2], [0.3], [0.9]])
    array([0.25])
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, "float64")
    return np.array([_best_threshold(*columns) for columns in zip(labels.T, probabilities.T, strict=True)])


def _best_threshold(labels, probabilities):
    if labels.min() == labels.max():
        return 0.5
    precision, recall, edges = precision_recall_curve(labels, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    edge = edges[int(f1[:-1].argmax())]
    below = probabilities[probabilities < edge]  # halfway to the next one, so rounding is harmless
    return float((edge + below.max()) / 2 if len(below) else edge / 2)


def score_labels(labels, probabilities, names, groups=None, folds=5, thresholds=None):
    """Score predicted probabilities of several labels per image.

    Precision, recall, F1 and accuracy use thresholds that were chosen on other images. By default, the images are split
    into folds, and each fold uses the thresholds that are best on the other folds.

    Args:
        labels: Array of 0s and 1s of shape `(images, labels)`.
        probabilities: Array with the shape of `labels`, from a model that was not trained on these images.
        names: Names of the labels.
        groups: int array of shape `(images,)`; images in the same group stay in one fold. Defaults to None, which puts
            every image in its own group.
        folds: Number of folds. Defaults to 5.
        thresholds: One threshold per label, chosen on other images. A label is assigned if its probability is at or
            above its threshold. Defaults to None, which chooses the thresholds of each fold on the other folds.

    Returns:
        `LabelScores`.

    Example:

    >>> import numpy as np
    >>> labels = np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 5)
    >>> scores = score_labels(labels, 0.1 + 0.8 * labels, ["round", "red"])
    >>> scores.mean_average_precision, scores.mean_f1, scores.chance
    (1.0, 1.0, 0.5)
    """
    labels, probabilities = np.asarray(labels).astype(int), np.asarray(probabilities, "float64")
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    if thresholds is None:
        decided, thresholds = _decided(labels, probabilities, groups, folds), best_thresholds(labels, probabilities)
    else:
        decided = (probabilities >= np.asarray(thresholds)).astype(int)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, decided, average=None, zero_division=np.nan)
    counts = labels.sum(axis=0)
    areas = [
        average_precision_score(one, share) if one.any() else np.nan
        for one, share in zip(labels.T, probabilities.T, strict=True)
    ]
    rows = zip(names, counts, thresholds, areas, precision, recall, f1, strict=True)
    right = (decided == labels).mean(axis=1)
    return LabelScores(
        images=len(labels),
        mean_average_precision=float(np.nanmean(areas)),
        chance=float(labels[:, counts > 0].mean()),
        mean_f1=float(np.nanmean(f1)),
        accuracy=float(right.mean()),
        standard_error=_standard_error(right, groups),
        majority_accuracy=float(np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0)).mean()),
        labels=tuple(LabelScore(str(name), int(count), *map(defined, rest)) for name, count, *rest in rows),
    )


def _standard_error(right, groups):
    """Compute the standard error of the mean after adding two correct and two wrong images, each in its own group."""
    _, numbers = np.unique(groups, return_inverse=True)
    return mean_with_error([*right, 1, 1, 0, 0], [*numbers, -1, -2, -3, -4])[1]


def _decided(labels, probabilities, groups, folds):
    """Decide the labels of each fold with the best thresholds of the other folds."""
    decided = np.zeros(labels.shape, int)
    folds = min(folds, len(np.unique(groups)))
    parts = GroupKFold(folds).split(labels, groups=groups) if folds > 1 else [(slice(None), slice(None))]
    for others, part in parts:
        decided[part] = probabilities[part] >= best_thresholds(labels[others], probabilities[others])
    return decided
