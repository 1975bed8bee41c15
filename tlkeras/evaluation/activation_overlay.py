"""Draw an activation map over its image."""

from typing import Any

import numpy as np
from PIL import Image

from tlkeras.data.reading import read_image
from tlkeras.errors import InputError


def activation_overlay(
    image: Any, activation_map: np.ndarray, image_size: int | tuple[int, int] | None = None
) -> Image.Image:
    """Draw an activation map over its image: regions that support the class keep their colors; the rest is darkened.

    Darkening needs no color scale, so it looks the same in grayscale and to people with color blindness.

    Args:
        image: Pixels of shape `(height, width, 3)` in [0, 255] as passed to the model, or an image in any form that
            `tlkeras.read_image` accepts.
        activation_map: Array of shape `(rows, columns)` from `tlkeras.activation_maps`. Negative values are treated as
            0.
        image_size: `(height, width)` of the result, in pixels, or one integer for a square. Defaults to None, the size
            of the image.

    Returns:
        `PIL.Image`; save it, let a notebook show it, or pass several to `tlkeras.contact_sheet`.

    Raises:
        InputError: The image cannot be read, or the map is not two-dimensional.

    Example:

    >>> activation_overlay(np.full((64, 64, 3), 200, "uint8"), np.eye(4)).size
    (64, 64)
    """
    activation_map = np.asarray(activation_map, "float32")
    if activation_map.ndim != 2 or not activation_map.size:
        raise InputError(f"`activation_map` must have the shape (rows, columns). Received: {activation_map.shape}.")
    pixels = read_image(image, image_size)
    height, width = pixels.shape[:2]
    evidence = np.clip(activation_map, 0, None)
    evidence /= max(float(evidence.max()), 1e-12)
    smooth = Image.fromarray(evidence).resize((width, height), Image.Resampling.BICUBIC)
    light = 0.22 + 0.78 * np.clip(np.asarray(smooth), 0, 1)[..., None]
    return Image.fromarray(np.round(pixels * light).astype("uint8"))
