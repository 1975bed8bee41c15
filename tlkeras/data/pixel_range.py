"""Warn about pixels that are not in the range from 0 to 255."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from tlkeras.errors import InputError, warn
from tlkeras.models.layer_tree import descendants

_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)


def scaled_pixels(images: Iterable[Any]) -> str:
    """Describe what is wrong with float images that have no value above 1; return `""` for all other images.

    A network that scales pixels itself would receive almost black images and raise no error. Images that are all zeros,
    have integer values, or have not been read yet are ignored.

    Args:
        images: One batch of shape `(n, height, width, channels)`, or a sequence of arrays, paths and other kinds of
            images. All values in arrays are checked.

    Returns:
        A sentence, or `""`.

    Example:

    >>> scaled_pixels(np.full((1, 8, 8, 3), 0.5))
    'Pixels must be in [0, 255]. Received: float64 from 0.5 to 0.5. Pass unscaled pixels, or multiply by 255.'
    >>> scaled_pixels(["boat.jpg", np.full((8, 8, 3), 1, "uint8")])
    ''
    """
    floats = [image for image in images if isinstance(image, np.ndarray) and image.dtype.kind == "f" and image.size]
    if not all(image.max() <= 1 for image in floats):  # usually the first image decides
        return ""
    highest = max((image.max() for image in floats), default=0)
    if not highest > 0:
        return ""
    lowest = min(image.min() for image in floats)
    advice = "Pass unscaled pixels" + (", or multiply by 255" if lowest >= 0 else "")
    return f"Pixels must be in [0, 255]. Received: {floats[0].dtype} from {lowest:.3g} to {highest:.3g}. {advice}."


def deep_pixels(images: Iterable[Any]) -> str:
    """Describe what is wrong with arrays that have values far above 255, such as 16-bit images; otherwise return `""`.

    Cubic and Lanczos filters overshoot slightly when resizing, which is harmless.

    Example:

    >>> deep_pixels(np.full((1, 8, 8, 3), 65535, "uint16"))
    'Pixels must be in [0, 255]. Received: uint16 up to 65535. Scale them; multiply 16-bit pixels by 255 / 65535.'
    """
    arrays = [image for image in images if isinstance(image, np.ndarray) and image.dtype.kind in "uif" and image.size]
    arrays = [array for array in arrays if array.dtype.itemsize > 1]  # a byte cannot hold such a value
    highest, kind = max(((image.max(), str(image.dtype)) for image in arrays), default=(0, ""))
    if not 2 * 255 < highest < math.inf:
        return ""
    return (
        f"Pixels must be in [0, 255]. Received: {kind} up to {highest:g}. "
        "Scale them; multiply 16-bit pixels by 255 / 65535."
    )


def check_finite(images: Sequence[np.ndarray], name: str) -> None:
    """Raise if images have values that are not finite.

    Args:
        images: One array of shape `(n, height, width, channels)`, or several of shape `(height, width, channels)`.
        name: Name of the images in the error message.

    Raises:
        InputError: Some images have values that are not finite; the message says how many.
    """
    lost = sum(image.dtype.kind == "f" and not np.isfinite(image).all() for image in images)
    if lost:
        raise InputError(
            f"{lost} of the {len(images)} images of {name} contain NaN or infinite values. Leave these images out."
        )


def warn_of_pixel_range(images: Iterable[Any], model: keras.Model | None = None) -> None:
    """Warn about the problems that `scaled_pixels` and `deep_pixels` find.

    Args:
        images: One batch or a sequence of images, as in `scaled_pixels`.
        model: The user's model that will receive the images. Only a model with a `Rescaling` or `Normalization` layer
            definitely expects raw pixels, so there is no warning for other models. Defaults to `None`, which always
            checks.
    """
    wants_raw = model is None or any(isinstance(layer, _SCALING) for layer in descendants(model))
    if wants_raw and (text := scaled_pixels(images) or deep_pixels(images)):
        warn(text)
