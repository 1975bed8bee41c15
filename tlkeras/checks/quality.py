"""Find images with little or no content: blank, dark, overexposed and blurred images, and placeholders."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 128  # of the reduced image that is measured; about the size that a network sees
# Thresholds, chosen by `benchmarks/image_quality.py` on drawings, photographs and X-rays, and on the same images
# darkened, brightened and blurred (docs/performance.md).
MIN_CONTENT = 0.002
MIN_BRIGHTEST = 0.25
MAX_DARKEST = 0.85
MIN_SHARPNESS = 0.15
MAX_PLACEHOLDER_SHARE = 0.02  # of the collection; if more images are this plain, plainness is the collection's style
MIN_COLORS = 6  # that 95% of a collection must have; drawings on a plain background have fewer colors


@dataclass(frozen=True)
class Quality:
    """Quality measures of one image, computed on gray values in [0, 1] unless noted otherwise.

    Attributes:
        content: Fraction of the pixels that differ from the median by more than 16 of 255 levels.
        brightest: 99th percentile of the gray values.
        darkest: 0.5th percentile of the gray values.
        sharpness: Size of the largest differences between neighboring pixels (the 99.8th percentile), as a fraction of
            the range of values. A sharp edge reaches 0.5 or more; an edge that is blurred over ten pixels reaches 0.1.
        colors: Number of colors, quantized to 16 levels per channel, that together cover nine tenths of the image.
    """

    content: float
    brightest: float
    darkest: float
    sharpness: float
    colors: int


def measure_quality(image: Image.Image) -> Quality:
    """Measure the quality of an RGB image after reducing its longer side to 128 pixels.

    Example:

    >>> measure_quality(Image.new("RGB", (300, 200), "white")).content
    0.0
    """
    if max(image.size) > SIDE:
        image = image.resize(_fit(image.size), Image.Resampling.BOX)
    gray = np.asarray(image.convert("L"), "float32") / 255
    low, darkest, median, brightest, high = np.quantile(gray, [0.001, 0.005, 0.5, 0.99, 0.999])
    steps = np.concatenate([np.abs(np.diff(gray, axis=axis)).ravel() for axis in (0, 1)])
    red, green, blue = (np.asarray(image).reshape(-1, 3) // 16).T.astype("int32")
    counts = np.sort(np.bincount(red * 256 + green * 16 + blue))[::-1]
    return Quality(
        content=float(np.mean(np.abs(gray - median) > 16 / 255)),
        brightest=float(brightest),
        darkest=float(darkest),
        sharpness=float(np.quantile(steps, 0.998) / max(high - low, 1 / 255)) if len(steps) else 1.0,
        colors=int(np.searchsorted(np.cumsum(counts), 0.9 * counts.sum()) + 1),
    )


def poor_images(qualities: list[Quality]) -> list[tuple[int, str, str, float]]:
    """Find the images that show little or nothing, and name the worst problem of each.

    Args:
        qualities: Quality measures of all images in a collection.

    Returns:
        A list of tuples, each with the index of an image, the kind of problem, a description of the problem, and a
        score in [0, 1]. Higher scores mean worse problems.
    """
    plain = [quality.colors == 1 for quality in qualities]
    unusual = sum(plain) <= max(1, MAX_PLACEHOLDER_SHARE * len(qualities)) and len(qualities) >= 20
    unusual = unusual and np.quantile([quality.colors for quality in qualities], 0.05) >= MIN_COLORS
    poor = []
    for index, one in enumerate(qualities):
        if one.content <= MIN_CONTENT:
            poor.append(
                (index, "blank", f"only {one.content:.1%} of its pixels differ from the background", 1 - one.content)
            )
        elif one.brightest <= MIN_BRIGHTEST:
            poor.append((index, "dark", f"brightest parts at {one.brightest:.0%}", 1 - one.brightest))
        elif one.darkest >= MAX_DARKEST:
            poor.append((index, "overexposed", f"darkest parts at {one.darkest:.0%}", one.darkest))
        elif one.sharpness <= MIN_SHARPNESS:
            poor.append((index, "blurred", f"sharpness {one.sharpness:.2f}", 1 - one.sharpness))
        elif plain[index] and unusual:
            poor.append((index, "placeholder", "90% of its pixels have one color", 1 - one.content))
    return poor


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = SIDE / max(size)
    return max(1, round(width * scale)), max(1, round(height * scale))
