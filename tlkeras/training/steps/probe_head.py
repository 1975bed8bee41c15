"""The head of a classifier: finding it, and setting it to a linear probe of the features below it."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from tlkeras.errors import InputError
from tlkeras.models.layer_tree import check_model
from tlkeras.pipelines.fold import folded_weights
from tlkeras.pipelines.probe import linear_probe
from tlkeras.training.steps.checks import check_labels
from tlkeras.training.steps.data import class_numbers, outputs


@dataclass(frozen=True)
class Head:
    """The last `Dense` layer of a classifier.

    Attributes:
        layer: The layer.
        features: KerasTensor of its input, of shape `(N, features)`.
        task: `"multiclass"`, `"binary"` (one sigmoid unit) or `"multilabel"`.
        from_logits: Whether the model gives logits, its last activation being linear.
    """

    layer: layers.Dense
    features: keras.KerasTensor
    task: str
    from_logits: bool


def find_head(model):
    """Finds the `Dense` layer that a classifier ends in, an activation layer after it allowed.

    Args:
        model: A functional or Sequential `keras.Model` with one output.

    Returns:
        `Head`.

    Raises:
        InputError: It is no Keras model, is not built, takes more than images, or does not end so.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    >>> find_head(model).task
    'multiclass'
    """
    check_model(model)
    refusal = InputError(
        f"The model {model.name!r} has no head that can be recognized: it should be a built functional or Sequential "
        "model whose last layer is Dense, with softmax, sigmoid or no activation."
    )
    if len(getattr(model, "outputs", None) or ()) != 1:
        raise refusal
    if len(model.inputs) != 1:
        raise InputError(f"The model {model.name!r} takes {len(model.inputs)} inputs; fine_tune gives it images alone.")
    operation, features = _made_by(model.outputs[0])
    activation = None
    if isinstance(operation, layers.Activation | layers.Softmax):
        activation = "softmax" if isinstance(operation, layers.Softmax) else _name(operation.activation)
        operation, features = _made_by(features)
    if not isinstance(operation, layers.Dense):
        raise refusal
    activation = activation or _name(operation.activation)
    if activation not in ("softmax", "sigmoid", "linear"):
        raise refusal
    task = "binary" if operation.units == 1 else "multilabel" if activation == "sigmoid" else "multiclass"
    return Head(operation, features, task, from_logits=activation == "linear")


def _made_by(tensor):
    """The layer that made a tensor, and what it made it of: in this graph, the layer may be in others too."""
    operation, node, _ = tensor._keras_history
    inputs = operation._inbound_nodes[node].input_tensors
    return operation, inputs[0] if inputs else None


def _name(activation):
    return getattr(activation, "__name__", str(activation))


def fit_head(model, batches, *, seed=0, class_weight=None):
    """Sets the head to logistic regression on the features below it: the linear probe, in place.

    Args:
        model: A classifier; see `find_head`. Nothing but its head changes.
        batches: Training batches, gone through once; see `tlkeras.training.steps.data.as_batches`.
        seed: Of the cross-validation that chooses the penalty.
        class_weight: None, or a dict from class number to weight. Not for a multi-label head.

    Returns:
        The C that was chosen: a float, or for a multi-label head one a label, None of a label that all or no images
        have.

    Raises:
        InputError: The model has no head that can be recognized, the labels are not for it or of one class only, or
            features are not finite.

    Reference: the first half of LP-FT, Kumar et al., 2022, https://arxiv.org/abs/2202.10054
    """
    head = find_head(model)
    network = keras.Model(model.inputs[0], head.features)
    features, labels = map(np.concatenate, zip(*outputs(network, batches), strict=True))
    check_labels(labels, head, "train")
    if not np.isfinite(features).all():
        lost = int((~np.isfinite(features)).any(axis=1).sum())
        raise InputError(f"The features of {lost} of {len(features)} images are not finite: look for NaN in train.")
    units = head.layer.units
    if head.task != "multilabel" and len(found := np.unique(class_numbers(labels))) < 2:
        raise InputError(f"train holds images of class {found[0]} alone; give it two classes or more.")
    if head.task == "multilabel":
        columns = [_probe_of_label(features, labels[:, unit].astype(int), seed) for unit in range(units)]
        kernel = np.stack([kernel for kernel, _, _ in columns], axis=1)
        bias = np.array([bias for _, bias, _ in columns])
        strength = [chosen for _, _, chosen in columns]
    elif head.task == "binary":
        kernel, bias, strength = _probe_of_label(features, class_numbers(labels), seed, class_weight)
        kernel, bias = kernel[:, None], np.array([bias])
    else:
        kernel, bias, strength = _probe(features, class_numbers(labels), units, seed, class_weight)
    head.layer.set_weights([kernel, bias] if head.layer.use_bias else [kernel])
    return strength


def _probe_of_label(features, labels, seed, class_weight=None):
    """Kernel `(features,)`, bias and C of a probe for a label that is there or not."""
    kernel, bias, strength = _probe(features, labels, 2, seed, class_weight)
    return kernel[:, 1] - kernel[:, 0], bias[1] - bias[0], strength


def _probe(features, labels, classes, seed, class_weight):
    """Kernel `(features, classes)`, bias `(classes,)` and C of a probe; a class without images gets no chance."""
    found = np.unique(labels)
    kernel, bias, strength = np.zeros((features.shape[1], classes)), np.zeros(classes), None
    if len(found) > 1:
        weights = class_weight and {number: class_weight.get(number, 1.0) for number in found.tolist()}
        probe = linear_probe(features, labels, seed=seed, class_weight=weights)
        *scalers, regression = (step for _, step in probe.steps)
        kernel[:, found], bias[found] = folded_weights(scalers, regression)
        strength = float(regression.C)
    # Ten below the lowest logit there is: a probability that matters nowhere.
    absent = np.setdiff1d(np.arange(classes), found)
    bias[absent] = (features @ kernel[:, found] + bias[found]).min() - 10
    return kernel, bias, strength
