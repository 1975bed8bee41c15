"""Validated features with labels, the input of every probe."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import type_of_target

from tlkeras.data.splits import deal_folds
from tlkeras.errors import InputError
from tlkeras.utils.validation import invalid, shown


@dataclass(frozen=True)
class LabeledFeatures:
    """Features in double precision, with the labels and groups of the images.

    Attributes:
        features: float64 array of shape `(images, features)`.
        labels: Array of shape `(images,)` as given, or an int array of zeros and ones of shape `(images, classes)`.
        classes: Array of shape `(classes,)`: the distinct labels in ascending order, or the column indices.
        numbers: int array with the shape of `labels`: indices into `classes`, or zeros and ones.
        groups: int array of shape `(images,)`; images with equal values are never split between training and held-out
            images.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    numbers: np.ndarray
    groups: np.ndarray

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels or none."""
        return self.labels.ndim == 2

    @property
    def strata(self) -> np.ndarray:
        """The class by which each image is stratified; with several labels per image, the rarest of these labels."""
        if not self.multilabel:
            return self.numbers
        counts = np.where(self.numbers == 1, self.numbers.sum(axis=0), len(self.numbers) + 1)
        return np.where(self.numbers.any(axis=1), counts.argmin(axis=1), len(self.classes))

    @property
    def sizes(self) -> list[int]:
        """The number of groups in each class (stratum)."""
        strata = self.strata
        return [len(np.unique(self.groups[strata == one])) for one in np.unique(strata)]

    @property
    def rarest(self) -> int:
        """The number of groups in the class (stratum) that has the fewest groups."""
        return min(self.sizes)

    def deal_folds(self, count: int, seed: int = 0) -> list[np.ndarray]:
        """Assign images to folds by stratum, keeping each group in one fold; see `tlkeras.data.splits.deal_folds`."""
        return deal_folds(self.strata, self.groups, count, seed)

    def take(self, rows) -> "LabeledFeatures":
        """Select some of the images; the classes and their indices do not change."""
        parts = (one[rows] for one in (self.features, self.labels, self.numbers, self.groups))
        features, labels, numbers, groups = parts
        return LabeledFeatures(features, labels, self.classes, numbers, groups)

    def weights(self, class_weight, rows=slice(None)) -> np.ndarray:
        """Compute image weights from class weights, as in scikit-learn; float64 with the shape of `labels[rows]`."""
        labels = self.labels[rows]
        if not self.multilabel:
            return compute_sample_weight(class_weight, labels)
        return np.stack([compute_sample_weight(class_weight, column) for column in labels.T], axis=1)


def labeled_features(features: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None) -> LabeledFeatures:
    """Check features, labels and groups.

    Args:
        features: Features of the images, a numeric array of shape `(images, features)`.
        labels: Array of shape `(images,)` of class indices or names, or of shape `(images, classes)` of zeros and ones.
        groups: One value per image, such as a patient ID, or None if all images are independent. An image whose group
            is missing (None or NaN) forms its own group.

    Raises:
        InputError: The shapes of the arrays do not match, the features are not finite numbers, or the labels are
            missing, continuous, or all of one class.

    Example:

    >>> labeled_features(np.eye(4), ["cat", "dog", "cat", "dog"]).classes.tolist()
    ['cat', 'dog']
    """
    numbers, labels = _feature_table(features), np.asarray(labels)
    if labels.shape[:1] != numbers.shape[:1] or labels.ndim not in (1, 2):
        raise InputError(
            "`features` and `labels` must have one row per image: (images, features) and (images,), or (images, "
            f"classes) if images may have several labels. Received: {numbers.shape} and {labels.shape}."
        )
    if lost := int((~np.isfinite(numbers)).any(axis=1).sum()):
        raise InputError(
            f"`features` must be finite. Received: {lost} of {len(numbers)} rows with NaN or infinity. Remove "
            "these images."
        )
    groups = np.arange(len(labels)) if groups is None else _group_numbers(groups, len(labels))
    if labels.ndim == 2:
        labels = _label_columns(labels)
        return LabeledFeatures(numbers, labels, np.arange(labels.shape[1]), labels, groups)
    classes, inverse = _classes(labels)
    return LabeledFeatures(numbers, labels, classes, inverse, groups)


def _feature_table(features):
    try:
        # scikit-learn computes in the precision of the features, and L-BFGS needs double precision.
        table = np.asarray(features, "float64")
    except (TypeError, ValueError):
        table = None
    if table is None or table.ndim != 2:
        received = shown(features) if table is None else f"an array of shape {table.shape}"
        raise InputError(
            "`features` must be a numeric array of shape (images, features), such as the output of "
            f"`FeatureExtractor().transform(paths)`. Received: {received}."
        )
    return table


def _classes(labels):
    missing = [one for one in labels.tolist() if one is None or one != one]
    if missing:
        raise invalid(
            "labels", labels, "contain a class for every image", f"Remove the images without a label ({len(missing)})."
        )
    try:
        classes, inverse = np.unique(labels, return_inverse=True)
    except TypeError:
        raise invalid("labels", labels, "be either class numbers or class names, not a mixture") from None
    if len(classes) < 2:
        raise invalid("labels", labels, "contain at least two classes", f"All labels are {classes.tolist()}.")
    if labels.dtype.kind == "f" and type_of_target(labels) == "continuous":
        raise invalid("labels", labels, "be class numbers or names", "To predict continuous numbers, use a regressor.")
    if labels.dtype.kind in "if" and -1 in classes and len(classes) > 2:
        raise invalid(
            "labels",
            labels,
            "contain a class for every image, where -1 means a missing label",
            f"Remove the images labeled -1 ({int((labels == -1).sum())}), or number the classes from 0.",
        )
    return classes, inverse


def _label_columns(labels):
    if labels.shape[1] < 2 or labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        raise invalid(
            "labels",
            labels,
            "be zeros and ones, with one column per class, if it is two-dimensional",
            "Soft targets are not supported.",
        )
    labels = labels.astype(int)
    if (labels.sum(axis=1) == 1).all():
        raise invalid(
            "labels", labels, "be class numbers if each image has exactly one label", "Pass `labels.argmax(axis=1)`."
        )
    constant = [column for column in range(labels.shape[1]) if labels[:, column].min() == labels[:, column].max()]
    if constant:
        raise invalid("labels", labels, "include images with and without each label", f"Remove the columns {constant}.")
    return labels


def _group_numbers(groups, count):
    groups = np.asarray(groups, object)
    if groups.shape != (count,):
        raise InputError(f"`groups` must have one value per image. Received: shape {groups.shape} for {count} images.")
    numbers = {}
    missing = (("missing", index) for index in range(count))
    keys = [next(missing) if one is None or one != one else one for one in groups.tolist()]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])
