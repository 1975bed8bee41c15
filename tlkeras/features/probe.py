"""The linear probe: logistic regression on frozen features, its strength chosen by cross-validation."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tlkeras.errors import InputError

# On a thousand standardised features the best C of few images lies far below scikit-learn's default of 1.
INVERSE_STRENGTHS = tuple(10.0 ** np.arange(-4, 1.1))


def linear_probe(features, labels, *, strengths=INVERSE_STRENGTHS, folds=5, seed=0):
    """Fits a `StandardScaler` and a `LogisticRegression`, with C chosen by cross-validation.

    Args:
        features: Array of shape `(images, features)`, float32 or float64.
        labels: Array of shape `(images,)` of class numbers or names; two classes or more.
        strengths: The values of C (inverse of the L2 penalty) to choose from, ascending; of equals the smallest,
            the most cautious, is taken. The default spans 1e-4 to 10.
        folds: Number of cross-validation folds; fewer where the rarest class has fewer images, and no
            cross-validation (C = 0.01) where it has only one.
        seed: Of the folds.

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
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression(max_iter=2000))])
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
        if folds < 2:
            return pipeline.set_params(classifier__C=0.01).fit(features, labels)
        return _search(pipeline, strengths, folds, seed).fit(features, labels).best_estimator_


def _search(pipeline, strengths, folds, seed):
    return GridSearchCV(
        pipeline,
        {"classifier__C": list(strengths)},
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
    )
