"""Find the head of a classifier, and replace it with a linear probe of the features below it."""

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.models.heads import find_head
from tlkeras.pipelines.fold import folded_weights
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import fit_probe, linear_probe
from tlkeras.training.steps.checks import check_labels
from tlkeras.training.steps.data import class_numbers, outputs


def classifier_head(model):
    """Find the head of a classifier that takes only images and ends in softmax, sigmoid or no activation.

    Args:
        model: A functional or Sequential `keras.Model` with one output.

    Returns:
        The classifier's `tlkeras.models.heads.Head`.

    Raises:
        InputError: The model is not a Keras model, is not built, has several inputs or outputs, or does not end in a
            `Dense` layer with one of these activations.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    >>> classifier_head(model).task
    'multiclass'
    """
    head = find_head(model)
    if len(model.inputs) != 1:
        raise InputError(
            f"The model {model.name!r} takes {len(model.inputs)} inputs, but `fine_tune` only passes images."
        )
    if head.activation not in ("softmax", "sigmoid", "linear"):
        raise InputError(
            f"The model {model.name!r} ends in the activation {head.activation!r}, but a classifier must end in "
            "softmax, sigmoid or no activation. Give it a head with `tlkeras.replace_head`."
        )
    return head


def fit_head(model, batches, *, C=None, seed=0, class_weight=None):
    """Replace a classifier's head, in place, with a linear probe: a logistic regression on the features below it.

    Args:
        model: A classifier; see `classifier_head`. Only its head changes.
        batches: Training batches, which are iterated over once; see `tlkeras.training.steps.data.as_batches`.
        C: Inverse of the L2 penalty; None to choose it by cross-validation. For a multi-label head, it can be a list
            with one value per label.
        seed: Seed for the cross-validation.
        class_weight: Result of `tlkeras.training.steps.class_weights.class_weights`, or a dict that maps class indices
            to weights.

    Returns:
        The C that was used, as a float. For a multi-label head, a list with one value per label: None where all images
        or no images have the label.

    Raises:
        InputError: The model has no recognizable head, or its head cannot be replaced with a probe; the labels do not
            fit the head or all belong to one class; or features are not finite.

    Reference: the first half of LP-FT, Kumar et al., 2022, https://arxiv.org/abs/2202.10054
    """
    head = classifier_head(model)
    _check_settable(head.layer)
    network = keras.Model(model.inputs[0], head.features)
    features, labels = map(np.concatenate, zip(*outputs(network, batches), strict=True))
    check_labels(labels, head, "train")
    if not np.isfinite(features).all():
        lost = int((~np.isfinite(features)).any(axis=1).sum())
        raise InputError(f"The features of {lost} of {len(features)} images are not finite. Check `train` for NaN.")
    if head.task == "multilabel":
        kernel, bias, C = _probe_per_label(features, labels, C, seed, class_weight)
    else:
        labels = class_numbers(labels)
        if len(found := np.unique(labels)) < 2:
            raise InputError(
                f"`train` must contain images of at least two classes. Received: images of class {found[0]} only."
            )
        kernel, bias, C = _probe(features, labels, max(head.layer.units, 2), C, seed, class_weight)
        if head.task == "binary":
            kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    head.layer.set_weights([kernel, bias] if head.layer.use_bias else [kernel])
    return C


def _check_settable(layer):
    """Raise an error unless the head's weights are a plain kernel and bias without constraints."""
    obstacle = None
    if getattr(layer, "lora_enabled", False):
        obstacle = "LoRA weights"
    elif getattr(layer, "quantization_mode", None):
        obstacle = f"{layer.quantization_mode} weights"
    elif layer.kernel_constraint or (layer.use_bias and layer.bias_constraint):
        obstacle = "a constraint on its weights"
    if obstacle:
        raise InputError(
            f"The head {layer.name!r} has {obstacle}, so it cannot be replaced with a linear probe. Pass `probe=False` "
            "or give the model a plain head with `tlkeras.replace_head`."
        )


def _probe_per_label(features, labels, C, seed, class_weight):
    """Fit one probe per label, on targets rounded to 0 or 1.

    Returns:
        The kernel of shape `(features, labels)`, the bias of shape `(labels,)`, and the list of C values.
    """
    Cs = C if isinstance(C, list | tuple) else [C] * labels.shape[1]
    if len(Cs) != labels.shape[1]:
        raise InputError(f"`C` must be one number, or one per label ({labels.shape[1]}). Received: {len(Cs)} numbers.")
    kernels, biases, chosen = [], [], []
    for label, given in enumerate(Cs):
        weights = None if class_weight is None else dict(enumerate(class_weight[:, label].tolist()))
        kernel, bias, used = _probe(features, (labels[:, label] >= 0.5).astype(int), 2, given, seed, weights)
        kernels.append(kernel[:, 1] - kernel[:, 0])
        biases.append(bias[1] - bias[0])
        chosen.append(used)
    return np.stack(kernels, axis=1), np.array(biases), chosen


def _probe(features, labels, classes, C, seed, class_weight):
    """Fit a probe that gives each class without images a negligible probability.

    Returns:
        The kernel of shape `(features, classes)`, the bias of shape `(classes,)`, and C, or None instead of C if all
        images belong to one class.
    """
    found = np.unique(labels)
    kernel, bias = np.zeros((features.shape[1], classes)), np.zeros(classes)
    if len(found) > 1:
        weights = class_weight and {number: class_weight.get(number, 1.0) for number in found.tolist()}
        if C is None:
            probe = linear_probe(features, labels, seed=seed, class_weight=weights)
        else:
            probe = fit_probe(labeled_features(features, labels), C, weights)
        *scalers, regression = (step for _, step in probe.steps)
        kernel[:, found], bias[found] = folded_weights(scalers, regression)
        C = float(regression.C)
    # The bias is 10 below the lowest logit of all images, so the probability is negligible.
    absent = np.setdiff1d(np.arange(classes), found)
    bias[absent] = (features @ kernel[:, found] + bias[found]).min() - 10
    return kernel, bias, C if len(found) > 1 else None
