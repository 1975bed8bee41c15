"""Convert fitted scikit-learn linear classifiers to affine maps, with links from their outputs to predictions."""

from dataclasses import dataclass
from functools import singledispatch
from typing import Literal

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, RidgeClassifierCV, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC

from tlkeras.pipelines.affine import Affine, affine, flat_steps, float64, not_foldable


@dataclass(frozen=True)
class Readout:
    """A linear classifier, as an affine map of the features and a link from the map's outputs to the prediction.

    Attributes:
        affine: `Affine` map to one number per class.
        link: `"softmax"`; `"one-vs-rest"`, sigmoids divided by their sum; `"sigmoid"`, for several labels at once; or
            `"scores"`, raw scores, where the class with the largest score is predicted.
    """

    affine: Affine
    link: Literal["softmax", "one-vs-rest", "sigmoid", "scores"]


@singledispatch
def readouts(classifier) -> list[Readout]:
    """Convert a fitted classifier to readouts; the mean of their predictions is the classifier's prediction.

    Args:
        classifier: A fitted `LogisticRegression`, `LinearSVC`, `RidgeClassifier`, `SGDClassifier`, `Perceptron`,
            `LinearDiscriminantAnalysis` or `NearestCentroid`; or a `OneVsRestClassifier` or `CalibratedClassifierCV`
            (sigmoid or temperature) around one of these classifiers; or a pipeline of affine steps that ends in such a
            classifier.

    Returns:
        List of `Readout`, each with one output per class in the order of `classes_`. The list has more than one element
        only for a `CalibratedClassifierCV` with an ensemble.

    Raises:
        InputError: The classifier is not linear, or its type is not supported.

    Example:

    >>> [readout] = readouts(LinearSVC().fit([[0.0], [1.0], [2.0]], [0, 0, 1]))
    >>> readout.link, readout.affine.matrix.shape
    ('scores', (1, 2))
    """
    linear = " (LinearSVC would fold)" if isinstance(classifier, SVC) and classifier.kernel == "linear" else ""
    raise not_foldable(f"the scores of its classifier are not a single linear map of the features{linear}", classifier)


@readouts.register
def _(pipeline: Pipeline):
    *transformers, classifier = flat_steps(pipeline)
    return [Readout(_after(transformers, one.affine), one.link) for one in readouts(classifier)]


@readouts.register
def _(classifier: LogisticRegression):
    if getattr(classifier, "multi_class", "auto") not in ("auto", "deprecated"):  # removed in scikit-learn 1.8
        raise not_foldable("multi_class must be 'auto'", classifier)
    decisions = _decisions(classifier)
    if len(classifier.classes_) == 2:
        return [Readout(_against_zero(decisions), "softmax")]
    return [Readout(decisions, "one-vs-rest" if classifier.solver == "liblinear" else "softmax")]


@readouts.register(LinearSVC)
@readouts.register(Perceptron)
@readouts.register(RidgeClassifier)
@readouts.register(RidgeClassifierCV)
def _scores(classifier):
    decisions = _decisions(classifier)
    binary = decisions.matrix.shape[1] == 1
    return [Readout(_both_signs(decisions) if binary else decisions, "scores")]


@readouts.register
def _(classifier: SGDClassifier):
    if classifier.loss == "modified_huber":
        raise not_foldable("the probabilities of loss='modified_huber' are not smooth", classifier)
    if classifier.loss != "log_loss":
        return _scores(classifier)
    if len(classifier.classes_) == 2:
        return [Readout(_against_zero(_decisions(classifier)), "softmax")]
    return [Readout(_decisions(classifier), "one-vs-rest")]


@readouts.register
def _(classifier: LinearDiscriminantAnalysis):
    decisions = _decisions(classifier)
    return [Readout(_against_zero(decisions) if len(classifier.classes_) == 2 else decisions, "softmax")]


@readouts.register
def _(classifier: NearestCentroid):
    # scikit-learn's probabilities always use standardized distances, but its predictions use them only if the priors
    # differ, which depends on the images. So the outputs are scores in both cases, and the largest decides, as in
    # `predict`.
    standardized = _standardized_nearest(classifier)
    if np.isclose(classifier.class_prior_, 1 / len(classifier.classes_)).all():
        return [Readout(_nearest(classifier.centroids_), "scores")]
    return [Readout(standardized, "scores")]


@readouts.register
def _(classifier: OneVsRestClassifier):
    parts = []
    for estimator in classifier.estimators_:
        if not hasattr(estimator, "classes_"):
            raise not_foldable("all examples belong to one class, or a class has no examples", classifier)
        if isinstance(estimator, NearestCentroid):  # calibration uses its probabilities, whatever the priors
            part, more = Readout(_standardized_nearest(estimator), "softmax"), []
        else:
            part, *more = readouts(estimator)
        if more:
            raise not_foldable("the one-vs-rest estimators are ensembles", classifier)
        parts.append(part)
    decisions = [_difference(part) for part in parts]
    joint = Affine(
        np.concatenate([one.matrix for one in decisions], 1), np.concatenate([one.offset for one in decisions])
    )
    links = {part.link for part in parts}
    if links == {"scores"}:
        return [Readout(_both_signs(joint) if len(parts) == 1 else joint, "scores")]
    if len(parts) == 1 and not classifier.multilabel_:
        return [Readout(_against_zero(joint), "softmax")]
    return [Readout(joint, "sigmoid" if classifier.multilabel_ else "one-vs-rest")]


@readouts.register
def _(classifier: CalibratedClassifierCV):
    return [_calibrated(fitted, classifier) for fitted in classifier.calibrated_classifiers_]


def _calibrated(fitted, whole):
    *transformers, estimator = flat_steps(getattr(fitted.estimator, "estimator", fitted.estimator))  # unfrozen
    if readouts.dispatch(type(estimator)) is readouts.dispatch(object) or not hasattr(estimator, "coef_"):
        raise not_foldable("a calibrated classifier can be folded only if it is linear", whole)
    decisions, calibrators = _after(transformers, _decisions(estimator)), fitted.calibrators
    if fitted.method == "sigmoid":
        joint = decisions.scaled([-one.a_ for one in calibrators], [-one.b_ for one in calibrators])
        binary = len(whole.classes_) == 2
        return Readout(_against_zero(joint) if binary else joint, "softmax" if binary else "one-vs-rest")
    if fitted.method == "temperature":
        joint = _both_signs(decisions) if decisions.matrix.shape[1] == 1 else decisions
        beta = np.full(len(joint.offset), float(calibrators[0].beta_))
        return Readout(joint.scaled(beta, np.zeros_like(beta)), "softmax")
    raise not_foldable(f"calibration by {fitted.method!r} is not linear", whole)


def _standardized_nearest(classifier):
    """Return the affine `decision_function` of a `NearestCentroid`, up to a term that is the same for all classes."""
    if classifier.metric != "euclidean":
        raise not_foldable("only Euclidean distances are linear", classifier)
    deviation = np.where(classifier.within_class_std_dev_ == 0, 1, classifier.within_class_std_dev_)
    nearest = _nearest(classifier.centroids_ / deviation)
    joint = Affine(1 / deviation, np.zeros_like(deviation)).then(nearest)
    return Affine(joint.matrix, joint.offset + 2 * np.log(classifier.class_prior_))


# Squared distances differ between classes only by an affine map, since |x|^2 is the same for all classes.
def _nearest(centroids):
    """Score how near `x` is to each centroid: the squared length of `x` minus the squared distance to the centroid."""
    centroids = float64(centroids)
    return Affine(2 * centroids.T, -np.sum(centroids**2, axis=1))


def _after(transformers, joint):
    """Compose affine steps with the affine map that follows them."""
    for step in reversed(transformers):
        joint = affine(step).then(joint)
    return joint


def _decisions(classifier):
    """Convert a classifier's `decision_function`, which has one output if there are two classes."""
    matrix = np.atleast_2d(float64(classifier.coef_)).T
    return Affine(matrix, np.broadcast_to(float64(classifier.intercept_), matrix.shape[1:]).copy())


def _difference(readout):
    """Return the logit of the second class against the first, for a readout with two classes."""
    matrix, offset = readout.affine.matrix, readout.affine.offset
    factor = 0.5 if readout.link == "scores" else 1
    return Affine(factor * (matrix[:, 1:] - matrix[:, :1]), factor * (offset[1:] - offset[:1]))


def _against_zero(decisions):
    """Convert one logit to two, starting with zero, since softmax([0, z]) = [1 - sigmoid(z), sigmoid(z)]."""
    return Affine(np.pad(decisions.matrix, [(0, 0), (1, 0)]), np.pad(decisions.offset, (1, 0)))


def _both_signs(decisions):
    """Convert one score to two, against and for the second class; the class with the larger score is predicted."""
    return Affine(
        np.concatenate([-decisions.matrix, decisions.matrix], 1), np.concatenate([-decisions.offset, decisions.offset])
    )
