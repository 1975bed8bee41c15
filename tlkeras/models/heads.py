"""The head of a classifier: the `Dense` layer that answers, and its replacement."""

from collections.abc import Sequence
from numbers import Integral

import keras
from keras import layers

from tlkeras.errors import InputError
from tlkeras.models.tracing import check_model


def replace_head(model: keras.Model, classes: int | Sequence[str]) -> keras.Model:
    """Gives a trained classifier a new head for other classes, keeping all that comes before it.

    Args:
        model: A functional or Sequential classifier whose last layer is `Dense`, such as one of `image_classifier`. It
            is left as it is.
        classes: Number of the new classes, or their names.

    Returns:
        An uncompiled `keras.Model` with a freshly initialized head of the same activation; a single sigmoid becomes a
        softmax where there are more than two classes. It shares the layers below the head with `model`, so freezing
        one freezes the other, and `tlkeras.freeze` compiles both anew.

    Raises:
        InputError: `model` is not a Keras model, is subclassed or not built yet, or does not end in a `Dense` layer.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.image_classifier(classes=10, weights=None, image_size=32)
    >>> tlkeras.replace_head(model, ["ripe", "unripe"]).output_shape
    (None, 2)
    """
    check_model(model)
    count = class_count(classes)
    if len(getattr(model, "outputs", None) or ()) != 1:  # a subclassed model has none, an unbuilt one none yet
        raise InputError(
            f"replace_head takes a built functional or Sequential model of one output. Received: {model!r}"
        )
    head = model.layers[-1]
    if not isinstance(head, layers.Dense):
        raise InputError(f"replace_head takes a model whose last layer is Dense. Received: a model ending in {head!r}")
    activation = keras.activations.serialize(head.activation)
    if head.units > 1:
        return with_head(model, head.input, count, activation)
    if count == 2:
        return with_head(model, head.input, 1, activation)
    return with_head(model, head.input, count, "softmax" if activation == "sigmoid" else activation)


def with_head(model, x, units, activation):
    # Probabilities in float32 also under mixed precision, where float16 would round them.
    taken = {layer.name for layer in model.layers[:-1]}
    name = None if "predictions" in taken else "predictions"
    head = layers.Dense(units, activation=activation, dtype="float32", name=name)
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.input  # a Sequential model may have no `input`
    return keras.Model(inputs, head(x), name=model.name)


def class_count(classes):
    if isinstance(classes, Integral):
        count = int(classes)
    elif isinstance(classes, str) or not hasattr(classes, "__len__"):
        raise InputError(f"classes is a number or a list of names. Received: classes={classes!r}")
    else:
        count = len(classes)
        if len(set(map(str, classes))) < count:
            raise InputError(f"Each class has a name of its own. Received: classes={classes!r}")
    if count < 2:
        raise InputError(f"A classifier needs two classes or more. Received: classes={classes!r}")
    return count
