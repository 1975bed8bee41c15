"""Find and replace the head of a classifier, the `Dense` layer that produces its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import keras
from keras import layers

from tlkeras.errors import InputError
from tlkeras.models.graph import infer_by_default
from tlkeras.models.layer_tree import check_model
from tlkeras.utils.validation import invalid


@dataclass(frozen=True)
class Head:
    """The last `Dense` layer of a classifier, together with the activation layer after it, if there is one.

    Attributes:
        layer: The `Dense` layer.
        features: KerasTensor that is the input of the layer, of shape `(N, features)`.
        activation: Name of the model's last activation, such as `"softmax"` or `"linear"`.
    """

    layer: layers.Dense
    features: keras.KerasTensor
    activation: str

    @property
    def task(self) -> str:
        """`"multiclass"`, `"binary"` (one unit) or `"multilabel"` (several sigmoids)."""
        if self.layer.units == 1:
            return "binary"
        return "multilabel" if self.activation == "sigmoid" else "multiclass"

    @property
    def from_logits(self) -> bool:
        """Whether the model returns logits."""
        return self.activation == "linear"


def find_head(model: keras.Model) -> Head:
    """Find the last `Dense` layer of a classifier; one `Activation` or `Softmax` layer may come after it.

    Args:
        model: A built functional or Sequential model with one output.

    Returns:
        A `Head`.

    Raises:
        InputError: `model` is not a Keras model, is subclassed or not built, has several outputs, or does not end in
            such a head (for example, it ends in two activations in a row or in a softmax with one unit).

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="logits"), layers.Softmax()])
    >>> head = find_head(model)
    >>> head.layer.name, head.task, head.from_logits
    ('logits', 'multiclass', False)
    """
    layer, features, behind = _ending(model)
    activation = behind or layer.activation
    if behind and layer.activation is not keras.activations.linear:
        raise InputError(
            f"The model {model.name!r} ends in two activations in a row, since {layer.name!r} has its own activation. "
            "Remove one of them, or call `tlkeras.replace_head`."
        )
    if layer.units == 1 and activation is keras.activations.softmax:
        raise InputError(
            f"The model {model.name!r} ends in a softmax with one unit, which is always 1. Call "
            "`tlkeras.replace_head(model, 2)` for a softmax with two units."
        )
    return Head(layer, features, getattr(activation, "__name__", type(activation).__name__))


def _ending(model):
    """Return the last `Dense` layer, its input, and the activation of the layer after it, or None if there is none."""
    check_model(model)
    outputs = getattr(model, "outputs", None) or ()  # a subclassed or unbuilt model has none
    if len(outputs) > 1:
        raise InputError(
            f"The model {model.name!r} has {len(outputs)} outputs, but a classifier has one. Pass "
            "`keras.Model(model.inputs, model.outputs[0])` to keep the first."
        )
    operation, features = _made_by(outputs[0]) if outputs else (None, None)
    activation = None
    if isinstance(operation, layers.Activation | layers.Softmax):
        softmax = isinstance(operation, layers.Softmax)
        activation = keras.activations.softmax if softmax else operation.activation
        operation, features = _made_by(features)
    if activation is keras.activations.linear:  # such a layer changes nothing
        activation = None
    if not isinstance(operation, layers.Dense):
        raise InputError(
            f"The model {model.name!r} has no recognizable head. It must be a built functional or Sequential model "
            "whose last layer is Dense, or Dense followed by an activation layer."
        )
    return operation, features, activation


def _made_by(tensor):
    """Return the layer that computed a tensor, and that call's input, since a layer may be called several times."""
    operation, node, _ = tensor._keras_history
    inputs = operation._inbound_nodes[node].input_tensors
    return operation, inputs[0] if inputs else None


def with_features(model: keras.Model) -> keras.Model:
    """Add the input features of a classifier's head as a second output.

    Args:
        model: As in `find_head`.

    Returns:
        A `keras.Model` with the outputs `[predictions, features]` that shares all layers with `model`.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    >>> with_features(model).output_shape
    [(None, 3), (None, 4)]
    """
    features = find_head(model).features
    return infer_by_default(keras.Model(model.inputs[0], [model.outputs[0], features], name=model.name))


def replace_head(model: keras.Model, classes: int | Sequence[str]) -> keras.Model:
    """Replace the head of a trained classifier with one for different classes, and keep all layers below the head.

    Args:
        model: A functional or Sequential classifier whose last layer is `Dense`, optionally followed by an `Activation`
            or `Softmax` layer. This model is not changed.
        classes: Number of new classes, or their names.

    Returns:
        An uncompiled `keras.Model` whose last layer is a newly initialized `Dense` layer with the same activation as
        the old head. If there are more than two classes, a single sigmoid becomes a softmax. The new model shares the
        layers below the head with `model`, so freezing these layers in one model freezes them in both, and
        `tlkeras.freeze` recompiles both models.

    Raises:
        InputError: `model` is not a Keras model, is subclassed or not built, or does not end in a `Dense` layer as
            described above; or `classes` is neither an integer greater than 1 nor a list of distinct names.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.image_classifier(classes=10, weights=None, image_size=32)
    >>> tlkeras.replace_head(model, ["ripe", "unripe"]).output_shape
    (None, 2)
    """
    count = class_count(classes)
    layer, features, behind = _ending(model)
    activation = behind or layer.activation
    units = 1 if layer.units == 1 and count == 2 and activation is not keras.activations.softmax else count
    if layer.units == 1 and units > 1 and activation is keras.activations.sigmoid:
        activation = "softmax"
    return with_head(model, features, units, activation, dropped={layer.name, model.layers[-1].name})


def with_head(
    model: keras.Model, x: keras.KerasTensor, units: int, activation, dropped: set[str] = frozenset()
) -> keras.Model:
    """Add a `Dense` head to a tensor of a model.

    The head is called "predictions" unless a layer with that name stays in the model. It outputs float32 even with
    mixed precision, because float16 is too coarse for probabilities.

    Args:
        model: Model from which the new model takes its inputs and name.
        x: KerasTensor with the features that the head is applied to.
        units: Number of outputs.
        activation: As in `keras.layers.Dense`.
        dropped: Names of the layers of `model` that the new model leaves out. Defaults to none.

    Returns:
        A functional model that shares with `model` all layers that compute `x`.
    """
    name = None if "predictions" in {layer.name for layer in model.layers} - dropped else "predictions"
    head = layers.Dense(units, activation=activation, dtype="float32", name=name)
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.input  # a Sequential model may have no `input`
    return infer_by_default(keras.Model(inputs, head(x), name=model.name))


def class_count(classes: int | Sequence[str]) -> int:
    """Return the number of classes, given as a number or as names.

    Raises:
        InputError: There are fewer than two classes, or two classes have the same name.

    Example:

    >>> class_count(["ripe", "unripe"])
    2
    """
    if isinstance(classes, Integral):
        count = int(classes)
    elif isinstance(classes, str) or not hasattr(classes, "__len__"):
        raise invalid("classes", classes, "be a number of classes or a list of class names")
    else:
        count = len(classes)
        if len(set(map(str, classes))) < count:
            raise invalid("classes", classes, "have a different name for each class")
    if count < 2:
        raise invalid("classes", classes, "be at least two", "A classifier distinguishes at least two classes.")
    return count
