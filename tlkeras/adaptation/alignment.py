"""Align the features of a target domain with those of a source domain, using an affine map that folds into the head."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.covariance import ledoit_wolf
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from tlkeras.errors import InputError
from tlkeras.pipelines.affine import Affine, affine
from tlkeras.pipelines.scaling import with_floor
from tlkeras.utils.validation import check_choice


class FeatureAlignment(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """An affine map from the features of a target domain to those of the source domain, fitted without target labels.

    A classifier trained on source features can classify target images after this map is applied to their features. The
    map is affine, so `tlkeras.fold` can merge it into the head at no cost in speed.

    Args:
        method: `"standardize"` (the default) matches the mean and standard deviation of each feature to those in the
            source domain. This method needs the fewest images. `"coral"` also aligns the covariance matrices, with
            Ledoit-Wolf shrinkage. `"linear_ot"` is the optimal transport map between two Gaussian distributions and
            requires SKADA (the extra `da`).

    Attributes:
        matrix_: float64 array of shape `(features,)` for `"standardize"`, otherwise `(features, features)`.
        offset_: float64 array of shape `(features,)`. A row `x` is mapped to `x * matrix_ + offset_`, or to
            `x @ matrix_ + offset_`.
        n_features_in_: Number of features.

    Example:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(0, 1, (200, 3)), rng.normal(5, 2, (300, 3))
    >>> aligned = FeatureAlignment().fit(source, target=target).transform(target)
    >>> bool(np.allclose(aligned.mean(axis=0), source.mean(axis=0)))
    True

    References: Sun et al., 2016, https://arxiv.org/abs/1511.05547 (CORAL); Flamary et al., 2019,
    https://arxiv.org/abs/1905.10155 (linear optimal transport).
    """

    def __init__(self, method: str = "standardize"):
        self.method = method

    def fit(self, X: ArrayLike, y: Any = None, *, target: ArrayLike | None = None) -> Self:
        """Fit the map from target to source features.

        Args:
            X: Source features of shape `(images, features)`.
            y: Ignored.
            target: Target features of shape `(images, features)`, with at least two rows. Defaults to None, which makes
                the map the identity.

        Returns:
            The instance itself.

        Raises:
            InputError: `method` is unknown, `X` and `target` have different numbers of features, or SKADA is needed but
                not installed.
        """
        check_choice("method", self.method, tuple(_METHODS))
        X = validate_data(self, X, dtype="float64")
        if target is None:
            self.matrix_, self.offset_ = np.ones(X.shape[1]), np.zeros(X.shape[1])
            return self
        target = check_array(target, dtype="float64", ensure_min_samples=2, input_name="target")
        if target.shape[1] != X.shape[1]:
            raise InputError(
                "`X` and `target` must have the same number of columns. "
                f"Received: {X.shape[1]} and {target.shape[1]} columns."
            )
        self.matrix_, self.offset_ = _METHODS[self.method](X, target)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Map target features into the space of the source features.

        Args:
            X: Target features of shape `(images, features)`.

        Returns:
            float64 array of shape `(images, features)`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        mapped = X * self.matrix_ if self.matrix_.ndim == 1 else X @ self.matrix_
        return mapped + self.offset_


@affine.register
def _(step: FeatureAlignment):
    return Affine(step.matrix_, step.offset_)


def _standardize(source, target):
    """Match the mean and standard deviation of each feature; a feature that is constant in the target is only shifted.

    As in a probe's scaler, standard deviations have a lower bound, so a feature that hardly varies in the target is not
    amplified.
    """
    spread = target.std(axis=0)
    ratio = with_floor(source.std(axis=0)) / with_floor(spread)
    matrix = np.where(spread > 1e-6 * max(spread.max(), 1e-12), ratio, 1.0)
    return matrix, source.mean(axis=0) - target.mean(axis=0) * matrix


def _coral(source, target):
    """Whiten features with the target's covariance matrix, then recolor them with the source's."""
    matrix = _power(_covariance(target), -0.5) @ _power(_covariance(source), 0.5)
    return matrix, source.mean(axis=0) - target.mean(axis=0) @ matrix


def _covariance(features):
    """Estimate a covariance matrix, with correlations shrunk as in scikit-learn's LDA."""
    spread = features.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    correlation, _ = ledoit_wolf((features - features.mean(axis=0)) / spread)
    return spread[:, None] * correlation * spread


def _power(covariance, exponent):
    """Raise a symmetric positive definite matrix to a power."""
    values, vectors = eigh(covariance)
    values = np.maximum(values, np.finfo("float64").eps * max(values[-1], np.finfo("float64").tiny))
    return (vectors * values**exponent) @ vectors.T


def _linear_ot(source, target):
    """Compute the optimal transport map between two Gaussians with the means and covariances of the domains."""
    try:
        from skada import LinearOTMappingAdapter
    except ImportError as error:
        raise InputError(
            "`method='linear_ot'` needs SKADA, which is not installed. Run: pip install 'tlkeras[da]'"
        ) from error
    # SKADA maps its source domain, numbered 1, to its target domain, numbered -2; here the roles are reversed.
    domains = np.repeat([1, -2], [len(target), len(source)])
    # The smallest ridge, relative to the variances, that is stable for 1280 features of several hundred images.
    ridge = 0.1 * float(np.concatenate([source, target]).var(axis=0).mean())
    adapter = LinearOTMappingAdapter(reg=ridge).fit(np.concatenate([target, source]), sample_domain=domains)
    transport = adapter.ot_transport_
    return transport.A_, np.ravel(transport.B_)


_METHODS = {"standardize": _standardize, "coral": _coral, "linear_ot": _linear_ot}
