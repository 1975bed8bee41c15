"""Find suspect labels: those that disagree with a probe that was not trained on the image."""

from collections import Counter

import numpy as np
from scipy.special import softmax

from tlkeras.checks.backbone_features import Backbone, feature_function
from tlkeras.checks.findings import Finding
from tlkeras.data.listing import ImageFile
from tlkeras.data.splits import deal_folds
from tlkeras.pipelines.probe import linear_probe

_MOST_FOLDS = 10
# Labels with at least this probability of being wrong are suspect. This threshold was chosen on clipart10, where it
# finds as many of the wrong labels as confident learning does, and on labels changed by hand (docs/performance.md).
_SUSPECT = 0.1
# Possible shares of wrong labels. In ten well-known data sets, 3.3% are wrong on average (Northcutt, Athalye and
# Mueller, 2021, https://arxiv.org/abs/2103.14749). The prior is therefore exponential with a mean of 3%.
_SHARES = np.geomspace(0.002, 0.3, 16)
_LOG_PRIOR = np.log(_SHARES) - _SHARES / 0.03
_SHARPNESS = np.geomspace(0.05, 50, 97)  # powers that probabilities are raised to


def wrong_label_probabilities(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Estimate the probability that each label is wrong.

    The model assumes that a certain fraction of the labels is wrong, and that a wrong label is equally likely to be any
    class other than the true one. Correct labels follow the given probabilities after these have been sharpened or
    softened. Neither the fraction nor the sharpness is known, so the result is averaged over a grid of values for both,
    weighted by how well they explain the labels. Therefore, a probe that is often wrong flags few labels: softer
    probabilities explain its errors better than wrong labels do.

    Args:
        labels: Class indices, int array of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`, each row from a model that was not trained on the image.

    Returns:
        float array of shape `(images,)`, in [0, 1].

    Example:

    >>> labels = np.array([0] * 10 + [1] * 10)
    >>> first_class = np.array([0.98] * 9 + [0.01] + [0.02] * 10)  # the tenth looks like the second class
    >>> wrong_label_probabilities(labels, np.stack([first_class, 1 - first_class], axis=1)).round(1)[[0, 9, 10]]
    array([0. , 0.9, 0. ])
    """
    logs, rows = np.log(np.maximum(probabilities, 1e-12)), np.arange(len(labels))
    own = np.array([softmax(sharpness * logs, axis=1)[rows, labels] for sharpness in _SHARPNESS])
    per_class = _SHARES / max(1, probabilities.shape[1] - 1)

    def likelihoods(given: np.ndarray) -> np.ndarray:
        return np.maximum((1 - _SHARES) * given[:, None] + per_class * (1 - given[:, None]), 1e-300)

    evidence = np.array([np.log(likelihoods(given)).sum(axis=0) for given in own])
    wrong = np.zeros(len(labels))
    for given, weights in zip(own, softmax(evidence + _LOG_PRIOR), strict=True):
        if weights.sum() > 1e-6:
            wrong += (1 - given) * ((per_class / likelihoods(given)) @ weights)
    return wrong


def find_suspects(labels: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, float]]:
    """Find the labels that are worth reviewing, with the most likely errors first.

    Args:
        labels: Class indices, int array of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`, each row from a model that was not trained on the image.

    Returns:
        A list of pairs, each with the index of an image and the probability that its label is wrong. The most probable
        class of each of these images differs from its label.

    Example:

    >>> find_suspects(np.array([0] * 10 + [1] * 10), np.eye(2)[[0] * 9 + [1] * 11] * 0.98 + 0.01)[0][0]
    9
    """
    wrong = wrong_label_probabilities(labels, probabilities)
    suspects = np.flatnonzero((probabilities.argmax(axis=1) != labels) & (wrong >= _SUSPECT))
    return [(int(index), float(wrong[index])) for index in suspects[np.argsort(-wrong[suspects], kind="stable")]]


def suspect_labels(
    files: list[ImageFile], groups: np.ndarray, backbone: Backbone, image_size: tuple[int, int], seed: int
) -> list[Finding]:
    """Return findings for the labels that may be wrong.

    Classes with a single image, counting near-duplicates once, are skipped: when that image is held out, the probe has
    no other image of the class to learn from.

    Args:
        files: Files of the images.
        groups: int array of shape `(images,)`: near-duplicates have equal values.
        backbone: Name of a backbone, a Keras model, or a function that maps pixels to features.
        image_size: `(height, width)` that images are resized to for the backbone, in pixels.
        seed: Seed for the cross-validation.
    """
    pictures = Counter(label for label, _ in {(file.label, group) for file, group in zip(files, groups, strict=True)})
    judged = [index for index, file in enumerate(files) if pictures[file.label] > 1]
    files, groups = [files[index] for index in judged], groups[judged]
    names, labels = np.unique([file.label for file in files], return_inverse=True)
    if len(names) < 2:
        return []
    judged_folds = folds_to_judge(labels, groups, min(_MOST_FOLDS, max(pictures.values())), seed)
    if not judged_folds:
        return []
    features = feature_function(backbone, image_size)([file.path for file in files])
    probabilities = held_out_probabilities(features, labels, judged_folds)
    return [
        Finding(
            "suspect_label",
            (files[index].key,),
            f"{names[labels[index]]}? {names[probabilities[index].argmax()]} {probabilities[index].max():.2f}",
            wrong,
        )
        for index, wrong in find_suspects(labels, probabilities)
        if probabilities[index, labels[index]] > 0  # 0 means that all images of its class were in its fold
    ]


def held_out_probabilities(features: np.ndarray, labels: np.ndarray, pairs: list) -> np.ndarray:
    """Return each image's class probabilities, predicted by a probe that was not trained on the image.

    Args:
        features: Array of shape `(images, features)`.
        labels: Class indices, int array of shape `(images,)`.
        pairs: Pairs of training indices and held-out indices, as returned by `folds_to_judge`.

    Returns:
        float array of shape `(images, classes)`, with 0 for classes that the probe was not trained on.
    """
    probabilities = np.zeros((len(labels), labels.max() + 1))
    for seen, held_out in pairs:
        probe = linear_probe(features[seen], labels[seen], folds=1)  # fixed regularization is enough to judge
        probabilities[np.ix_(held_out, probe.classes_)] = probe.predict_proba(features[held_out])
    return probabilities


def folds_to_judge(labels: np.ndarray, groups: np.ndarray, most: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide images into as many folds as possible such that leaving out any one fold leaves at least two classes.

    Returns:
        Pairs of training indices and held-out indices; empty if no such folds exist.
    """
    largest_class = np.bincount(labels).max()
    for count in range(min(most, largest_class), 1, -1):
        parts = deal_folds(labels, groups, count, seed)
        pairs = [(np.setdiff1d(np.arange(len(labels)), part), part) for part in parts]
        if all(len(np.unique(labels[seen])) > 1 for seen, _ in pairs):
            return pairs
    return []
