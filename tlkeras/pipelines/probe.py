"""The linear probe: logistic regression on frozen features, its C chosen by cross-validation."""

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from tlkeras.errors import InputError
from tlkeras.utils.validation import shown

# On a thousand standardised features the best C of few images lies far below scikit-learn's default of 1.
DEFAULT_CS = tuple(10.0 ** np.arange(-4, 1.1))


def linear_probe(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    Cs: Sequence[float] = DEFAULT_CS,
    folds: int = 5,
    seed: int = 0,
    class_weight: dict | str | None = None,
) -> Pipeline:
    """Fits a `StandardScaler` and a `LogisticRegression`, with C chosen by cross-validation.

    Args:
        features: Array of shape `(images, features)`, float32 or float64.
        labels: Array of shape `(images,)` of class numbers or names; two classes or more.
        Cs: The values of C (inverse of the L2 penalty) to choose from, ascending; of equals the smallest,
            the most cautious, is taken. The default spans 1e-4 to 10.
        folds: Number of cross-validation folds; fewer where the rarest class has fewer images, and no
            cross-validation (C = 0.01) where it has only one.
        seed: Of the folds.
        class_weight: None, `"balanced"` or a dict from class to weight, as in `LogisticRegression`; the held-out loss
            that chooses C is weighted alike.

    Returns:
        A fitted `sklearn.pipeline.Pipeline` of the two steps. What was chosen is `pipeline[-1].C`.

    Raises:
        InputError: The arrays have other shapes, hold no numbers or some that are not finite, the labels are all of
            one class, or an option cannot be used.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> linear_probe(X, y).score(X, y) > 0.9
    True

    Reference: Alain and Bengio, 2016, https://arxiv.org/abs/1610.01644
    """
    features, labels, rarest = _checked(features, labels)
    _check_options(Cs, folds, class_weight)
    folds = min(folds, rarest)
    # Matrices this small are multiplied faster by one thread; more also wait for those of the deep learning backend.
    with threadpool_limits(1, user_api="blas"):
        chosen = 0.01
        if folds > 1:
            chosen = Cs[int(held_out_losses(features, labels, Cs, folds, seed, class_weight).argmin())]
        return Pipeline([("scaler", StandardScaler()), ("classifier", _regression(chosen, class_weight))]).fit(
            features, labels
        )


def _checked(features, labels):
    """The features in double precision and the labels, as arrays, and how many images the rarest class has."""
    try:
        # scikit-learn solves in the precision of the features, and L-BFGS wants double.
        numbers = np.asarray(features, "float64")
    except (TypeError, ValueError):
        raise InputError(
            "linear_probe takes features as numbers, one row an image, such as FeatureExtractor().transform(paths) "
            f"gives. Received: {shown(features)}"
        ) from None
    labels = np.asarray(labels)
    if numbers.ndim != 2 or labels.shape != numbers.shape[:1]:
        raise InputError(
            "linear_probe takes features of shape (images, features) and labels of shape (images,). "
            f"Received: {numbers.shape} and {labels.shape}"
        )
    if lost := int((~np.isfinite(numbers)).any(axis=1).sum()):
        raise InputError(f"The features of {lost} of {len(numbers)} images are not finite: leave these images out.")
    try:
        classes, counts = np.unique(labels, return_counts=True)
    except TypeError:
        raise InputError(f"Labels are class numbers or names. Received: {shown(labels)}") from None
    if len(classes) < 2:
        raise InputError(f"linear_probe tells two classes or more apart. Received: only {classes.tolist()}")
    return numbers, labels, int(counts.min())


def _check_options(Cs, folds, class_weight):
    if not isinstance(Cs, Sequence | np.ndarray) or not len(Cs):
        raise InputError(f"Cs are the values of C to choose from, one or more. Received: {Cs!r}")
    if not all(isinstance(C, Real) and C > 0 for C in Cs):
        raise InputError(f"Cs are numbers above 0. Received: {Cs!r}")
    if not isinstance(folds, Integral) or folds < 1:
        raise InputError(f"folds is an integer, 1 or more. Received: folds={folds!r}")
    if class_weight not in (None, "balanced") and not isinstance(class_weight, dict):
        raise InputError(
            "class_weight must be None, 'balanced' or a dict from classes to weights. "
            f"Received: class_weight={class_weight!r}"
        )


def _regression(C, class_weight):
    return LogisticRegression(C=C, class_weight=class_weight, max_iter=2000)


def held_out_losses(features, labels, Cs, folds, seed, class_weight=None):
    """The log loss on held-out images of each C, the mean of the folds."""
    labels = np.asarray(labels)
    weights = compute_sample_weight(class_weight, labels)
    losses = np.zeros(len(Cs))
    for train, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, labels):
        scaler = StandardScaler().fit(features[train])
        seen, unseen = _fewer_columns(scaler.transform(features[train]), scaler.transform(features[held_out]))
        for i, C in enumerate(Cs):
            probe = _regression(C, class_weight).fit(seen, labels[train])
            answers = probe.predict_proba(unseen)
            losses[i] += log_loss(labels[held_out], answers, labels=probe.classes_, sample_weight=weights[held_out])
    return losses / folds


def _fewer_columns(seen, unseen):
    """Both in the axes that the rows of `seen` span, where there are fewer of these than columns.

    A regression with an L2 penalty is the same there: its weights are a sum of the rows, and a turn of the axes changes
    no length. It is many times faster with 200 columns than with 1280.
    """
    if len(seen) >= seen.shape[1]:
        return seen, unseen
    values, vectors = np.linalg.eigh(seen @ seen.T)
    lengths = np.sqrt(np.maximum(values, values[-1] * 1e-12 + np.finfo("float64").tiny))  # one is 0: rows are centered
    axes = seen.T @ (vectors / lengths)
    return seen @ axes, unseen @ axes
