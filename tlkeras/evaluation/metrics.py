"""Accuracy of a classifier, compared with chance and with the majority class."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tlkeras.pipelines.cross_validation import mean_with_error


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class.

    Attributes:
        name: Name of the class, str.
        images: Number of images with this label.
        precision: Fraction of the images classified as this class that belong to it; None if there are no such
            predictions.
        recall: Fraction of the images of this class that are classified correctly; None for a class without images.
        f1: Harmonic mean of precision and recall; None for a class that has no images and is never predicted.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Scores:
    """The metrics of one split.

    Attributes:
        images: Number of images.
        accuracy: Fraction of correct predictions, in [0, 1].
        standard_error: Standard error of the accuracy: sqrt(p (1 - p) / (n + 4)), where p is computed after adding two
            correct and two wrong predictions, so that an accuracy of 0 or 1 on a few images does not look certain
            (Agresti and Coull, 1998). If images form dependent groups and the standard error computed from the groups
            is larger, the larger value is used.
        majority_class: Most common class of the training images, str.
        majority_accuracy: Accuracy of always predicting `majority_class`.
        classes: A `ClassScore` for each class.
        confusion: int array of shape `(classes, classes)`: one row per true class, one column per predicted class.
    """

    images: int
    accuracy: float
    standard_error: float
    majority_class: str
    majority_accuracy: float
    classes: tuple[ClassScore, ...]
    confusion: np.ndarray

    def to_dict(self):
        """Return the scores as plain numbers, lists and dicts, ready for JSON."""
        return asdict(self) | {"confusion": self.confusion.tolist()}


def score(labels, predictions, class_names, majority, groups=None):
    """Compare predictions with labels.

    Args:
        labels: True class indices of at least one image, int array of shape `(images,)`.
        predictions: Predicted class indices, int array of shape `(images,)`.
        class_names: Class names, in the order of the class indices.
        majority: Index of the most common class of the training images. It is passed in because the baseline must not
            be computed from `labels`.
        groups: int array of shape `(images,)`. Images with equal values, such as images of one patient, are treated as
            dependent, which increases the standard error. Defaults to None, which treats all images as independent.

    Returns:
        `Scores`.

    Example:

    >>> scores = score([0, 1, 1, 1], [0, 1, 1, 0], ["cat", "dog"], majority=1)
    >>> scores.accuracy, round(scores.standard_error, 3)
    (0.75, 0.171)
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    numbers = range(len(class_names))
    accuracy = float(np.mean(labels == predictions))
    *shares, support = precision_recall_fscore_support(labels, predictions, labels=numbers, zero_division=np.nan)
    return Scores(
        images=len(labels),
        accuracy=accuracy,
        standard_error=_standard_error(labels == predictions, groups),
        majority_class=class_names[majority],
        majority_accuracy=float(np.mean(labels == majority)),
        classes=tuple(
            ClassScore(class_names[i], int(support[i]), *(defined(share[i]) for share in shares)) for i in numbers
        ),
        confusion=confusion_matrix(labels, predictions, labels=numbers),
    )


def defined(share):
    """Return a fraction as a float, or None if it is NaN, which means that there were no images."""
    return None if np.isnan(share) else float(share)


def _standard_error(right, groups):
    """Compute the standard error of an accuracy, treating images in the same group as dependent."""
    count = len(right)
    share = (int(right.sum()) + 2) / (count + 4)
    independent = float(np.sqrt(share * (1 - share) / (count + 4)))
    return independent if groups is None else max(independent, mean_with_error(right, groups)[1])
