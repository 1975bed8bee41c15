"""The linear probe: a linear classifier on frozen features; cross-validation chooses the regularization strength."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from tlkeras.pipelines.discriminant import FALLBACK_TEMPERATURE, TEMPERATURES, discriminant_paths, fit_discriminant
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.logistic import MAX_ITERATIONS
from tlkeras.pipelines.regularization import (
    DEFAULT_CS,
    cross_validated_path,
    probability_paths,
)
from tlkeras.pipelines.scaling import fitted_scaler
from tlkeras.utils.validation import check_choice, check_integer, check_number, invalid

#: C to use if there are too few images to choose one; suits a thousand features of several hundred images.
FALLBACK_C = 0.01

ESTIMATORS = ("logistic", "lda")


def linear_probe(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    estimator: str = "logistic",
    groups: ArrayLike | None = None,
    Cs: Sequence[float] = DEFAULT_CS,
    folds: int = 5,
    seed: int = 0,
    class_weight: dict | str | None = None,
) -> Pipeline:
    """Fit a `StandardScaler` and a linear classifier whose regularization strength is chosen by cross-validation.

    The scaler divides by no less than a tenth of the median standard deviation of the features. Otherwise a feature
    that is almost always 0 in training could decide the class of a new image on its own, with complete certainty.

    Args:
        features: Array of shape `(images, features)`, float32 or float64.
        labels: Array of shape `(images,)` of class indices or names, with at least two classes; or zeros and ones of
            shape `(images, classes)` if an image may have several labels or none.
        estimator: `"logistic"` (the default) for a `LogisticRegression`, or `"lda"` for a linear discriminant analysis
            with shrunk covariances (`LinearDiscriminantAnalysis(shrinkage="auto")`). On our data, for ten or more
            classes, LDA took about a third of the time, was no more accurate, and gave worse probabilities; see
            docs/performance.md. With `"lda"`, scores are divided by a temperature, which is chosen instead of C.
        groups: Array of shape `(images,)`: the group of each image, such as a patient ID or a number shared by
            near-duplicates. Images in the same group are never split between training and held-out images. Defaults to
            None, which puts every image in its own group.
        Cs: Values of C, the inverse of the L2 penalty, to choose from. Ties go to the smallest value, which regularizes
            the most. The default spans 1e-4 to 10, since with a thousand features and few images, the best C is far
            below scikit-learn's default of 1. LDA ignores this argument.
        folds: Number of cross-validation folds. Defaults to 5. If the rarest class has fewer images (or groups) than
            that, there are as many folds as it has images (or groups). If it has only one, nothing can be chosen: C is
            0.01, and the temperature is 20.
        seed: Seed for the folds. Defaults to 0.
        class_weight: None, `"balanced"` or a dict that maps classes to weights, as in `LogisticRegression`; the
            held-out loss used to choose C is weighted in the same way. LDA uses the weights as class priors. A dict
            cannot be used with several labels per image. Defaults to None.

    Returns:
        A fitted `sklearn.pipeline.Pipeline` of the two steps. The chosen C is `pipeline[-1].C`; for LDA, the chosen
        temperature is `pipeline[-1].temperature`. With several labels per image, the second step is a
        `OneVsRestClassifier` of regressions that share one C, `pipeline[-1].estimator.C`.

    Raises:
        InputError: The arrays have wrong shapes or contain values that are not finite numbers, labels are missing or
            all of one class, or an option is invalid.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> linear_probe(X, y).score(X, y) > 0.9
    True

    Reference: Alain and Bengio, 2016, https://arxiv.org/abs/1610.01644
    """
    data = labeled_features(features, labels, groups)
    family = check_probe_options(estimator, Cs, class_weight, data.multilabel)
    folds = min(check_integer("folds", folds, minimum=1), data.rarest)
    # One thread multiplies matrices this small faster; more threads would also compete with those of the backend.
    with threadpool_limits(1, user_api="blas"):
        strength = family.strengths[0] if len(family.strengths) == 1 else family.fallback
        if folds > 1 and len(family.strengths) > 1:
            dealt = data.deal_folds(folds, seed)
            _, losses = cross_validated_path(data, dealt, family.strengths, class_weight, paths=family.paths)
            strength = family.strengths[int(losses.argmin())]
        return family.fit(data, strength, class_weight)


@dataclass(frozen=True)
class Family:
    """A kind of probe, and the candidate values of its hyperparameter.

    Attributes:
        strengths: Values to choose from, the strongest regularization first.
        fallback: Value to use if there are too few images to choose one.
        paths: Function that fits the probe without the held-out images and classifies these images with each value,
            like `probability_paths`.
        fit: Function that fits the probe on all images with one value, like `fit_probe`.
    """

    strengths: tuple[float, ...]
    fallback: float
    paths: Callable
    fit: Callable


def fit_probe(data, C, class_weight=None):
    """Fit the scaler and the regression with a given C on all images.

    Args:
        data: `LabeledFeatures` of the images.
        C: Inverse of the L2 penalty.
        class_weight: As in `linear_probe`.

    Returns:
        A fitted `sklearn.pipeline.Pipeline`.
    """
    classifier = LogisticRegression(C=C, class_weight=class_weight, max_iter=MAX_ITERATIONS)
    if data.multilabel:
        classifier = OneVsRestClassifier(classifier)
    scaler = fitted_scaler(data.features)
    classifier.fit(scaler.transform(data.features), data.labels)
    return Pipeline([("scaler", scaler), ("classifier", classifier)])


def chosen_strength(probe):
    """Return the chosen hyperparameter of a fitted probe by name: `{"C": 0.01}` or `{"temperature": 20.0}`."""
    classifier = probe[-1]
    if hasattr(classifier, "temperature"):
        return {"temperature": float(classifier.temperature)}
    return {"C": float(getattr(classifier, "estimator", classifier).C)}  # the same for the regressions of all labels


def check_probe_options(estimator, Cs, class_weight, multilabel):
    """Check the options that all probes share, and return the `Family`.

    Raises:
        InputError: An option is invalid.
    """
    if not isinstance(Cs, Sequence | np.ndarray) or isinstance(Cs, str) or not len(Cs):
        raise invalid("Cs", Cs, "be a sequence with at least one value of C")
    ascending = tuple(sorted(check_number("Cs", C, "(0, inf)") for C in Cs))
    check_choice("estimator", estimator, ESTIMATORS)
    if not (class_weight is None or isinstance(class_weight, dict) or class_weight == "balanced"):
        raise invalid("class_weight", class_weight, "be None, 'balanced' or a dict that maps classes to weights")
    if multilabel and isinstance(class_weight, dict):
        raise invalid("class_weight", class_weight, "be None or 'balanced' if images may have several labels")
    if estimator == "logistic":
        return Family(ascending, FALLBACK_C, probability_paths, fit_probe)
    if multilabel:
        raise invalid("estimator", estimator, "be 'logistic' if images may have several labels")
    return Family(TEMPERATURES, FALLBACK_TEMPERATURE, discriminant_paths, fit_discriminant)
