"""Contact sheets: many small pictures on one page, with captions and a text alternative."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tlkeras.augment.augmentation import Augmentation
from tlkeras.data.pixel_range import warn_of_pixel_range
from tlkeras.data.reading import check_image_size, open_rgb
from tlkeras.errors import InputError
from tlkeras.utils.fonts import font_file, one_line
from tlkeras.utils.validation import check_integer, invalid

_GAP, _LINE, _LETTERS = 6, 14, 10
_PAPER, _SHADE = "white", "gainsboro"
#: The preview of single layers draws so many random results and shows the one that changes an image most.
_DRAWS = 24


class Sheet(Image.Image):
    """A `PIL.Image` with a text alternative, which notebooks pass on to screen readers.

    Attributes:
        alt: Description of the picture in words.
    """

    alt = ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        about = {"alt": self.alt}
        return {"text/plain": self.alt}, {"image/png": about, "image/jpeg": about}  # Pillow adds the pictures


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray | str | os.PathLike],
    captions: Sequence[str] = (),
    columns: int = 8,
    image_size: int | tuple[int, int] = 120,
    *,
    title: str = "",
    groups: Sequence[Any] = (),
) -> Sheet:
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
        `PIL.Image`; save it, or let a notebook show it. Its attribute `alt` describes it in words for screen readers:
        the title and the captions.

    Raises:
        InputError: `images` is not a sequence of images, or a file cannot be read.

    Example:

    >>> import numpy as np, tlkeras
    >>> sheet = tlkeras.contact_sheet([np.zeros((50, 80, 3))] * 3, ["bird", "bug", "boat"], columns=2)
    >>> sheet.size, sheet.alt
    ((258, 286), '3 pictures in rows of 2: bird; bug; boat.')
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
    return _with_alt(sheet, _in_words(str(title), len(images), captions, columns))


def _with_alt(picture: Image.Image, alt: str) -> Sheet:
    """Copy a picture into a sheet with a text alternative."""
    sheet = Sheet()
    sheet.__setstate__(picture.__getstate__())
    sheet.alt = alt
    return sheet


def _in_words(title: str, count: int, captions: Sequence[str], columns: int) -> str:
    """Describe a sheet by its title, its layout and its captions."""
    pictures = f"{count} picture{'s' * (count != 1)}"
    layout = (
        f"{pictures} in rows of {columns}" if count > columns else f"{pictures} side by side" if count > 1 else pictures
    )
    said = "; ".join(
        one_line(", ".join(str(caption).strip().split("\n"))) for caption in captions if str(caption).strip()
    )
    return f"{one_line(title)}{'. ' if title else ''}{layout}{': ' if said else ''}{said}."


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
    *,
    by_layer: bool = False,
) -> Sheet:
    """Draw the results of an augmentation: one row per image, starting with the original.

    Args:
        images: Array of pixels in [0, 255], of shape `(n, height, width, 3)`, or `(n, height, width, 1)` for grayscale.
        augmentation: Function or layer that is called as `augmentation(images, training=True)`, such as
            `tlkeras.augmentation("photo")`.
        columns: Pictures per row, including the original. Ignored if `by_layer` is true.
        image_size: `(height, width)`, in pixels, of the box that each picture is scaled to fit, or one integer for a
            square box.
        by_layer: Whether to show each layer of `augmentation` alone, with its name below, and all of them in the last
            column. Of 24 random results, the one that changes the image most is shown, so that you see how far a layer
            goes. Defaults to False: every column is another random result of all layers.

    Returns:
        `PIL.Image`; save it, or let a notebook show it. Its attribute `alt` describes it in words.

    Raises:
        InputError: `images` is not an array of pixels, or `augmentation` cannot be called.

    Example:

    >>> import keras, numpy as np, tlkeras
    >>> flip, black = keras.layers.RandomFlip(), np.zeros((2, 32, 32, 3))
    >>> tlkeras.preview(black, flip, columns=3).alt
    '6 pictures in rows of 3: original; view 1; view 2; original; view 1; view 2.'
    >>> tlkeras.preview(black[:1], flip, by_layer=True).alt
    '2 pictures side by side: original; Flip.'
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
    if by_layer:
        drawn = [(name, _strongest(pixels, layer)) for name, layer in _named_layers(augmentation, pixels.shape[-1])]
    else:
        drawn = [(f"view {number}", _augmented(pixels, augmentation)) for number in range(1, columns)]
    names, views = zip(("original", pixels), *drawn, strict=True)
    pictures = [view[row] for row in range(len(pixels)) for view in views]
    return contact_sheet(pictures, names * len(pixels), columns=len(names), image_size=image_size)


def _augmented(pixels, augmentation):
    return keras.ops.convert_to_numpy(augmentation(pixels, training=True))


def _strongest(pixels, augmentation):
    """Return, for each image, the one of several random results that differs most from it."""
    repeated = np.repeat(pixels, _DRAWS, axis=0)
    results = _augmented(repeated, augmentation)
    change = np.abs(results - repeated).mean(axis=(1, 2, 3)).reshape(len(pixels), _DRAWS)
    return results.reshape(len(pixels), _DRAWS, *results.shape[1:])[np.arange(len(pixels)), change.argmax(axis=1)]


def _named_layers(augmentation, channels):
    """List `(name, layer)` for the layers of an augmentation, and for all of them together if there are several."""
    if isinstance(augmentation, Augmentation):
        augmentation = augmentation.for_channels(channels)
    layers = getattr(augmentation, "layers", None) or [augmentation]
    named = [(getattr(layer, "__name__", type(layer).__name__).removeprefix("Random"), layer) for layer in layers]
    return named + [("all layers", augmentation)] * (len(named) > 1)
