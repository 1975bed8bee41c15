"""Convert Pillow's image modes to RGB, and pixels with more than 8 bits to 8 bits."""

import numpy as np
from PIL import Image

_PHOTOMETRIC = 262  # TIFF tag


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB: scale 16-bit gray to 8 bits, and blend transparent pixels with white."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image  # convert would copy it
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values, transparent = np.asarray(image), image.info.get("transparency")
        gray = eight_bits(values)
        return Image.fromarray(gray if transparent is None else np.where(values == transparent, 255, gray)).convert(
            "RGB"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale gray or color values of any bit depth to uint8.

    Values up to 255 are kept. Integers up to 4095 are treated as 12-bit values, which microscopes and X-ray detectors
    store in 16-bit files. Other integers up to 65535 are treated as 16-bit values. Floats up to 1 are multiplied by
    255, as is the convention for float TIFF files.

    Raises:
        ValueError: There are negative values, values above 65535, or values that are not finite.

    Example:

    >>> eight_bits(np.array([[0, 255]], "int32")), eight_bits(np.array([[0, 4095]], "uint16"))
    (array([[  0, 255]], dtype=uint8), array([[  0, 255]], dtype=uint8))
    """
    if values.dtype == "uint8":
        return values
    if values.dtype.kind == "b":
        return values * np.uint8(255)
    lowest, highest = values.min(), values.max()
    if lowest < 0:
        raise ValueError(f"its values range from {lowest} to {highest}; scale them to [0, 255] first")
    if not highest <= 65535:
        raise ValueError(
            f"its values range from {lowest} to {highest}; only 8, 12 or 16 bits per channel are supported"
        )
    if values.dtype.kind == "f":
        top = 1 if highest <= 1 else 255 if highest <= 280 else 65535  # bicubic resizing overshoots 255 a little
    else:
        top = 255 if highest <= 255 else 4095 if highest <= 4095 else 65535
    return np.round(values * (255 / top)).clip(0, 255).astype("uint8")


def black_is_zero(image: Image.Image) -> Image.Image:
    """Invert a decoded 16-bit TIFF in which 0 is white; Pillow does this only for 8-bit images."""
    tags = getattr(image, "tag_v2", {})
    if not image.mode.startswith("I;16") or tags.get(_PHOTOMETRIC) != 0:
        return image
    return Image.fromarray(65535 - np.asarray(image).astype("uint16"))
