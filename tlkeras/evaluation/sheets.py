"""Contact sheets: many small pictures on one page, with captions."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tlkeras.data.pixel_range import warn_of_pixel_range
from tlkeras.data.reading import check_image_size, open_rgb
from tlkeras.errors import InputError
from tlkeras.utils.fonts import font_file, one_line
from tlkeras.utils.validation import check_integer, invalid

_GAP, _LINE, _LETTERS = 6, 14, 10
_PAPER, _SHADE = "white", "gainsboro"


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray | str | os.PathLike],
    captions: Sequence[str] = (),
    columns: int = 8,
    image_size: int | tuple[int, int] = 120,
    *,
    title: str = "",
    groups: Sequence[Any] = (),
) -> Image.Image:
    """Draw images side by side, each with its caption below.

    Args:
        images: Images of any size: arrays of pixels in [0, 255], of shape `(height, width, 3)`, or `(height, width, 1)`
            for grayscale; `PIL.Image`s; or file paths.
        captions: One caption per image, of one or more lines. Defaults to no captions. A line that does not fit is
            shortened with an ellipsis.
        columns: Images per row.
        image_size: `(height, width)`, in pixels, of the box that each image is scaled to fit, or one integer for a
            square box.
        title: Line of text above the images. Defaults to none.
        groups: One value per image; adjacent images with equal values share a background, which alternates between
            white and gray.

    Returns:
        `PIL.Image`; save it, or let a notebook show it.

    Raises:
        InputError: `images` is not a sequence of images, or a file cannot be read.

    Example:

    >>> import numpy as np, tlkeras
    >>> tlkeras.contact_sheet([np.zeros((50, 80, 3))] * 3, columns=2, image_size=100).size
    (218, 218)
    """
    if isinstance(images, str | os.PathLike | bytes | Image.Image) or not hasattr(images, "__getitem__"):
        raise invalid("images", images, "be a list of images, such as images.train.paths[:16]")
    for name, values in (("captions", captions), ("groups", groups)):
        if isinstance(values, str) or not hasattr(values, "__len__") or len(values) not in (0, len(images)):
            raise invalid(name, values, f"be empty or have one entry for each of the {len(images)} images")
    columns, (height, width) = check_integer("columns", columns, minimum=1), check_image_size(image_size)
    lines = max((str(caption).count("\n") + 1 for caption in captions), default=0)
    across, down = width + _GAP, height + _GAP + lines * _LINE
    top = _GAP + (_LINE + _GAP if title else 0)
    sheet = Image.new("RGB", (columns * across + _GAP, top + -(-len(images) // columns) * down), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        _write(draw, (_GAP, _GAP), str(title), columns * across)
    shaded = False
    for index, image in enumerate(images):
        left, upper = _GAP + index % columns * across, top + index // columns * down
        if index and len(groups) and groups[index] != groups[index - 1]:
            shaded = not shaded
        if shaded:
            margin = _GAP // 2
            draw.rectangle((left - margin, upper - margin, left + width + margin, upper - margin + down), _SHADE)
        small = ImageOps.contain(as_picture(image), (width, height))
        sheet.paste(small, (left + (width - small.width) // 2, upper + (height - small.height) // 2))
        for number, line in enumerate(str(captions[index]).split("\n") if len(captions) else ()):
            _write(draw, (left, upper + height + number * _LINE), line, width)
    return sheet


def as_picture(image: Any) -> Image.Image:
    """Open a file, or convert pixels in [0, 255] to a picture."""
    if isinstance(image, str | os.PathLike | bytes | Image.Image):
        return open_rgb(image)
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "uif" or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise InputError(
            "`images` must contain pixels of shape (height, width, 3), PIL images or file paths. "
            f"Received: {type(image).__name__} of shape {pixels.shape}, dtype {pixels.dtype}."
        )
    pixels = np.clip(np.round(pixels), 0, 255).astype("uint8")
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    """Draw one line of text, shortened to fit into `width` pixels."""
    text = one_line(text)
    font = ImageFont.truetype(font_file(text), _LETTERS)
    if draw.textlength(text, font) > width:
        while text and draw.textlength(f"{text}...", font) > width:
            text = text[:-1]
        text = f"{text}..."
    draw.text(place, text, "black", font)


def preview(
    images: np.ndarray,
    augmentation: Callable[..., Any],
    columns: int = 8,
    image_size: int | tuple[int, int] = 120,
) -> Image.Image:
    """Draw the results of an augmentation: one row per image, starting with the original.

    Args:
        images: Array of pixels in [0, 255], of shape `(n, height, width, 3)`, or `(n, height, width, 1)` for grayscale.
        augmentation: Function or layer that is called as `augmentation(images, training=True)`, such as
            `tlkeras.augmentation("photo")`.
        columns: Pictures per row, including the original.
        image_size: `(height, width)`, in pixels, of the box that each picture is scaled to fit, or one integer for a
            square box.

    Returns:
        `PIL.Image`; save it, or let a notebook show it.

    Raises:
        InputError: `images` is not an array of pixels, or `augmentation` cannot be called.

    Example:

    >>> import numpy as np, tlkeras
    >>> tlkeras.preview(np.zeros((2, 32, 32, 3)), tlkeras.augmentation("aerial"), columns=4, image_size=50).size
    (230, 118)
    """
    if callable(images) or not callable(augmentation):
        raise invalid("augmentation", augmentation, "be callable", "Pass `images` first, then `augmentation`.")
    check_integer("columns", columns, minimum=1)
    pixels = np.asarray(images)
    if pixels.dtype.kind not in "uif" or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise InputError(
            "`images` must be pixels of shape (n, height, width, 3), such as images.train.take([0, 1]).read(). "
            f"Received: {type(images).__name__} of shape {pixels.shape}, dtype {pixels.dtype}."
        )
    warn_of_pixel_range(pixels)
    pixels = pixels.astype("float32")
    drawn = [pixels] + [keras.ops.convert_to_numpy(augmentation(pixels, training=True)) for _ in range(columns - 1)]
    pictures = [column[row] for row in range(len(pixels)) for column in drawn]
    return contact_sheet(pictures, columns=columns, image_size=image_size)
