"""Corruptions: the same images under worse conditions, to see how far a model's accuracy holds."""

import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from tlkeras.data.pixel_range import warn_of_pixel_range
from tlkeras.errors import InputError

Corruption = Literal["noise", "dark", "blur", "jpeg", "gray"]

# For severity 1 to 5. Noise and JPEG are those of ImageNet-C; blur there is of a lens and here Gaussian.
_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, as a share of 255
_LIGHT_LEFT = (0.75, 0.6, 0.45, 0.3, 0.15)
_BLUR = (1.0, 1.5, 2.0, 3.0, 4.5)  # standard deviation in pixels of an image of 224 pixels
_QUALITY = (25, 18, 15, 10, 7)
_COLOR_LOST = (0.2, 0.4, 0.6, 0.8, 1.0)


def corrupt(images: np.ndarray, kind: Corruption, severity: int = 3, seed: int = 0) -> np.ndarray:
    """Corrupts images to a degree, for robustness curves.

    Severities follow [ImageNet-C](https://arxiv.org/abs/1903.12261): 1 is hardly noticed, 5 is hard for people too.
    Such figures are comparable between models, not between kinds.

    Args:
        images: pixels in [0, 255], uint8 or float, of shape `(n, height, width, 3)`.
        kind: `"noise"` (Gaussian, each pixel by itself), `"dark"`, `"blur"` (Gaussian, in proportion to the size of
            the image), `"jpeg"` (compression) or `"gray"` (loss of color).
        severity: 1 to 5.
        seed: of the noise.

    Returns:
        uint8 array of the same shape.

    Raises:
        InputError: an unknown kind, a severity that is not 1 to 5, or no RGB images.

    Example:

    >>> import numpy as np, tlkeras
    >>> images = np.full((1, 8, 8, 3), 200, "uint8")
    >>> tlkeras.corrupt(images, "dark", severity=5).max()
    np.uint8(30)
    """
    if kind not in tuple(_CORRUPTIONS):
        raise InputError(f"kind must be one of {', '.join(_CORRUPTIONS)}. Received: {kind!r}.")
    if severity not in range(1, 6):
        raise InputError(f"severity is a whole number from 1 to 5. Received: severity={severity!r}.")
    try:
        images = np.asarray(images)
    except ValueError:
        raise InputError("corrupt takes images of one size, (n, height, width, 3). Received: several sizes.") from None
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype.kind not in "uif":
        given = f"shape {images.shape}, dtype {images.dtype}"
        raise InputError(f"corrupt takes RGB images, (n, height, width, 3). Received: {given}.")
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
