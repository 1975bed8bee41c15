"""Helpers for looking at features and feature maps, available to the notebooks as `teaching.lab.NAME`."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_SIDE = 160  # pixels of a picture


def relabeled(images: Any, labels: ArrayLike):
    """Return the same images with new labels, "no" and "yes", to ask a different question about them.

    Args:
        images: `tlkeras.ImageSplit`.
        labels: Boolean array of shape `(images,)`.
    """
    return replace(images, labels=np.asarray(labels).astype("int64"), class_names=("no", "yes"))


def neighbors_agree(features: np.ndarray, images: Any) -> float:
    """Compute the fraction of images whose nearest neighbor, by cosine similarity, has the same label.

    Args:
        features: Array of shape `(images, features)`.
        images: `tlkeras.ImageSplit`. Images in the same group, such as near-duplicates, do not count as neighbors.

    Returns:
        Fraction of the images, in [0, 1].

    Example:

    >>> from tlkeras.teaching import lab
    >>> images = lab.emoji("noto").take([0, 1, 40, 41])
    >>> neighbors_agree(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]), images)
    1.0
    """
    features = np.asarray(features, "float64")  # those of random weights are nearly parallel
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T
    alike[images.groups[:, None] == images.groups] = -np.inf
    return float(np.mean(images.labels[alike.argmax(axis=1)] == images.labels))


def strongest_maps(maps: np.ndarray, count: int = 6) -> np.ndarray:
    """Draw, in grayscale, the feature maps of an image that vary most across positions.

    Args:
        maps: Float array of shape `(rows, columns, features)`.
        count: Number of maps to draw.

    Returns:
        Uint8 array of shape `(count, rows * k, columns * k, 3)` for `tlkeras.contact_sheet`: black for the smallest and
        white for the largest value of each map. Each position is drawn as a square of `k` by `k` pixels, so that it is
        visible.

    Example:

    >>> strongest_maps(np.random.default_rng(0).normal(size=(5, 5, 8)), count=2).shape
    (2, 160, 160, 3)
    """
    strongest = np.moveaxis(maps[..., np.argsort(-maps.std(axis=(0, 1)))[:count]], -1, 0)
    low, high = strongest.min(axis=(1, 2), keepdims=True), strongest.max(axis=(1, 2), keepdims=True)
    gray = np.round(255 * (strongest - low) / np.maximum(high - low, 1e-9)).astype("uint8")
    times = max(1, _SIDE // gray.shape[1])
    return np.repeat(np.repeat(np.repeat(gray, times, 1), times, 2)[..., None], 3, 3)


def darkness(images: Any) -> np.ndarray:
    """Measure the fraction of dark pixels in each image, a property that has nothing to do with the class.

    Args:
        images: `tlkeras.ImageSplit`.

    Returns:
        Float64 array of shape `(images,)`.
    """
    return np.array([(pixels.mean(axis=-1) < 128).mean() for pixels in images.read()])
