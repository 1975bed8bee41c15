"""Measures of images, and how far images that show nothing are from sound ones: what the thresholds rest on.

For each folder given, the extremes of every measure of `tlkeras.checks.quality` over its images, and the share of
the same images, darkened, brightened and blurred, that is found. Run from the repository's root:
`python benchmarks/image_quality.py data/clipart10 data/emoji4/line FOLDER ...`.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tlkeras.checks.quality import SIDE, measure_quality, poor_images
from tlkeras.data.reading import ImageError, open_rgb

SPOILED = {
    "sound": lambda image: image,
    "blank": lambda image: Image.new("RGB", image.size, "white"),
    "dark (a tenth)": lambda image: image.point(lambda value: value * 0.1),
    "dark (a fifth)": lambda image: image.point(lambda value: value * 0.2),
    "overexposed (218 and more)": lambda image: image.point(lambda value: 218 + value * 0.15),
    "blurred (2% of the side)": lambda image: image.filter(ImageFilter.GaussianBlur(0.02 * max(image.size))),
    "blurred (4% of the side)": lambda image: image.filter(ImageFilter.GaussianBlur(0.04 * max(image.size))),
}


def opened(folder):
    """Open the images of a folder, other files left out."""
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        try:
            yield path, open_rgb(path, (SIDE, SIDE))
        except ImageError:
            continue


def main():
    for folder in sys.argv[1:]:
        paths, images = zip(*opened(folder), strict=True)
        print(f"\n{folder}: {len(images)} images")
        measures = [asdict(measure_quality(image)) for image in images]
        for name in measures[0]:
            values = np.array([one[name] for one in measures])
            low, high = paths[values.argmin()].name, paths[values.argmax()].name
            quantiles = " ".join(f"{value:.3f}" for value in np.quantile(values, [0, 0.01, 0.5, 0.99, 1]))
            print(f"    {name:10} least, 1%, median, 99%, most: {quantiles}; {low}, {high}")
        for name, spoil in SPOILED.items():
            kinds = [kind for _, kind, _, _ in poor_images([measure_quality(spoil(image)) for image in images])]
            shares = ", ".join(f"{kind} {kinds.count(kind) / len(images):.1%}" for kind in sorted(set(kinds)))
            print(f"    {name}: {shares or 'nothing found'}")


if __name__ == "__main__":
    main()
