"""Fold a fitted scikit-learn pipeline into one Keras model with the same predictions."""

import keras
from keras import layers, ops
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.validation import check_is_fitted

from tlkeras.errors import InputError
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.pipelines.affine import affine, flat_steps, not_foldable
from tlkeras.pipelines.readouts import readouts
from tlkeras.utils.validation import shown


def fold(pipeline: BaseEstimator) -> keras.Model:
    """Fold a fitted pipeline (an extractor, scalers and a linear classifier) into one end-to-end Keras model.

    A chain of affine maps is itself an affine map, so scalers, PCA and the classifier become the weights of one `Dense`
    layer on top of the extractor's network.

    Args:
        pipeline: A fitted `sklearn.pipeline.Pipeline`, or a fitted search such as `GridSearchCV`. The steps are a
            `tlkeras.FeatureExtractor`; any number of `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler`, `RobustScaler`,
            `PCA`, `IncrementalPCA`, `TruncatedSVD`, feature selectors and `Normalizer`; and a linear classifier:
            `LogisticRegression`, `LinearSVC`, `RidgeClassifier`, `SGDClassifier`, `Perceptron`,
            `LinearDiscriminantAnalysis`, `NearestCentroid`, or a `OneVsRestClassifier` or `CalibratedClassifierCV`
            (`"sigmoid"` or `"temperature"`) around one of these classifiers.

    Returns:
        A flat `keras.Model` that maps raw pixels of shape `(N, height, width, 3)` to float32 outputs of shape
        `(N, classes)`, in the order of the classifier's `classes_`. The outputs are the probabilities of
        `predict_proba` if the classifier has that method; otherwise, they are the scores of `decision_function`, and
        the largest score marks the predicted class. With two classes, a single score `s` becomes `[-s, s]`. For
        `NearestCentroid`, the outputs are also scores, larger for nearer centroids, since its `predict` and
        `predict_proba` may disagree. The model shares no weights with the extractor. Relative to the largest output,
        the outputs differ from those of the pipeline by at most 1e-5, or by about 1e-3 on a GPU that rounds float32
        products (TF32); see docs/gpu.md.

    Raises:
        InputError: A step cannot be folded, such as an RBF `SVC`, trees, k-NN or a regressor. Save such a pipeline with
            `tlkeras.save_pipeline` instead.
        sklearn.exceptions.NotFittedError: The pipeline is not fitted.

    Example:

    >>> import tlkeras
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> images = tlkeras.load_images("data/clipart10", per_class=10)
    >>> pipe = make_pipeline(tlkeras.FeatureExtractor(), StandardScaler(), LogisticRegression(C=0.01))
    >>> pipe = pipe.fit(images.validation.paths, images.validation.labels)
    >>> tlkeras.fold(pipe).output_shape
    (None, 10)
    """
    if isinstance(pipeline, BaseEstimator) and not isinstance(pipeline, Pipeline):  # a search
        check_is_fitted(pipeline)
    steps = list(flat_steps(pipeline))
    if len(steps) < 2 or not isinstance(steps[0], FeatureExtractor):
        raise InputError(
            "`pipeline` must be a scikit-learn Pipeline that starts with a FeatureExtractor and has steps after it. "
            f"Received: {shown(pipeline)}."
        )
    extractor, *transformers, classifier = steps
    if not is_classifier(classifier):
        kind = "is a regressor" if is_regressor(classifier) else "is not a classifier"
        raise not_foldable(f"its last step must be a linear classifier, but {kind}", classifier)
    for step in (*transformers, classifier):
        check_is_fitted(step)
    outputs = readouts(classifier)
    network = extractor.build_network()
    features, rest = _transformed(network.outputs[0], transformers)
    answers = [_answer(features, rest, readout, index) for index, readout in enumerate(outputs)]
    answer = answers[0] if len(answers) == 1 else layers.Average(name="mean", dtype="float32")(answers)
    return keras.Model(network.inputs[0], answer, name=network.name)


def folded_weights(scalers, classifier):
    """Combine fitted scalers and a fitted logistic regression into one affine map.

    Args:
        scalers: Transformers such as `StandardScaler`, in the order in which they are applied.
        classifier: A `LogisticRegression`, or another classifier that computes its probabilities with a softmax.

    Returns:
        `(kernel, bias)`, float64, of shapes `(features, classes)` and `(classes,)`: the softmax of
        `features @ kernel + bias` is the classifier's `predict_proba`.

    Raises:
        InputError: A transformer or the classifier has an unsupported type.
    """
    readout, *more = readouts(make_pipeline(*scalers, classifier))
    if more or readout.link != "softmax":
        raise not_foldable("the probabilities of its classifier are not a softmax", classifier)
    return readout.affine.matrix, readout.affine.offset


def _transformed(features, transformers):
    """Apply the steps up to the last one that is not affine; return the output and the affine map left for the head."""
    pending = None
    for step in transformers:
        if isinstance(step, Normalizer):
            features, pending = _normalized(_mapped(features, pending), step.norm), None
        else:
            pending = affine(step) if pending is None else pending.then(affine(step))
    return features, pending


def _mapped(features, pending):
    if pending is None:
        return features
    if pending.matrix.ndim == 1:
        return layers.Rescaling(pending.matrix.tolist(), pending.offset.tolist(), dtype="float32")(features)
    return _dense(pending, None, None)(features)


def _normalized(features, norm):
    """Normalize like `sklearn.preprocessing.Normalizer`, which leaves a row of zeros unchanged."""
    if features.dtype != "float32":  # squares overflow float16
        features = ops.cast(features, "float32")
    if norm == "l2":
        length = ops.sqrt(ops.sum(ops.square(features), axis=-1, keepdims=True))
    elif norm == "l1":
        length = ops.sum(ops.abs(features), axis=-1, keepdims=True)
    else:
        length = ops.max(ops.abs(features), axis=-1, keepdims=True)
    return features / ops.maximum(length, 1e-30)


def _answer(features, rest, readout, index):
    joint = readout.affine if rest is None else rest.then(readout.affine)
    # Sigmoids divided by their sum are the softmax of their logarithms, which does not divide by zero.
    activation = {"scores": None, "one-vs-rest": "log_sigmoid"}.get(readout.link, readout.link)
    answer = _dense(joint, activation, f"predictions_{index}" if index else "predictions")(features)
    return layers.Softmax(dtype="float32")(answer) if readout.link == "one-vs-rest" else answer


def _dense(joint, activation, name):
    """Convert an affine map to a `Dense` layer, in float32 even under mixed precision, since float16 is too coarse."""
    inputs, units = joint.matrix.shape
    layer = layers.Dense(units, activation=activation, dtype="float32", name=name)
    layer.build((None, inputs))
    layer.set_weights([joint.matrix, joint.offset])
    return layer
