"""Functions of the number of images that describe learning curves, fitted to many resampled curves at once.

All families have the form `asymptote - drop * shape(n)`. For a given shape, a weighted linear regression finds the
other two parameters, so a few array operations try all shapes in a grid for all curves. No starting point is needed,
and no fit gets stuck in a local minimum.

Source: Mohr et al., LCDB 1.0, 2022, https://doi.org/10.1007/978-3-031-26419-1_1, where POW4 and MMF4 extrapolate best.
With few, noisy points, both families level off too early (benchmarks/learning_curve.py), so LOG2, which never levels
off, is used as well.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize


def _power(n, shape):
    """Compute `(n + shift) ** -exponent`, scaled to avoid overflow; `shape` holds the logs of exponent and shift."""
    exponent, shift = np.exp(shape[..., 0, None]), np.exp(shape[..., 1, None])
    return ((n + shift) / (1 + shift)) ** -exponent


def _sigmoid(n, shape):
    """Compute `1 / (1 + (n / half) ** exponent)`; `shape` holds the logs of exponent and half."""
    exponent, half = np.exp(shape[..., 0, None]), np.exp(shape[..., 1, None])
    return 1 / (1 + (n / half) ** exponent)


def _logarithm(n, shape):
    """Compute `-log2(n)`; its shape has no parameters."""
    return np.broadcast_to(-np.log2(n), (*shape.shape[:-1], len(n)))


#: For each family: its shape function, the exponents of the grid, and the bounds of its second parameter, relative to
#: the smallest and the largest number of images. An error that falls faster than 1/n is noise, so exponents end near 1.
FAMILIES = {
    "POW4": (_power, np.geomspace(0.05, 1, 12), (0.01, 3)),
    "MMF4": (_sigmoid, np.geomspace(0.2, 1.2, 12), (0.02, 50)),
    "LOG2": (_logarithm, np.ones(1), (1, 1)),
}


@dataclass(frozen=True)
class CurveFits:
    """Curves of one family, fitted to one or more series of accuracies.

    Attributes:
        family: `"POW4"`, `"MMF4"` or `"LOG2"`.
        asymptote: float64 array of shape `(curves,)`: the accuracy with unlimited images, at most 1; for LOG2, which
            has no asymptote, the accuracy with one image.
        drop: float64 array of shape `(curves,)`: the factor that multiplies the shape, at least 0.
        shape: float64 array of shape `(curves, 2)`: the logarithms of the exponent and of the second parameter.
    """

    family: str
    asymptote: np.ndarray
    drop: np.ndarray
    shape: np.ndarray

    def __call__(self, n) -> np.ndarray:
        """Predict accuracies at the given numbers of images; float64 of shape `(curves, numbers)`."""
        shapes = FAMILIES[self.family][0](np.atleast_1d(np.asarray(n, "float64")), self.shape)
        return np.clip(self.asymptote[:, None] - self.drop[:, None] * shapes, 0, 1)


def fit_curves(family: str, n, accuracies, weights=None, polish: bool = False) -> CurveFits:
    """Fit a family of curves to series of accuracies, by weighted least squares.

    Args:
        family: `"POW4"`: `asymptote - drop * ((n + shift) / (1 + shift)) ** -exponent`; `"MMF4"`: `asymptote - drop /
            (1 + (n / half) ** exponent)`; `"LOG2"`: `asymptote + drop * log2(n)`.
        n: Array of shape `(sizes,)`: numbers of images, ascending and positive.
        accuracies: Array of shape `(curves, sizes)`: accuracies in [0, 1].
        weights: Array of shape `(sizes,)`: the weight of each size, such as its inverse variance. Defaults to equal
            weights.
        polish: Whether to refine the best shape of the grid to the exact minimum. Defaults to False, since the grid is
            finer than the noise of resampled curves.

    Returns:
        `CurveFits`.

    Example:

    >>> n = np.array([5.0, 10.0, 20.0, 40.0, 80.0])
    >>> fits = fit_curves("POW4", n, [0.9 - 0.8 * n**-0.5], polish=True)
    >>> fits(320).round(3)
    array([[0.855]])
    """
    function, exponents, (low, high) = FAMILIES[family]
    n, y = np.asarray(n, "float64"), np.atleast_2d(np.asarray(accuracies, "float64"))
    w = np.ones(len(n)) if weights is None else np.asarray(weights, "float64")
    w = w / w.sum()
    seconds = np.geomspace(low * n[0], high * n[-1], 20)
    grid = np.log(np.stack(np.meshgrid(exponents, seconds, indexing="ij"), axis=-1).reshape(-1, 2))
    asymptote, drop, loss = _solve(function(n, grid), y, w)
    best = loss.argmin(axis=1)
    shape = grid[best]
    rows = np.arange(len(y))
    if polish:
        shape = np.stack([_polished(function, n, one, w, start) for one, start in zip(y, shape, strict=True)])
        solved = [_solve(function(n, one[None]), values[None], w) for one, values in zip(shape, y, strict=True)]
        return CurveFits(family, np.array([s[0][0, 0] for s in solved]), np.array([s[1][0, 0] for s in solved]), shape)
    return CurveFits(family, asymptote[rows, best], drop[rows, best], shape)


def _solve(shapes, y, w):
    """Regress each curve on each shape; return asymptotes, drops and losses, each of shape `(curves, shapes)`."""
    mean_shape, mean_y = shapes @ w, y @ w
    centered = shapes - mean_shape[:, None]
    variance = (centered**2) @ w
    drop = np.maximum(-(y * w) @ centered.T / np.maximum(variance, 1e-300), 0)
    asymptote = mean_y[:, None] + drop * mean_shape
    above = asymptote > 1  # then fix the asymptote at 1 and fit the drop alone
    through_one = ((1 - y) * w) @ shapes.T / ((shapes**2) @ w)
    drop, asymptote = np.where(above, through_one, drop), np.where(above, 1.0, asymptote)
    residuals = asymptote[..., None] - drop[..., None] * shapes - y[:, None]
    return asymptote, drop, (residuals**2) @ w


def _polished(function, n, y, w, start):
    """Refine a shape from the grid to the nearest minimum of the loss."""

    def loss(shape):
        return float(np.log(_solve(function(n, shape[None]), y[None], w)[2][0, 0] + 1e-18))

    bounds = [(start[0] - 1, start[0] + 1), (start[1] - 2, start[1] + 2)]
    options = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000}
    return minimize(loss, start, method="Nelder-Mead", bounds=bounds, options=options).x
