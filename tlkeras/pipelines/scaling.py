"""The scaler of a probe: standardize features without amplifying nearly constant ones."""

import numpy as np
from sklearn.preprocessing import StandardScaler

#: Smallest standard deviation to divide by, as a share of the median. See docs/performance.md for a comparison of
#: values.
FLOOR = 0.1


def fitted_scaler(features: np.ndarray) -> StandardScaler:
    """Fit a `StandardScaler` with a lower limit on the standard deviations that it divides by.

    A feature that is almost always 0 in training has a tiny standard deviation. If a new image activates the feature,
    the standardized value is in the hundreds, and this feature alone decides the prediction. The scaler therefore
    divides such a feature by a tenth of the median standard deviation. All features of a network have the same unit, so
    their standard deviations can be compared. The limit also bounds the weights of a folded head, as 8-bit quantization
    requires.

    The result is a plain scikit-learn scaler, so it can be saved and used in other programs. Fitting it again removes
    the limit.

    Args:
        features: Features of the images, an array of shape `(images, features)`.

    Returns:
        The fitted scaler. The limit applies to `scale_`, which the scaler divides by, but not to `var_`.

    Example:

    >>> fitted_scaler(np.array([[0, 0, 0], [0, 4, 8], [0.02, 4, 8], [0, 0, 0]])).scale_.tolist()
    [0.2, 2.0, 4.0]
    """
    scaler = StandardScaler().fit(features)
    scaler.scale_ = with_floor(np.sqrt(scaler.var_))
    return scaler


def with_floor(deviations: np.ndarray) -> np.ndarray:
    """Raise small standard deviations to a tenth of the median over features that are not constant.

    Args:
        deviations: Standard deviations, a float array of shape `(features,)`.

    Returns:
        Array with the shape and dtype of `deviations`, all positive; ones if every feature is constant.

    Example:

    >>> with_floor(np.array([0.0, 1e-5, 1.0, 2.0])).tolist()
    [0.1, 0.1, 1.0, 2.0]
    """
    varied = deviations[deviations > 1e-6 * deviations.max()]
    if not len(varied):
        return np.ones_like(deviations)
    return np.maximum(deviations, FLOOR * np.median(varied)).astype(deviations.dtype)
