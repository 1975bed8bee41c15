"""The scaler of a probe: standardized features, with no nearly constant one blown up."""

import numpy as np
from sklearn.preprocessing import StandardScaler

#: Smallest standard deviation to divide by, as a share of the median one. See docs/performance.md for others.
FLOOR = 0.1


def fitted_scaler(features: np.ndarray) -> StandardScaler:
    """Fit a `StandardScaler`, with a floor under the standard deviations that it divides by.

    A feature that is almost always 0 in training has a tiny standard deviation. If a new image activates it, its
    standardized value is in the hundreds, and it alone decides the answer. Such a feature is divided by a tenth of the
    median standard deviation instead. A network's features are in one unit, so they can be compared. The floor also
    bounds the weights of a folded head, which 8-bit files need.

    The scaler is a plain one of scikit-learn, for files and other programs. Fitting it again removes the floor.

    Args:
        features: Numbers of shape `(images, features)`.

    Returns:
        The fitted scaler; `scale_` is what it divides by, `var_` has no floor.

    Example:

    >>> fitted_scaler(np.array([[0, 0, 0], [0, 4, 8], [0.02, 4, 8], [0, 0, 0]])).scale_.tolist()
    [0.3, 2.0, 4.0]
    """
    scaler = StandardScaler().fit(features)
    scaler.scale_ = with_floor(np.sqrt(scaler.var_))
    return scaler


def with_floor(deviations: np.ndarray) -> np.ndarray:
    """Raise small standard deviations to a tenth of the median one, in which constant features do not count.

    Args:
        deviations: Floats of shape `(features,)`.

    Returns:
        Array of the same shape and dtype, all positive; ones if every feature is constant.

    Example:

    >>> with_floor(np.array([0.0, 1e-5, 1.0, 2.0])).tolist()
    [0.1, 0.1, 1.0, 2.0]
    """
    varied = deviations[deviations > 1e-6 * deviations.max()]
    if not len(varied):
        return np.ones_like(deviations)
    return np.maximum(deviations, FLOOR * np.median(varied)).astype(deviations.dtype)
