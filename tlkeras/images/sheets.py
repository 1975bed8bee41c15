"""Contact sheets: many small pictures on one page, with captions."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tlkeras.errors import InputError

_GAP, _CAPTION = 4, 15


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray], captions: Sequence[str] = (), columns: int = 8, side: int = 120
) -> Image.Image:
    """Draws images side by side, each with its caption below.

    Args:
        images: RGB images, `PIL.Image` or pixels in [0, 255] of shape `(height, width, 3)`, of any sizes.
        captions: one an image, or none at all. What does not fit is cut off.
        columns: images a row.
        side: side of the square each image is fitted into, in pixels.

    Returns:
        `PIL.Image`; save it, or let a notebook show it.

    Example:

    >>> import numpy as np, tlkeras
    >>> tlkeras.contact_sheet([np.zeros((50, 80, 3))] * 3, columns=2, side=100).size
    (212, 212)
    """
    step, height = side + _GAP, side + _GAP + (_CAPTION if len(captions) else 0)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * step + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, image in enumerate(images):
        if not isinstance(image, Image.Image):
            image = Image.fromarray(np.clip(np.round(np.asarray(image)), 0, 255).astype("uint8"))
        left, top = _GAP + index % columns * step, _GAP + index // columns * height
        small = ImageOps.contain(image, (side, side))
        sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        if len(captions):
            caption = str(captions[index])
            while caption and draw.textlength(caption, font) > side:
                caption = caption[:-1]
            draw.text((left, top + side), caption, "black", font)
    return sheet


def preview(images: np.ndarray, augmentation: Callable[..., Any], columns: int = 8, side: int = 120) -> Image.Image:
    """Draws what an augmentation makes of images: one row an image, the original first.

    Args:
        images: pixels in [0, 255] of shape `(n, height, width, 3)`.
        augmentation: called as `augmentation(images, training=True)`, such as `tlkeras.augmentation("photo")`.
        columns: pictures a row, the original included.
        side: side of each picture, in pixels.

    Returns:
        `PIL.Image`; save it, or let a notebook show it.

    Example:

    >>> import numpy as np, tlkeras
    >>> tlkeras.preview(np.zeros((2, 32, 32, 3)), tlkeras.augmentation("aerial"), columns=4, side=50).size
    (220, 112)
    """
    images = np.asarray(images, "float32")
    if images.ndim != 4 or images.shape[-1] != 3:
        raise InputError(f"preview takes RGB images, (n, height, width, 3). Received: shape {images.shape}.")
    drawn = [images] + [keras.ops.convert_to_numpy(augmentation(images, training=True)) for _ in range(columns - 1)]
    return contact_sheet([column[row] for row in range(len(images)) for column in drawn], columns=columns, side=side)
