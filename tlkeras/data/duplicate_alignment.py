"""Align pairs of small gray images and correlate their fine detail."""

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

# Band-pass filters, each a difference of two Gaussian blurs with these widths in pixels, and the number of alignment
# steps for each. The wide one finds crops of several percent; the narrow one aligns them to a tenth of a pixel.
_COARSE_TO_FINE = (((1.2, 5.0), 4), ((0.6, 2.5), 4))
_FINE_DETAIL = (0.0, 2.0)  # the band that is finally compared; all X-rays share their broad shading
_FLAT = 0.5  # gray levels; fine detail weaker than this is rounding error, so the whole image is compared
_FARTHEST = 0.12  # limit for shifts and changes of scale, as a fraction of the side
_BATCH = 256  # pairs at a time, which take about 40 MB


def aligned_correlation(first: np.ndarray, second: np.ndarray, enough: float | np.ndarray = 1.0) -> np.ndarray:
    """Correlate pairs of images after shifting and scaling the second image of each pair to match the first.

    Gauss-Newton steps on band-passed images, from coarse to fine, find a scale and a shift per axis. Cropping by
    several percent therefore lowers the correlation only slightly, while rotating or mirroring an image destroys the
    correlation.

    Args:
        first: Array of shape `(pairs, side, side)`, gray values in [0, 255].
        second: Array of the same shape as `first`.
        enough: Correlation at which no alignment is needed: one value per pair, or one for all pairs. Skipping pairs
            that already reach this correlation is much faster. Defaults to 1, which aligns all pairs.

    Returns:
        float32 array of shape `(pairs,)`: correlation coefficients of the fine detail, in [-1, 1]. Two images without
        any structure have a correlation of 1.

    Example:

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).integers(0, 256, (1, 40, 40))
    >>> aligned_correlation(noise, 0.5 * noise + 20).round(3), aligned_correlation(noise, noise[:, ::-1]).round() + 0
    (array([1.], dtype=float32), array([0.], dtype=float32))

    Reference: Baker and Matthews, [Lucas-Kanade 20 years on](https://doi.org/10.1023/B:VISI.0000011205.11775.fd), 2004.
    """
    result, enough = np.empty(len(first), "float32"), np.broadcast_to(enough, len(first))
    for start in range(0, len(first), _BATCH):
        batch = slice(start, start + _BATCH)
        one, other = first[batch].astype("float32"), second[batch].astype("float32")
        result[batch] = _fine_correlation(one, other, _identity(len(one)))
        below = np.flatnonzero(result[batch] < enough[batch])
        if len(below):
            one, other = one[below], other[below]
            result[start + below] = np.maximum(result[start + below], _fine_correlation(one, other, _align(one, other)))
    return result


def _identity(pairs: int) -> np.ndarray:
    """Return the identity parameters: scale and shift (in pixels) along the rows, then along the columns."""
    return np.tile(np.array([1, 0, 1, 0], "float32"), (pairs, 1))


def _align(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Find the scales and shifts that align `second` with `first`, by the inverse compositional algorithm."""
    pairs, side, _ = first.shape
    half, place = (side - 1) / 2, _identity(pairs)
    offsets = (np.arange(side, dtype="float32") - half) / half  # a unit of scale moves the border by a pixel
    for band, steps in _COARSE_TO_FINE:
        target, moving = _band(first, *band), _band(second, *band)
        down, across = np.gradient(target, axis=1), np.gradient(target, axis=2)
        slopes = np.stack([down * offsets[:, None], down, across * offsets, across], -1).reshape(pairs, -1, 4)
        curvature = slopes.transpose(0, 2, 1) @ slopes
        damping = 1e-3 * (np.trace(curvature, axis1=1, axis2=2) / 4 + 1)
        curvature += damping[:, None, None] * np.eye(4, dtype="float32")
        contrast = (_strength(target) / _strength(moving))[:, None, None]
        for _ in range(steps):
            difference = (_warp(moving, place) * contrast - target) * _inside(place, side)
            step = np.linalg.solve(curvature, slopes.transpose(0, 2, 1) @ difference.reshape(pairs, -1, 1))
            _step_back(place, np.clip(step[..., 0], -1.5, 1.5), side)
    return place


def _step_back(place: np.ndarray, step: np.ndarray, side: int) -> None:
    """Compose `place` with the inverse of a small step."""
    for scale, shift in ((0, 1), (2, 3)):
        stretch = 1 + step[:, scale] / ((side - 1) / 2)
        place[:, shift] -= place[:, scale] * step[:, shift] / stretch
        place[:, scale] /= stretch
        place[:, scale] = place[:, scale].clip(1 - _FARTHEST, 1 + _FARTHEST)
        place[:, shift] = place[:, shift].clip(-_FARTHEST * side, _FARTHEST * side)


def _positions(scale: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    """Return the position that each pixel of a row or column is sampled from, with shape `(pairs, side)`."""
    half = (side - 1) / 2
    return scale[:, None] * (np.arange(side, dtype="float32") - half) + shift[:, None] + half


def _warp(images: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Resample images by linear interpolation; scaling and shifting are separable, so one matrix per axis is enough."""
    side = images.shape[1]
    pixels = np.arange(side, dtype="float32")
    rows, columns = (
        np.maximum(0, 1 - np.abs(_positions(place[:, at], place[:, at + 1], side)[:, :, None] - pixels))
        for at in (0, 2)
    )
    return rows @ images @ columns.transpose(0, 2, 1)


def _inside(place: np.ndarray, side: int) -> np.ndarray:
    """Mark the pixels that are sampled from inside the image."""
    rows, columns = (
        (positions >= 0) & (positions <= side - 1)
        for positions in (_positions(place[:, at], place[:, at + 1], side) for at in (0, 2))
    )
    return rows[:, :, None] & columns[:, None, :]


def _fine_correlation(first: np.ndarray, second: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Move `second` to `place`, and correlate its fine detail with that of `first` where the two overlap."""
    details = [_band(images, *_FINE_DETAIL) for images in (first, second)]
    smooth = np.minimum(*map(_strength, details)) < _FLAT
    details = [
        np.where(smooth[:, None, None], images, detail) for images, detail in zip((first, second), details, strict=True)
    ]
    inside = _inside(place, first.shape[1])
    one, other = _centered(details[0], inside), _centered(_warp(details[1], place), inside)
    product = np.sqrt((one**2).sum((1, 2)) * (other**2).sum((1, 2)))
    empty = np.stack([np.abs(images).max((1, 2)) < _FLAT for images in (one, other)])
    return np.where(empty.any(0), empty.all(0), (one * other).sum((1, 2)) / np.maximum(product, 1e-6))


def _centered(images: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Subtract each image's mean over the pixels inside, and set all other pixels to 0."""
    mean = (images * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
    return (images - mean[:, None, None]) * inside


def _band(images: np.ndarray, fine: float, broad: float) -> np.ndarray:
    """Keep structure between two scales: the difference of a fine and a broad Gaussian blur."""
    side = images.shape[1]
    sharp = _blur(side, fine) @ images @ _blur(side, fine).T if fine else images
    return sharp - _blur(side, broad) @ images @ _blur(side, broad).T


@cache
def _blur(side: int, sigma: float) -> np.ndarray:
    """Return the matrix that blurs columns of pixels; for images this small, a matrix product is the fastest filter."""
    return gaussian_filter1d(np.eye(side, dtype="float32"), sigma, axis=0, mode="nearest")


def _strength(images: np.ndarray) -> np.ndarray:
    """Return the root mean square of each image plus a small constant that keeps it above 0."""
    return np.sqrt((images**2).mean((1, 2))) + 1e-3
