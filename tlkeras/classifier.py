"""An image classifier on a pretrained backbone: one flat Keras model from raw pixels to probabilities."""

import keras
from keras import layers

from tlkeras.backbones.build import backbone as build_backbone
from tlkeras.errors import InputError

_ACTIVATIONS = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}


def image_classifier(
    backbone="efficientnet_lite0",
    classes=2,
    *,
    task="multiclass",
    pooling="avg",
    dropout=0.2,
    augmentation=None,
    input_shape=None,
    weights="imagenet",
):
    """Builds a classifier: augmentation, preprocessing, backbone, pooling, dropout and head in one flat model.

    Args:
        backbone: Name of a backbone; see `tlkeras.list_backbones`.
        classes: Number of classes, or their names.
        task: `"multiclass"` (softmax; one label an image), `"binary"` (one sigmoid, two classes) or `"multilabel"`
            (a sigmoid a class; any number of labels an image).
        pooling: `"avg"`, `"max"`, `"concat"` of both, or `"cls"` for the class token of a transformer.
        dropout: Share of the pooled features dropped in training, in [0, 1). 0.2 is what the EfficientNet papers use.
        augmentation: A Keras layer or a list of them (see `tlkeras.augmentation`); active in training only.
        input_shape: `(height, width, channels)`, channels 3 or 1; by default the size the backbone was trained at.
        weights: `"imagenet"`, `None` (random, for training from scratch) or a weights file of the backbone.

    Returns:
        A flat, uncompiled `keras.Model` of core layers. It takes pixels in [0, 255], uint8 or float, of shape
        `(N, height, width, channels)`, and gives float32 probabilities of shape `(N, classes)`, or `(N, 1)` for
        `"binary"`. The head is the layer `"predictions"`.

    Raises:
        InputError: Fewer than two classes, or an argument that the backbone cannot be built with.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.image_classifier("efficientnet_lite0", classes=["cat", "dog", "hamster"])
    >>> model.output_shape
    (None, 3)
    """
    count = _class_count(classes)
    if task not in _ACTIVATIONS:
        raise InputError(f"task must be one of {', '.join(_ACTIVATIONS)}. Received: task={task!r}")
    if task == "binary" and count != 2:
        raise InputError(f"A binary task has two classes. Received: {count}")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be in [0, 1). Received: dropout={dropout!r}")
    trunk = build_backbone(
        backbone,
        weights=weights,
        pooling=pooling,
        input_shape=input_shape,
        input_tensor=_augmented(backbone, input_shape, augmentation),
    )
    x = trunk.output
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return _with_head(trunk, x, 1 if task == "binary" else count, _ACTIVATIONS[task])


def replace_head(model, classes):
    """Gives a trained classifier a new head for other classes, keeping all that comes before it.

    Args:
        model: A classifier whose last layer is `Dense`, such as one of `image_classifier`. It is left as it is.
        classes: Number of the new classes, or their names.

    Returns:
        A flat, uncompiled `keras.Model` with a freshly initialised head of the same activation. It shares the layers
        below the head with `model`.

    Raises:
        InputError: The model does not end in a `Dense` layer.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.image_classifier(classes=10, weights=None, input_shape=(32, 32, 3))
    >>> tlkeras.replace_head(model, ["ripe", "unripe"]).output_shape
    (None, 2)
    """
    count = _class_count(classes)
    head = model.layers[-1]
    if not isinstance(head, layers.Dense) or not isinstance(model, keras.Model) or len(model.outputs) != 1:
        raise InputError(
            f"replace_head takes a model that ends in one Dense layer. Received: a model ending in {head!r}"
        )
    single = head.units == 1 and count == 2
    return _with_head(model, head.input, 1 if single else count, keras.activations.serialize(head.activation))


def _augmented(backbone, input_shape, augmentation):
    """The augmented image that the backbone is built on, or None where nothing is to be augmented."""
    if augmentation is None:
        return None
    if input_shape is None:
        # The catalog does not know the size of every preset; built without weights, the network itself tells.
        input_shape = build_backbone(backbone, weights=None).input_shape[1:]
    x = keras.Input(input_shape, name="image")
    for layer in augmentation if isinstance(augmentation, list | tuple) else [augmentation]:
        x = layer(x)
    return x


def _with_head(model, x, units, activation):
    # Probabilities in float32 also under mixed precision, where float16 would round them.
    head = layers.Dense(units, activation=activation, dtype="float32", name="predictions")
    return keras.Model(model.input, head(x), name=model.name)


def _class_count(classes):
    count = classes if isinstance(classes, int) else len(classes)
    if count < 2:
        raise InputError(f"A classifier needs two classes or more. Received: classes={classes!r}")
    return count
