"""Temperature scaling of a Keras classifier, folded into the weights of its head."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from tlkeras.errors import InputError
from tlkeras.evaluation.calibration import (
    Reliability,
    check_probabilities,
    fit_temperature,
    reliability,
    scale_temperature,
)
from tlkeras.models.heads import find_head
from tlkeras.utils.validation import check_number


@dataclass(frozen=True)
class Calibration:
    """A model's temperature, and the reliability of its probabilities before and after scaling.

    Attributes:
        temperature: Number that the logits are divided by. If it is above 1, the model was overconfident.
        before: `Reliability` of the original model.
        after: `Reliability` after scaling. For this measurement, each image's temperature is fitted without that image,
            so the improvement is not overstated.
    """

    temperature: float
    before: Reliability
    after: Reliability

    def to_dict(self) -> dict:
        """Return the measurements as plain numbers, lists and dicts, ready for JSON."""
        return {"temperature": self.temperature, "before": self.before.to_dict(), "after": self.after.to_dict()}


def calibrate(
    model: keras.Model, images: Any, labels: ArrayLike | None = None, *, batch_size: int = 32, seed: int = 0
) -> Calibration:
    """Calibrate a classifier by temperature scaling, using images that it was not trained on.

    The weights of the model's head are divided by the temperature, in place. The saved model therefore needs no extra
    code, and predicted classes do not change.

    Args:
        model: Classifier that ends in a `Dense` layer with softmax.
        images: A split from `tlkeras.load_images`, such as the validation split, or pixels of shape `(images, height,
            width, 3)`.
        labels: Class indices of shape `(images,)`. Defaults to None, which uses the labels of the split.
        batch_size: Images per forward pass. Defaults to 32.
        seed: Seed for the folds and bootstrap samples of the measurement. Defaults to 0.

    Returns:
        `Calibration`: the temperature, and the reliability of the probabilities before and after scaling.

    Raises:
        InputError: The model does not end in a `Dense` layer with softmax, the numbers of images and labels differ, or
            there are no images (for example, in the validation split of `load_images(validation_size=0)`).

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(inputs))
    >>> X = np.random.default_rng(0).normal(size=(60, 4))
    >>> calibrate(model, X, np.arange(60) % 3).before.images
    60

    Reference: Guo et al., 2017, https://arxiv.org/abs/1706.04599
    """
    _check_softmax(model)
    groups = getattr(images, "groups", None)
    if labels is None:
        if not hasattr(images, "labels"):
            raise InputError("`labels` must be given unless `images` is a split from `tlkeras.load_images`.")
        labels = images.labels
    if not len(labels):
        raise InputError(
            "`images` must not be empty. To get images that the model was not trained on, call `load_images` with a "
            "`validation_size` above 0 and pass the validation split."
        )
    pixels = images.read() if hasattr(images, "read") else np.asarray(images)
    probabilities = np.asarray(model.predict(pixels, batch_size=batch_size, verbose=0), "float64")
    temperature = fit_temperature(labels, probabilities)
    after = cross_fitted(labels, probabilities, groups, seed=seed)
    scale_head(model, temperature)
    before, after = (reliability(labels, one, groups=groups, seed=seed) for one in (probabilities, after))
    return Calibration(temperature, before, after)


def scale_head(model: keras.Model, temperature: float) -> None:
    """Scale the weights of a classifier's head so that the logits are divided by a temperature.

    Args:
        model: Classifier that ends in a `Dense` layer with softmax. The classifier is changed in place.
        temperature: A positive number.

    Raises:
        InputError: The model does not end in a `Dense` layer with softmax.
    """
    temperature = check_number("temperature", temperature, "(0, inf)")
    head = _check_softmax(model)
    head.set_weights([np.asarray(weights) / np.asarray(temperature, weights.dtype) for weights in head.get_weights()])


def _check_softmax(model):
    """Return the `Dense` layer of a classifier's head, or raise an error if no softmax follows it."""
    head = find_head(model)
    if head.activation != "softmax":
        raise InputError(
            f"`model` must end in a softmax. Received: {model.name!r}, which ends in {head.activation!r}. For a model "
            "with several labels per image, choose thresholds instead."
        )
    return head.layer


def cross_fitted(
    labels: np.ndarray, probabilities: np.ndarray, groups: ArrayLike | None = None, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Recalibrate each image's probabilities with a temperature fitted on the other folds, for an unbiased measurement.

    Args:
        labels: Class indices of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`.
        groups: Array of shape `(images,)`; images in the same group stay in one fold. Defaults to None, which treats
            all images as independent.
        folds: Number of folds.
        seed: Seed for the folds.

    Returns:
        float64 array of shape `(images, classes)`.
    """
    labels, probabilities = check_probabilities(labels, probabilities)
    _, numbers = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(numbers.max() + 1)[numbers] % folds
    scaled = np.array(probabilities)
    for one in np.unique(fold):
        if (fold != one).any():
            temperature = fit_temperature(labels[fold != one], probabilities[fold != one])
            scaled[fold == one] = scale_temperature(probabilities[fold == one], temperature)
    return scaled
