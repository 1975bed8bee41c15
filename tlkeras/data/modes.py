"""Convert the modes of Pillow to RGB."""

import numpy as np
from PIL import Image


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB: 16-bit gray scaled to 8 bits, and transparent pixels laid over white."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image  # convert would copy it
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values, transparent = np.asarray(image), image.info.get("transparency")
        gray = _eight_bits(values)
        return Image.fromarray(gray if transparent is None else np.where(values == transparent, 255, gray)).convert(
            "RGB"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    if values.min() < 0 or not values.max() <= 65535:
        raise ValueError(f"its values run from {values.min()} to {values.max()}; 8 or 16 bits a channel would do")
    scale = 255 / 65535
    if values.dtype.kind == "f" and values.max() <= 280:  # 32-bit TIFF: in [0, 1] by convention, or in [0, 255]
        scale = 255.0 if values.max() <= 1 else 1.0
    return np.round(values * scale).clip(0, 255).astype("uint8")  # bicubic resizing leaves values a little above 255
