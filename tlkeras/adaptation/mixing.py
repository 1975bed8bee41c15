"""Measure the accuracy of a model whose weights from before and after fine-tuning are averaged (WiSE-FT)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tlkeras.data.dataset import ImageSplit
from tlkeras.errors import InputError
from tlkeras.models.layer_tree import check_model
from tlkeras.training.steps.averaging import assign_values, values_of
from tlkeras.utils.tables import table
from tlkeras.utils.validation import check_number


@dataclass(frozen=True)
class MixingCurve:
    """The result of `tlkeras.mixing_curve`; `print` shows it as a table.

    Attributes:
        shares: Fractions of the average that come from the fine-tuned model, a tuple of floats.
        accuracy: Dict that maps the name of each image set to the accuracies on that set, a float64 array of shape
            `(shares,)`.
        standard_error: Dict that maps each name to the standard errors of these accuracies, a float64 array of shape
            `(shares,)`.
    """

    shares: tuple[float, ...]
    accuracy: dict[str, np.ndarray]
    standard_error: dict[str, np.ndarray]

    def __str__(self) -> str:
        rows = [
            [
                f"{share:.2f}",
                *(f"{self.accuracy[name][i]:.3f} ± {self.standard_error[name][i]:.3f}" for name in self.accuracy),
            ]
            for i, share in enumerate(self.shares)
        ]
        return table(["fine-tuned", *self.accuracy], rows)


def mixing_curve(
    start: keras.Model,
    tuned: keras.Model,
    images: Mapping[str, Any],
    *,
    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    batch_size: int = 32,
) -> MixingCurve:
    """Measure the accuracy of weighted averages of two models on several image sets, such as clean and shifted images.

    Fine-tuning improves accuracy on images like the training images, and often reduces accuracy on images unlike them.
    Averaging the weights from before fine-tuning (a linear probe on the pretrained backbone) with the weights from
    after fine-tuning keeps most of the accuracy on both kinds of images. Use validation images, not test images, to
    choose the fraction of the fine-tuned weights.

    Args:
        start: Classifier before fine-tuning.
        tuned: Classifier with the same architecture after fine-tuning. Its weights change during the call and are
            restored afterwards.
        images: Dict that maps each name to a split from `tlkeras.load_images`, or to a pair of pixels and class
            indices.
        shares: Fractions of the average that come from the fine-tuned model, each in [0, 1]. Defaults to five values
            from 0 to 1.
        batch_size: Images per forward pass. Defaults to 32.

    Returns:
        `MixingCurve`.

    Raises:
        InputError: The weights of the models differ in shape, or an argument is invalid.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> start, tuned = (keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]) for _ in range(2))
    >>> pixels, labels = np.eye(2), np.array([0, 1])
    >>> tuned.set_weights([np.eye(2), np.zeros(2)])
    >>> mixing_curve(start, tuned, {"clean": (pixels, labels)}, shares=[1]).accuracy["clean"].tolist()
    [1.0]

    Reference: Wortsman et al., 2022, https://arxiv.org/abs/2109.01903
    """
    for model in (start, tuned):
        check_model(model)
    if [one.shape for one in start.weights] != [one.shape for one in tuned.weights]:
        raise InputError(
            "`start` and `tuned` must have weights of the same shapes. Received: two different architectures."
        )
    if not isinstance(images, Mapping) or not images:
        raise InputError(f"`images` must be a dict that maps names to images. Received: {type(images).__name__}.")
    shares = tuple(check_number("shares", share, "[0, 1]") for share in shares)
    ends = [[np.array(keras.ops.convert_to_numpy(one)) for one in model.weights] for model in (start, tuned)]
    kept = values_of(tuned.weights)
    accuracy, error = ({name: np.zeros(len(shares)) for name in images} for _ in range(2))
    try:
        for place, share in enumerate(shares):
            for variable, before, after in zip(tuned.weights, *ends, strict=True):
                if np.issubdtype(before.dtype, np.floating):
                    variable.assign((1 - share) * before + share * after)
            for name, one in images.items():
                right = _right(tuned, one, batch_size)
                accuracy[name][place] = right.mean()
                error[name][place] = right.std() / np.sqrt(len(right))
    finally:
        assign_values(tuned.weights, kept)
    return MixingCurve(shares, accuracy, error)


def _right(model, images, batch_size):
    """Return whether each prediction is correct."""
    if isinstance(images, ImageSplit):
        images = images.read(), images.labels
    pixels, labels = images
    scores = model.predict(np.asarray(pixels), batch_size=batch_size, verbose=0)
    if scores.ndim != 2 or np.ndim(labels) != 1 or len(labels) != len(scores):
        raise InputError(
            "`images` must contain one class index per image. Received: labels of shape "
            f"{np.shape(labels)} for {len(scores)} images."
        )
    predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > 0.5
    return (predicted == np.asarray(labels)).astype("float64")
