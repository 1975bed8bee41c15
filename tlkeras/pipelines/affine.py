"""Fitted transformers of scikit-learn as affine maps."""

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from tlkeras.errors import InputError

KEEP = "keep the pipeline as it is beside its network, with tlkeras.save_pipeline"


@dataclass(frozen=True)
class Affine:
    """The map `x @ matrix + offset`; a matrix that is diagonal is kept as the vector of its diagonal.

    Attributes:
        matrix: float64 of shape `(inputs, outputs)`, or `(inputs,)` where diagonal.
        offset: float64 of shape `(outputs,)`.
    """

    matrix: np.ndarray
    offset: np.ndarray

    def then(self, other: "Affine") -> "Affine":
        """Both maps in a row, as one."""
        if self.matrix.ndim == 1 and other.matrix.ndim == 2:
            matrix = self.matrix[:, None] * other.matrix
        elif other.matrix.ndim == 1:
            matrix = self.matrix * other.matrix
        else:
            matrix = self.matrix @ other.matrix
        offset = self.offset * other.matrix if other.matrix.ndim == 1 else self.offset @ other.matrix
        return Affine(matrix, offset + other.offset)

    def scaled(self, slopes, shifts) -> "Affine":
        """Every output times a slope, plus a shift."""
        return self.then(Affine(np.asarray(slopes, "float64"), np.asarray(shifts, "float64")))


def flat_steps(pipeline):
    """The fitted steps of a pipeline, those of pipelines in it included, and of a search the best it found.

    Args:
        pipeline: A `Pipeline`, a search such as `GridSearchCV`, or any one step.

    Yields:
        Estimators, in the order in which they act.

    Example:

    >>> from sklearn.pipeline import make_pipeline
    >>> list(flat_steps(make_pipeline("passthrough", make_pipeline(StandardScaler(), PCA(2)))))
    [StandardScaler(), PCA(n_components=2)]
    """
    pipeline = getattr(pipeline, "best_estimator_", pipeline)
    if not isinstance(pipeline, Pipeline):
        yield pipeline
        return
    for _, step in pipeline.steps:
        if step is not None and step != "passthrough":
            yield from flat_steps(step)


@singledispatch
def affine(step) -> Affine:
    """Writes a fitted transformer as an affine map.

    Args:
        step: A fitted scikit-learn transformer: a scaler, `PCA`, `IncrementalPCA`, `TruncatedSVD`, or a feature
            selector.

    Returns:
        `Affine`.

    Raises:
        InputError: Its map is not affine, or not known to be.

    Example:

    >>> scaler = StandardScaler().fit([[0.0], [2.0], [4.0]])
    >>> affine(scaler).offset.round(3)
    array([-1.225])
    """
    raise InputError(f"Between extractor and classifier this cannot be folded; {KEEP}. Received: {step!r}")


@affine.register
def _(step: StandardScaler):
    features = step.n_features_in_
    return _centered(
        step.mean_ if step.with_mean else np.zeros(features), step.scale_ if step.with_std else np.ones(features)
    )


@affine.register
def _(step: RobustScaler):
    features = step.n_features_in_
    return _centered(
        step.center_ if step.with_centering else np.zeros(features),
        step.scale_ if step.with_scaling else np.ones(features),
    )


@affine.register
def _(step: MinMaxScaler):
    _refuse_clipping(step)
    return Affine(float64(step.scale_), float64(step.min_))


@affine.register
def _(step: MaxAbsScaler):
    _refuse_clipping(step)
    return _centered(np.zeros(step.n_features_in_), step.scale_)


@affine.register(PCA)
@affine.register(IncrementalPCA)
def _(step):
    matrix = float64(step.components_).T
    if step.whiten:
        deviation = np.sqrt(float64(step.explained_variance_))
        matrix = matrix / np.maximum(deviation, np.finfo(step.explained_variance_.dtype).eps)
    return Affine(matrix, -float64(step.mean_) @ matrix)


@affine.register
def _(step: TruncatedSVD):
    matrix = float64(step.components_).T
    return Affine(matrix, np.zeros(matrix.shape[1]))


@affine.register
def _(step: SelectorMixin):
    matrix = np.eye(step.n_features_in_)[:, step.get_support()]
    return Affine(matrix, np.zeros(matrix.shape[1]))


def _centered(center, scale):
    scale = 1 / float64(scale)
    return Affine(scale, -float64(center) * scale)


def _refuse_clipping(step):
    if getattr(step, "clip", False):
        raise InputError(f"clip=True is not affine and cannot be folded; {KEEP}. Received: {step!r}")


def float64(values) -> np.ndarray:
    """Values as a float64 array, in which maps are put together whatever the estimator was fitted in."""
    return np.asarray(values, "float64")
