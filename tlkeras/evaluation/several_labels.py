"""How well a classifier does where an image may have several labels: average precision, F1, and thresholds."""

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
        name: str, the label.
        images: Number of images that have it.
        threshold: Probability at or above which the label is assigned.
        average_precision: Area under the curve of precision over recall; at random it is the share of images with
            this label. None where no image has it.
        precision: Share of the images assigned the label that have it; None where none is assigned it.
        recall: Share of the images with the label that are assigned it; None where no image has it.
        f1: Harmonic mean of precision and recall; None where no image has the label or is assigned it.
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
    """What was measured where an image may have several labels.

    Attributes:
        images: Number of images.
        mean_average_precision: Mean of the average precisions (mAP) of the labels that some image has.
        chance: The same for random probabilities.
        mean_f1: Mean of the F1 of the labels that have one.
        accuracy: Share of right decisions, of all images and labels.
        standard_error: Of `accuracy`; the labels of one image count as dependent.
        majority_accuracy: Share of right decisions when always giving the more common answer for each label.
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
        labels: Array of 0 and 1 of shape `(images, labels)`.
        probabilities: Array of the same shape.

    Returns:
        float64 array of shape `(labels,)`; 0.5 for a label that no image has, or that all have.

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
    below = probabilities[probabilities < edge]  # half way to the next one, or a float of less precision falls below
    return float((edge + below.max()) / 2 if len(below) else edge / 2)


def score_labels(labels, probabilities, names, groups=None, folds=5, thresholds=None):
    """Score predicted probabilities of several labels per image.

    Precision, recall, F1 and accuracy use thresholds that were chosen on other images. By default the images are
    dealt out to folds, and those of one fold are decided by the best thresholds of the others.

    Args:
        labels: Array of 0 and 1 of shape `(images, labels)`.
        probabilities: Array of the same shape, by a model that had not seen the images.
        names: Names of the labels.
        groups: int array of shape `(images,)`; images of one group stay in one fold. Defaults to None, which puts every
            image in its own group.
        folds: Number of folds. Defaults to 5.
        thresholds: Probability per label at or above which it is assigned, chosen on other images. Defaults to None,
            chosen by folds.

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
        standard_error=mean_with_error(right, groups)[1],
        majority_accuracy=float(np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0)).mean()),
        labels=tuple(LabelScore(str(name), int(count), *map(defined, rest)) for name, count, *rest in rows),
    )


def _decided(labels, probabilities, groups, folds):
    """Decide the labels of each fold by the best thresholds of the other folds."""
    decided = np.zeros(labels.shape, int)
    folds = min(folds, len(np.unique(groups)))
    parts = GroupKFold(folds).split(labels, groups=groups) if folds > 1 else [(slice(None), slice(None))]
    for others, part in parts:
        decided[part] = probabilities[part] >= best_thresholds(labels[others], probabilities[others])
    return decided
