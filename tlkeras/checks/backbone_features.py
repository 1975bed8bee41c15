"""Compute image features for the checks, with a pretrained backbone or the user's function."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from tlkeras.data.reading import read_images
from tlkeras.errors import InputError
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.utils.validation import invalid

_BATCH = 256  # images passed to a function at a time

Backbone = str | keras.Model | Callable[[np.ndarray], np.ndarray]


def feature_function(backbone: Backbone, image_size: tuple[int, int]) -> Callable[[Sequence], np.ndarray]:
    """Return a function that turns images into features.

    Args:
        backbone: Name of a backbone, a Keras model, or a function that maps pixels of shape `(n, height, width, 3)` in
            [0, 255] to features of shape `(n, d)`.
        image_size: `(height, width)` that images are resized to, in pixels.

    Returns:
        A function that takes paths, or pixels of size `image_size`, and returns features of shape `(images, d)`.

    Raises:
        InputError: `backbone` is none of the above. The returned function also raises this error if the user's function
            does not return one row of features per image.
    """
    if isinstance(backbone, str | keras.Model):
        return FeatureExtractor(backbone, image_size=image_size).transform
    if not callable(backbone):
        raise invalid(
            "backbone", backbone, "be the name of a backbone, a Keras model or a function that maps pixels to features"
        )

    def features(images: Sequence) -> np.ndarray:
        parts = []
        for start in range(0, len(images), _BATCH):
            pixels = read_images(images[start : start + _BATCH], image_size)
            part = np.asarray(backbone(pixels))
            if part.ndim != 2 or len(part) != len(pixels):
                raise InputError(
                    f"`backbone` must return an array of shape ({len(pixels)}, features) for {len(pixels)} images. "
                    f"Received: shape {part.shape}."
                )
            parts.append(part)
        return np.concatenate(parts)

    return features
