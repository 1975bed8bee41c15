"""Contact sheets: many small pictures on one page, with captions."""

import os
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tlkeras.data.pixel_range import warn_of_pixel_range
from tlkeras.data.reading import open_rgb
from tlkeras.errors import InputError
from tlkeras.utils.fonts import font_file, one_line
from tlkeras.utils.validation import shown

_GAP, _LINE, _LETTERS = 6, 14, 10
_PAPER, _SHADE = "white", "gainsboro"


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray | str | os.PathLike],
    captions: Sequence[str] = (),
    columns: int = 8,
    side: int = 120,
    *,
    title: str = "",
    groups: Sequence[Any] = (),
) -> Image.Image:
    """Draws images side by side, each with its caption below.

    Args:
        images: of any sizes: pixels in [0, 255] of shape `(height, width, 3)`, or 1 for gray; `PIL.Image`; or paths of
            files.
        captions: one an image, of one line or several, or none at all. A line that does not fit ends in dots.
        columns: images a row.
        side: side of the square each image is fitted into, in pixels.
        title: written above.
        groups: one value an image; neighbors of equal value lie together on white or on gray.

    Returns:
        `PIL.Image`; save it, or let a notebook show it.

    Raises:
        InputError: what is given is no row of images, or a file cannot be read.

    Example:

    >>> import numpy as np, tlkeras
    >>> tlkeras.contact_sheet([np.zeros((50, 80, 3))] * 3, columns=2, side=100).size
    (218, 218)
    """
    if isinstance(images, str | os.PathLike | bytes | Image.Image) or not hasattr(images, "__getitem__"):
        raise InputError(
            f"contact_sheet takes a list of images, such as images.train.paths[:16]. Received: {shown(images)}"
        )
    for name, values in (("captions", captions), ("groups", groups)):
        if not hasattr(values, "__len__") or len(values) not in (0, len(images)):
            given = f"{len(values)} {name}" if hasattr(values, "__len__") else f"{name}={values!r}"
            raise InputError(f"{name} are one for each of the {len(images)} images, or none. Received: {given}")
    _check_counts(columns=columns, side=side)
    lines = max((str(caption).count("\n") + 1 for caption in captions), default=0)
    step, height, top = side + _GAP, side + _GAP + lines * _LINE, _GAP + (_LINE + _GAP if title else 0)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * step + _GAP, top + rows * height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        _write(draw, (_GAP, _GAP), str(title), columns * step)
    shaded = False
    for index, image in enumerate(images):
        image = _picture(image)
        left, upper = _GAP + index % columns * step, top + index // columns * height
        if index and len(groups) and groups[index] != groups[index - 1]:
            shaded = not shaded
        if shaded:
            around = (left - _GAP // 2, upper - _GAP // 2, left + side + _GAP // 2, upper + height - _GAP // 2)
            draw.rectangle(around, _SHADE)
        small = ImageOps.contain(image, (side, side))
        sheet.paste(small, (left + (side - small.width) // 2, upper + (side - small.height) // 2))
        for number, line in enumerate(str(captions[index]).split("\n") if len(captions) else ()):
            _write(draw, (left, upper + side + number * _LINE), line, side)
    return sheet


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if not (isinstance(value, Integral) and value > 0):
            raise InputError(f"{name} is an integer, 1 or more. Received: {name}={value!r}")


def _picture(image: Any) -> Image.Image:
    if isinstance(image, str | os.PathLike | bytes | Image.Image):
        return open_rgb(image)
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "uif" or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise InputError(
            "An image of a contact sheet is pixels (height, width, 3), a PIL.Image or the path of a file. Received: "
            f"{type(image).__name__} of shape {pixels.shape}"
        )
    pixels = np.clip(np.round(pixels), 0, 255).astype("uint8")
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    """Writes a line, shortened to `width` pixels."""
    text = one_line(text)
    font = ImageFont.truetype(font_file(text), _LETTERS)
    if draw.textlength(text, font) > width:
        while text and draw.textlength(f"{text}...", font) > width:
            text = text[:-1]
        text = f"{text}..."
    draw.text(place, text, "black", font)


def preview(images: np.ndarray, augmentation: Callable[..., Any], columns: int = 8, side: int = 120) -> Image.Image:
    """Draws what an augmentation makes of images: one row an image, the original first.

    Args:
        images: pixels in [0, 255] of shape `(n, height, width, 3)`, or 1 for gray.
        augmentation: called as `augmentation(images, training=True)`, such as `tlkeras.augmentation("photo")`.
        columns: pictures a row, the original included.
        side: side of each picture, in pixels.

    Returns:
        `PIL.Image`; save it, or let a notebook show it.

    Raises:
        InputError: what is given is no pixels, nothing that can be called, or no number of pictures.

    Example:

    >>> import numpy as np, tlkeras
    >>> tlkeras.preview(np.zeros((2, 32, 32, 3)), tlkeras.augmentation("aerial"), columns=4, side=50).size
    (230, 118)
    """
    if callable(images) or not callable(augmentation):
        given = f"images={type(images).__name__}, augmentation={type(augmentation).__name__}"
        raise InputError(f"preview takes images and what is called on them, in this order. Received: {given}")
    _check_counts(columns=columns, side=side)
    given, images = type(images).__name__, np.asarray(images)
    if images.dtype.kind not in "uif" or images.ndim != 4 or images.shape[-1] not in (1, 3):
        given = f"{given} of shape {images.shape}, dtype {images.dtype}"
        raise InputError(
            f"preview takes pixels, (n, height, width, 3), such as images.train.take([0, 1]).read(). Received: {given}"
        )
    warn_of_pixel_range(images)
    images = images.astype("float32")
    drawn = [images] + [keras.ops.convert_to_numpy(augmentation(images, training=True)) for _ in range(columns - 1)]
    return contact_sheet([column[row] for row in range(len(images)) for column in drawn], columns=columns, side=side)
