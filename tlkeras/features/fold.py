"""A fitted scikit-learn pipeline becomes one Keras model that answers as the pipeline did."""

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from tlkeras.errors import InputError
from tlkeras.features.extractor import FeatureExtractor


def fold(pipeline):
    """Folds a fitted pipeline of extractor, scaler and linear classifier into one end-to-end Keras model.

    A scaler followed by a linear classifier is one affine map, so both become the weights of one `Dense` layer on top
    of the extractor's network.

    Args:
        pipeline: A fitted `sklearn.pipeline.Pipeline`: a `tlkeras.FeatureExtractor`, any number of `StandardScaler`,
            and a `LogisticRegression`.

    Returns:
        A flat `keras.Model` from raw pixels of shape `(N, height, width, 3)` to class probabilities of shape
        `(N, classes)`, in the order of the classifier's `classes_`. It shares no weights with the extractor.

    Raises:
        InputError: A step cannot be folded.
        sklearn.exceptions.NotFittedError: The pipeline is not fitted.

    Example:

    >>> import tlkeras
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> images = tlkeras.load_images("data/clipart10")
    >>> pipe = make_pipeline(tlkeras.FeatureExtractor(), StandardScaler(), LogisticRegression(C=0.01))
    >>> pipe = pipe.fit(images.validation.paths, images.validation.labels)
    >>> tlkeras.fold(pipe).output_shape
    (None, 10)
    """
    if not isinstance(pipeline, Pipeline) or not isinstance(pipeline[0], FeatureExtractor):
        raise InputError(
            f"fold takes a scikit-learn Pipeline that starts with a FeatureExtractor. Received: {pipeline!r}"
        )
    check_is_fitted(pipeline[-1])
    extractor, *scalers, classifier = (step for _, step in pipeline.steps)
    network = extractor.build_network()
    kernel, bias = folded_weights(scalers, classifier)
    # Probabilities in float32 also under mixed precision, where float16 would round them.
    head = layers.Dense(kernel.shape[1], activation="softmax", dtype="float32", name="predictions")
    model = keras.Model(network.inputs[0], head(network.outputs[0]), name=network.name)
    head.set_weights([kernel, bias])
    return model


def folded_weights(scalers, classifier):
    """Writes fitted scalers and a fitted linear classifier as one affine map.

    Args:
        scalers: `StandardScaler`s, in the order in which they act.
        classifier: A `LogisticRegression`.

    Returns:
        `(kernel, bias)`, float64, of shapes `(features, classes)` and `(classes,)`: softmax of
        `features @ kernel + bias` is the classifier's `predict_proba`.

    Raises:
        InputError: One of them is of another kind.
    """
    kernel, bias = _class_logits(classifier)
    for scaler in reversed(scalers):
        scale, offset = _scale_and_offset(scaler)
        kernel, bias = scale[:, None] * kernel, bias + offset @ kernel
    return kernel, bias


def _scale_and_offset(scaler):
    """The scaler as `scale * x + offset`, two float64 vectors."""
    if not isinstance(scaler, StandardScaler):
        raise InputError(
            f"Between the extractor and the classifier only StandardScaler can be folded. Received: {scaler!r}"
        )
    features = scaler.n_features_in_
    scale = 1 / scaler.scale_ if scaler.with_std else np.ones(features)
    return scale, -scaler.mean_ * scale if scaler.with_mean else np.zeros(features)


def _class_logits(classifier):
    """Kernel `(features, classes)` and bias `(classes,)` whose softmax is the classifier's `predict_proba`."""
    if not isinstance(classifier, LogisticRegression):
        raise InputError(f"Only a LogisticRegression can become the head. Received: {classifier!r}")
    if classifier.solver == "liblinear" and len(classifier.classes_) > 2:
        raise InputError("A one-vs-rest LogisticRegression is no softmax; use another solver than liblinear.")
    if getattr(classifier, "multi_class", "auto") not in ("auto", "deprecated"):  # gone from scikit-learn 1.8
        raise InputError(f"Only a LogisticRegression with multi_class='auto' is folded. Received: {classifier!r}")
    kernel, bias = classifier.coef_.T.astype("float64"), classifier.intercept_.astype("float64")
    if len(classifier.classes_) == 2:
        # Two classes have one logit; the other class's is zero, since softmax([0, z]) = [1 - sigmoid(z), sigmoid(z)].
        kernel, bias = np.pad(kernel, [(0, 0), (1, 0)]), np.pad(bias, (1, 0))
    return kernel, bias
