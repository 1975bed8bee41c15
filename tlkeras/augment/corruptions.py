"""Corrupt images to measure how robust a model is."""

import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from tlkeras.data.pixel_range import warn_of_pixel_range
from tlkeras.errors import InputError
from tlkeras.utils.validation import check_choice, check_integer

Corruption = Literal["noise", "dark", "blur", "jpeg", "gray"]

# One value per severity from 1 to 5. Noise and JPEG use the values of ImageNet-C. Blur is Gaussian here, while
# ImageNet-C uses lens blur.
_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, as a fraction of 255
_LIGHT_LEFT = (0.75, 0.6, 0.45, 0.3, 0.15)
_BLUR = (1.0, 1.5, 2.0, 3.0, 4.5)  # standard deviation in pixels, for an image of 224 pixels
_QUALITY = (25, 18, 15, 10, 7)
_COLOR_LOST = (0.2, 0.4, 0.6, 0.8, 1.0)


def corrupt(images: np.ndarray, kind: Corruption, severity: int = 3, seed: int = 0) -> np.ndarray:
    """Corrupt images at a given severity, for robustness curves.

    Severities follow [ImageNet-C](https://arxiv.org/abs/1903.12261): 1 is barely noticeable, and 5 is hard even for
    people. At a given severity, you can compare the accuracies of different models under the same kind of corruption,
    but not accuracies under different kinds.

    Args:
        images: Pixels in [0, 255], uint8 or float, of shape `(n, height, width, 3)`.
        kind: `"noise"` (Gaussian, independent for each pixel), `"dark"`, `"blur"` (Gaussian, proportional to the size
            of the image), `"jpeg"` (compression) or `"gray"` (loss of color).
        severity: Integer from 1 to 5. Defaults to 3, the middle of the scale.
        seed: Seed for the noise. Defaults to 0.

    Returns:
        uint8 array of the same shape as `images`.

    Raises:
        InputError: `kind` is unknown, `severity` is not between 1 and 5, or `images` are not RGB images of the same
            size.

    Example:

    >>> import numpy as np, tlkeras
    >>> images = np.full((1, 8, 8, 3), 200, "uint8")
    >>> tlkeras.corrupt(images, "dark", severity=5).max()
    np.uint8(30)
    """
    check_choice("kind", kind, tuple(_CORRUPTIONS))
    severity = check_integer("severity", severity, 1, 5)
    required = "`images` must be RGB images of the same size, an array of shape (n, height, width, 3)"
    try:
        images = np.asarray(images)
    except ValueError:
        raise InputError(f"{required}. Received: images of different sizes.") from None
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype.kind not in "uif":
        raise InputError(f"{required}. Received: shape {images.shape}, dtype {images.dtype}.")
    warn_of_pixel_range(images)
    rng = np.random.default_rng(seed)
    changed = np.empty(images.shape, "uint8")
    for index, image in enumerate(images):
        changed[index] = np.clip(np.round(_CORRUPTIONS[kind](_uint8(image), severity - 1, rng)), 0, 255)
    return changed


def _noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return image + rng.normal(0, 255 * _NOISE[level], image.shape)


def _dark(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return image * _LIGHT_LEFT[level]


def _blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    radius = _BLUR[level] * max(image.shape[:2]) / 224
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_QUALITY[level])
    return np.asarray(Image.open(file))


def _gray(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    gray = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return image + _COLOR_LOST[level] * (gray - image.astype("float64"))


def _uint8(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else np.clip(np.round(image), 0, 255).astype("uint8")


_CORRUPTIONS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "noise": _noise,
    "dark": _dark,
    "blur": _blur,
    "jpeg": _jpeg,
    "gray": _gray,
}
