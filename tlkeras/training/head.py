"""The head of a classifier: finding it, and setting it to a linear probe of the features below it."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from tlkeras.errors import InputError
from tlkeras.features.fold import folded_weights
from tlkeras.features.probe import linear_probe
from tlkeras.training.data import class_numbers, each_batch


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
        InputError: The model does not end so.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    >>> find_head(model).task
    'multiclass'
    """
    refusal = InputError(
        f"The model {getattr(model, 'name', model)!r} has no head that can be recognised: it should be a functional or "
        "Sequential model whose last layer is Dense, with softmax, sigmoid or no activation."
    )
    if len(getattr(model, "outputs", None) or ()) != 1:
        raise refusal
    operation, *_ = model.outputs[0]._keras_history
    activation = None
    if isinstance(operation, layers.Activation | layers.Softmax):
        activation = "softmax" if isinstance(operation, layers.Softmax) else _name(operation.activation)
        operation, *_ = operation.input._keras_history
    if not isinstance(operation, layers.Dense):
        raise refusal
    activation = activation or _name(operation.activation)
    if activation not in ("softmax", "sigmoid", "linear"):
        raise refusal
    task = "binary" if operation.units == 1 else "multilabel" if activation == "sigmoid" else "multiclass"
    return Head(operation, operation.input, task, from_logits=activation == "linear")


def _name(activation):
    return getattr(activation, "__name__", str(activation))


def fit_head(model, batches, *, seed=0):
    """Sets the head to logistic regression on the features below it: the linear probe, in place.

    Args:
        model: A classifier; see `find_head`. Nothing but its head changes.
        batches: Training batches, gone through once; see `tlkeras.training.data.as_batches`.
        seed: Of the cross-validation that chooses the penalty.

    Returns:
        The C that was chosen: a float, or for a multi-label head one a label.

    Raises:
        InputError: The model has no head that can be recognised, or the labels are of one class only.

    Reference: the first half of LP-FT, Kumar et al., 2022, https://arxiv.org/abs/2202.10054
    """
    head = find_head(model)
    network = keras.Model(model.inputs[0], head.features)
    features, labels = [], []
    for images, batch_labels in each_batch(batches):
        features.append(keras.ops.convert_to_numpy(network.predict_on_batch(images)))
        labels.append(batch_labels)
    features, labels = np.concatenate(features), np.concatenate(labels)
    units = head.layer.units
    if head.task == "multilabel":
        columns = [_probe(features, labels[:, unit].astype(int), 2, seed) for unit in range(units)]
        kernel = np.concatenate([kernel[:, 1:] - kernel[:, :1] for kernel, _, _ in columns], axis=1)
        bias = np.array([bias[1] - bias[0] for _, bias, _ in columns])
        strength = [chosen for _, _, chosen in columns]
    else:
        kernel, bias, strength = _probe(features, class_numbers(labels), max(units, 2), seed)
        if head.task == "binary":
            kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    head.layer.set_weights([kernel, bias] if head.layer.use_bias else [kernel])
    return strength


def _probe(features, labels, classes, seed):
    """Kernel `(features, classes)`, bias `(classes,)` and C of a probe; a class without images gets no chance."""
    found = np.unique(labels)
    if len(found) < 2 or found[-1] >= classes or found[0] < 0:
        raise InputError(f"The head has {classes} classes; the training labels are {found.tolist()}.")
    *scalers, regression = (step for _, step in linear_probe(features, labels, seed=seed).steps)
    kernel, bias = np.zeros((features.shape[1], classes)), np.zeros(classes)
    kernel[:, found], bias[found] = folded_weights(scalers, regression)
    # Ten below the lowest logit there is: a probability that matters nowhere.
    absent = np.setdiff1d(np.arange(classes), found)
    bias[absent] = (features @ kernel[:, found] + bias[found]).min() - 10
    return kernel, bias, float(regression.C)
