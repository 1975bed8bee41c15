"""Convert fitted scikit-learn transformers to affine maps."""

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from tlkeras.errors import InputError
from tlkeras.utils.validation import shown


def not_foldable(reason: str, step: object) -> InputError:
    """Build the error for a step that cannot be folded.

    Args:
        reason: Reason that completes the sentence "`pipeline` cannot be folded: ...".
        step: The step that cannot be folded.

    Example:

    >>> not_foldable("a scaler with clip=True is not affine", MinMaxScaler(clip=True)).args[0][:66]
    '`pipeline` cannot be folded: a scaler with clip=True is not affine'
    """
    return InputError(
        f"`pipeline` cannot be folded: {reason}. Received: {shown(step)}. To save the pipeline together with its "
        "network, use `tlkeras.save_pipeline`."
    )


@dataclass(frozen=True)
class Affine:
    """The map from `x` to `x @ matrix + offset`; a diagonal matrix is stored as a vector.

    Attributes:
        matrix: float64 array of shape `(inputs, outputs)`, or `(inputs,)` if it is diagonal.
        offset: float64 array of shape `(outputs,)`.
    """

    matrix: np.ndarray
    offset: np.ndarray

    def then(self, other: "Affine") -> "Affine":
        """Compose this map with `other`, which is applied to the outputs of this map."""
        if self.matrix.ndim == 1 and other.matrix.ndim == 2:
            matrix = self.matrix[:, None] * other.matrix
        elif other.matrix.ndim == 1:
            matrix = self.matrix * other.matrix
        else:
            matrix = self.matrix @ other.matrix
        offset = self.offset * other.matrix if other.matrix.ndim == 1 else self.offset @ other.matrix
        return Affine(matrix, offset + other.offset)

    def scaled(self, slopes, shifts) -> "Affine":
        """Multiply every output by a slope, and add a shift."""
        return self.then(Affine(np.asarray(slopes, "float64"), np.asarray(shifts, "float64")))


def flat_steps(pipeline):
    """List the fitted steps of a pipeline (or of the best pipeline of a search), including nested steps.

    Args:
        pipeline: A `Pipeline`, a search such as `GridSearchCV`, or a single step.

    Yields:
        Estimators, in the order in which they are applied.

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
    """Convert a fitted transformer to an affine map.

    Args:
        step: A fitted scikit-learn transformer: a scaler, `PCA`, `IncrementalPCA`, `TruncatedSVD`, or a feature
            selector.

    Returns:
        `Affine`.

    Raises:
        InputError: The step is not affine, or its type is not supported.

    Example:

    >>> scaler = StandardScaler().fit([[0.0], [2.0], [4.0]])
    >>> affine(scaler).offset.round(3)
    array([-1.225])
    """
    raise not_foldable("a step between the extractor and the classifier is not affine, or its type is unknown", step)


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
        raise not_foldable("a scaler with clip=True is not affine", step)


def float64(values) -> np.ndarray:
    """Convert values to float64, since maps are composed in double precision, whatever precision the estimator used."""
    return np.asarray(values, "float64")
