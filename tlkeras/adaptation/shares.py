"""Measure the fraction of images assigned to each class: the only sign of a failed adaptation that needs no labels."""

from collections.abc import Iterable

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.models.heads import find_head

#: Predictions have collapsed if they use less than this share of the classes used before adaptation.
_LEAST_LEFT = 0.5


def class_shares(model: keras.Model, batches: Iterable[np.ndarray]) -> np.ndarray | None:
    """Classify batches of images, and return the fraction of images assigned to each class.

    Args:
        model: A built Keras model.
        batches: Batches of images, as arrays of pixels.

    Returns:
        float64 array of shape `(classes,)` that sums to 1; None if the model has no head that predicts one class per
        image.
    """
    try:
        head = find_head(model)
    except InputError:
        return None
    if head.task != "multiclass":
        return None
    return shares_of(np.concatenate([model.predict_on_batch(pixels) for pixels in batches]))


def shares_of(scores: np.ndarray) -> np.ndarray:
    """Return the fraction of rows in which each column is the largest, as a float64 array of shape `(classes,)`.

    Example:

    >>> shares_of(np.array([[0.2, 0.8], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])).tolist()
    [0.25, 0.75]
    """
    return np.bincount(scores.argmax(axis=1), minlength=scores.shape[1]) / len(scores)


def classes_in_use(shares: np.ndarray) -> float:
    """Return the number of equally frequent classes that would have the same entropy as `shares`.

    Example:

    >>> classes_in_use(np.array([0.5, 0.5, 0.0]))
    2.0
    """
    positive = shares[shares > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def check_shares(before: np.ndarray, after: np.ndarray, consequence: str) -> None:
    """Raise an error if adaptation made the predictions collapse to too few classes.

    Args:
        before: Fraction of images assigned to each class before adaptation.
        after: Fraction of images assigned to each class after adaptation.
        consequence: A sentence that says what happened to the model, for the message.

    Raises:
        InputError: The effective number of classes in use falls below half of the number before adaptation.
    """
    used, left = classes_in_use(before), classes_in_use(after)
    if left < _LEAST_LEFT * used:
        raise InputError(
            f"Adapting to `unlabeled` makes the predictions collapse from {used:.1f} classes in use to {left:.1f}. "
            f"{consequence} Pass images of all classes, or a larger `prior`."
        )
