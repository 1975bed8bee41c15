"""The linear probe: logistic regression on frozen features, its C chosen by cross-validation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.regularization import DEFAULT_CS, MAX_ITERATIONS, cross_validated_path, deal_folds
from tlkeras.utils.validation import check_integer, check_number, invalid

#: C where there is nothing to choose it by: right for a thousand features of a few hundred images.
FALLBACK_C = 0.01


def linear_probe(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    Cs: Sequence[float] = DEFAULT_CS,
    folds: int = 5,
    seed: int = 0,
    class_weight: dict | str | None = None,
) -> Pipeline:
    """Fit a `StandardScaler` and a `LogisticRegression`, with C chosen by cross-validation.

    Args:
        features: Array of shape `(images, features)`, float32 or float64.
        labels: Array of shape `(images,)` of class numbers or names, two classes or more; or zeros and ones of shape
            `(images, classes)` where an image may have several labels or none.
        groups: Array of shape `(images,)`, such as patients or near-duplicates: images of one group are never on both
            sides of a fold. Defaults to None, which puts every image in its own group.
        Cs: Values of C, the inverse of the L2 penalty, to choose from. Ties go to the smallest, the most cautious one.
            The default spans 1e-4 to 10, since on a thousand features the best C for few images is far below
            scikit-learn's 1.
        folds: Number of cross-validation folds. There are fewer if the rarest class has fewer images (or groups), and C
            is 0.01 if it has only one. Defaults to 5.
        seed: Seed of the folds. Defaults to 0.
        class_weight: None, `"balanced"` or a dict from class to weight, as in `LogisticRegression`; the held-out loss
            that chooses C is weighted the same way. A dict cannot be used with several labels per image. Defaults to
            None.

    Returns:
        A fitted `sklearn.pipeline.Pipeline` of the two steps. The C chosen is `pipeline[-1].C`. With several labels
        per image the second step is a `OneVsRestClassifier` of regressions that share one C,
        `pipeline[-1].estimator.C`.

    Raises:
        InputError: The arrays have other shapes, hold values that are not finite numbers, labels are missing or all of
            one class, or an option cannot be used.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> linear_probe(X, y).score(X, y) > 0.9
    True

    Reference: Alain and Bengio, 2016, https://arxiv.org/abs/1610.01644
    """
    data = labeled_features(features, labels, groups)
    Cs = check_probe_options(Cs, class_weight, data.multilabel)
    folds = min(check_integer("folds", folds, minimum=1), data.rarest)
    # Matrices this small are multiplied faster by one thread; more also wait for those of the deep learning backend.
    with threadpool_limits(1, user_api="blas"):
        C = FALLBACK_C
        if folds > 1:
            _, losses = cross_validated_path(data, deal_folds(data, folds, seed), Cs, class_weight)
            C = Cs[int(losses.argmin())]
        return fit_probe(data, C, class_weight)


def fit_probe(data, C, class_weight=None):
    """Fit the scaler and the regression of a given C on all images.

    Args:
        data: `LabeledFeatures`.
        C: Inverse of the L2 penalty.
        class_weight: As in `linear_probe`.

    Returns:
        A fitted `sklearn.pipeline.Pipeline`.
    """
    classifier = LogisticRegression(C=C, class_weight=class_weight, max_iter=MAX_ITERATIONS)
    if data.multilabel:
        classifier = OneVsRestClassifier(classifier)
    return Pipeline([("scaler", StandardScaler()), ("classifier", classifier)]).fit(data.features, data.labels)


def check_probe_options(Cs, class_weight, multilabel):
    """Check the options that all probes share, and return the Cs in ascending order.

    Raises:
        InputError: One of the options cannot be used.
    """
    if not isinstance(Cs, Sequence | np.ndarray) or isinstance(Cs, str) or not len(Cs):
        raise invalid("Cs", Cs, "be a sequence of one value of C or more")
    ascending = tuple(sorted(check_number("Cs", C, "(0, inf)") for C in Cs))
    if not (class_weight is None or isinstance(class_weight, dict) or class_weight == "balanced"):
        raise invalid("class_weight", class_weight, "be None, 'balanced' or a dict from class to weight")
    if multilabel and isinstance(class_weight, dict):
        raise invalid("class_weight", class_weight, "be None or 'balanced' where an image may have several labels")
    return ascending
