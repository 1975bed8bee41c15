"""The linear probe: logistic regression on frozen features, its strength chosen by cross-validation."""

from collections.abc import Sequence

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

# On a thousand standardised features the best C of few images lies far below scikit-learn's default of 1.
INVERSE_STRENGTHS = tuple(10.0 ** np.arange(-4, 1.1))


def linear_probe(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    strengths: Sequence[float] = INVERSE_STRENGTHS,
    folds: int = 5,
    seed: int = 0,
    class_weight: dict | str | None = None,
) -> Pipeline:
    """Fits a `StandardScaler` and a `LogisticRegression`, with C chosen by cross-validation.

    Args:
        features: Array of shape `(images, features)`, float32 or float64.
        labels: Array of shape `(images,)` of class numbers or names; two classes or more.
        strengths: The values of C (inverse of the L2 penalty) to choose from, ascending; of equals the smallest,
            the most cautious, is taken. The default spans 1e-4 to 10.
        folds: Number of cross-validation folds; fewer where the rarest class has fewer images, and no
            cross-validation (C = 0.01) where it has only one.
        seed: Of the folds.
        class_weight: None, `"balanced"` or a dict from class to weight, as in `LogisticRegression`; the held-out loss
            that chooses C is weighted alike.

    Returns:
        A fitted `sklearn.pipeline.Pipeline` of the two steps. What was chosen is `pipeline[-1].C`.

    Raises:
        InputError: The arrays have other shapes, or the labels are all of one class.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> linear_probe(X, y).score(X, y) > 0.9
    True

    Reference: Alain and Bengio, 2016, https://arxiv.org/abs/1610.01644
    """
    # scikit-learn solves in the precision of the features, and L-BFGS wants double.
    features, labels = np.asarray(features, "float64"), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise InputError(
            "linear_probe takes features of shape (images, features) and labels of shape (images,). "
            f"Received: {features.shape} and {labels.shape}"
        )
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise InputError(f"linear_probe tells two classes or more apart. Received: only {classes.tolist()}")
    folds = min(folds, int(counts.min()))
    # Matrices this small are multiplied faster by one thread; more also wait for those of the deep learning backend.
    with threadpool_limits(1, user_api="blas"):
        chosen = 0.01
        if folds > 1:
            chosen = strengths[int(held_out_losses(features, labels, strengths, folds, seed, class_weight).argmin())]
        return Pipeline([("scaler", StandardScaler()), ("classifier", _regression(chosen, class_weight))]).fit(
            features, labels
        )


def _regression(strength, class_weight):
    return LogisticRegression(C=strength, class_weight=class_weight, max_iter=2000)


def held_out_losses(features, labels, strengths, folds, seed, class_weight=None):
    """The log loss on held-out images of each C, the mean of the folds."""
    labels = np.asarray(labels)
    weights = compute_sample_weight(class_weight, labels)
    losses = np.zeros(len(strengths))
    for train, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, labels):
        scaler = StandardScaler().fit(features[train])
        seen, unseen = _fewer_columns(scaler.transform(features[train]), scaler.transform(features[held_out]))
        for i, strength in enumerate(strengths):
            probe = _regression(strength, class_weight).fit(seen, labels[train])
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
    lengths = np.sqrt(np.maximum(values, values[-1] * 1e-12 + np.finfo("float64").tiny))  # one is 0: rows are centred
    axes = seen.T @ (vectors / lengths)
    return seen @ axes, unseen @ axes
