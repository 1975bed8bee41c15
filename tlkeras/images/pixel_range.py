"""Pixels run from 0 to 255: a word where they seem to have been scaled already."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tlkeras.errors import warn


def warn_of_scaled_pixels(images: Iterable[Any]) -> None:
    """Warns if images are floats none of which is above 1, since networks here take pixels in [0, 255].

    A network that scales pixels itself sees hardly more than black in them, and says nothing. Images that are all
    zeros, of integers, or not read yet are passed over.

    Args:
        images: One batch, `(n, height, width, channels)`, or a sequence of arrays, paths and whatever else is an
            image. All values are looked at.

    Example:

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warn_of_scaled_pixels(np.full((1, 8, 8, 3), 0.5))
    >>> str(caught[0].message)
    'Pixels run from 0 to 255; these are float64 from 0.5 to 0.5: multiply by 255, or give them as they were read.'
    """
    floats = [image for image in images if isinstance(image, np.ndarray) and image.dtype.kind == "f" and image.size]
    highest = max((image.max() for image in floats), default=0)
    if 0 < highest <= 1:
        lowest = min(image.min() for image in floats)
        warn(
            f"Pixels run from 0 to 255; these are {floats[0].dtype} from {lowest:.3g} to {highest:.3g}: multiply by "
            "255, or give them as they were read."
        )
