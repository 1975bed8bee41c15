"""Pixels run from 0 to 255: a word where they have been scaled already."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tlkeras.errors import warn
from tlkeras.graph import descendants

_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)


def scaled_pixels(images: Iterable[Any]) -> str:
    """What is wrong with images that are floats none of which is above 1; nothing of others.

    A network that scales pixels itself sees hardly more than black in them, and says nothing. Images that are all
    zeros, of integers, or not read yet are passed over.

    Args:
        images: One batch, `(n, height, width, channels)`, or a sequence of arrays, paths and whatever else is an
            image. All values are looked at.

    Returns:
        A sentence, or `""`.

    Example:

    >>> scaled_pixels(np.full((1, 8, 8, 3), 0.5))
    'Pixels run from 0 to 255; these are float64 from 0.5 to 0.5: give them as they were read, or multiply by 255.'
    >>> scaled_pixels(["boat.jpg", np.full((8, 8, 3), 1, "uint8")])
    ''
    """
    floats = [image for image in images if isinstance(image, np.ndarray) and image.dtype.kind == "f" and image.size]
    highest = max((image.max() for image in floats), default=0)
    if not 0 < highest <= 1:
        return ""
    lowest = min(image.min() for image in floats)
    mend = "give them as they were read" + (", or multiply by 255" if lowest >= 0 else "")
    return f"Pixels run from 0 to 255; these are {floats[0].dtype} from {lowest:.3g} to {highest:.3g}: {mend}."


def warn_of_scaled_pixels(images: Iterable[Any], model: keras.Model | None = None) -> None:
    """Warns of what `scaled_pixels` finds wrong.

    Args:
        images: As there.
        model: A model of the user's own that is to take them: only one with a `Rescaling` or `Normalization` layer is
            sure to want raw pixels, so of others nothing is said.
    """
    wants_raw = model is None or any(isinstance(layer, _SCALING) for layer in descendants(model))
    if wants_raw and (text := scaled_pixels(images)):
        warn(text)
