"""Suspect labels: find images that a probe assigns to another class without having seen them."""

import warnings
from collections import Counter

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from tlkeras.checks.features import Backbone, feature_function
from tlkeras.checks.findings import Finding
from tlkeras.data.listing import ImageFile
from tlkeras.pipelines.probe import linear_probe

_MOST_FOLDS = 10


def confident_suspects(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find labels that are probably wrong, by confident learning.

    The number of suspects is estimated first: an image counts as one of another class if that class is the likeliest
    of those whose probability reaches its average over the images with its label. Then as many images are returned,
    from those that the model would label differently, the lowest probability of their own label first.

    Args:
        labels: int array of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`, each row from a model that did not see the image.

    Returns:
        int array of the indices of the suspects.

    Example:

    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> first_class = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.55])
    >>> confident_suspects(labels, np.stack([first_class, 1 - first_class], axis=1))
    array([2])

    Reference: Northcutt, Jiang and Chuang, [Confident learning](https://arxiv.org/abs/1911.00068), 2021.
    """
    own = probabilities[np.arange(len(labels)), labels]
    usual = [own[labels == one].mean() if (labels == one).any() else np.inf for one in range(probabilities.shape[1])]
    confident = np.where(probabilities >= usual, probabilities, -np.inf)
    count = int((np.isfinite(confident.max(axis=1)) & (confident.argmax(axis=1) != labels)).sum())
    labeled_differently = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return labeled_differently[np.argsort(own[labeled_differently], kind="stable")][:count]


def suspect_labels(
    files: list[ImageFile], groups: np.ndarray, backbone: Backbone, image_size: tuple[int, int], seed: int
) -> list[Finding]:
    """Return findings for the labels that are probably wrong.

    Classes of one picture, near-duplicates counted once, are left out: no other picture is left to learn from when
    that one is judged.

    Args:
        files: The images.
        groups: int array of shape `(images,)`, equal for near-duplicates.
        backbone: Name of a backbone, a Keras model, or a function from pixels to features.
        image_size: `(height, width)` in pixels at which the backbone sees the images.
        seed: Seed of the cross-validation.
    """
    pictures = Counter(label for label, _ in {(file.label, group) for file, group in zip(files, groups, strict=True)})
    judged = [index for index, file in enumerate(files) if pictures[file.label] > 1]
    files, groups = [files[index] for index in judged], groups[judged]
    names, labels = np.unique([file.label for file in files], return_inverse=True)
    if len(names) < 2:
        return []
    folds = deal_folds(labels, groups, min(_MOST_FOLDS, max(pictures.values())), seed)
    if not folds:
        return []
    features = feature_function(backbone, image_size)([file.path for file in files])
    probabilities = held_out_probabilities(features, labels, folds)
    return [
        Finding(
            "suspect_label",
            (files[index].key,),
            f"{names[labels[index]]}? {names[probabilities[index].argmax()]} {probabilities[index].max():.2f}",
            1 - float(probabilities[index, labels[index]]),
        )
        for index in confident_suspects(labels, probabilities)
        if probabilities[index, labels[index]] > 0  # else all images of its class were in its fold
    ]


def held_out_probabilities(features: np.ndarray, labels: np.ndarray, folds: list) -> np.ndarray:
    """Return each image's class probabilities from a probe that did not see it.

    Args:
        features: Array of shape `(images, features)`.
        labels: int array of shape `(images,)`.
        folds: Pairs of indices to fit on and indices to judge, as `deal_folds` returns.

    Returns:
        float array of shape `(images, classes)`; 0 for a class that the probe did not see.
    """
    probabilities = np.zeros((len(labels), labels.max() + 1))
    for seen, held_out in folds:
        probe = linear_probe(features[seen], labels[seen], folds=1)  # of a fixed strength: to look with, not to keep
        probabilities[np.ix_(held_out, probe.classes_)] = probe.predict_proba(features[held_out])
    return probabilities


def deal_folds(labels: np.ndarray, groups: np.ndarray, most: int, seed: int) -> list:
    """Deal images to as many folds as possible, each leaving two classes or more to learn from.

    Returns:
        Pairs of indices, to fit on and to judge; empty if no such folds exist.
    """
    largest_class = np.bincount(labels).max()
    for count in range(min(most, largest_class), 1, -1):
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "The least populated class"
            )  # a fold need not have an image of each class
            folds = list(splitter.split(labels, labels, groups))
        if all(len(np.unique(labels[seen])) > 1 for seen, _ in folds):
            return folds
    return []
