"""An image classifier on a pretrained backbone: one flat Keras model from raw pixels to probabilities."""

import os
from collections.abc import Sequence

import keras
from keras import layers

from tlkeras.augment.augmentation import Augmentation
from tlkeras.backbones.build import backbone as build_backbone
from tlkeras.backbones.catalog import listed_info
from tlkeras.backbones.inputs import ImageInput
from tlkeras.backbones.pooling import check_pooling
from tlkeras.models.graph import trains_by_default
from tlkeras.models.heads import class_count, with_head
from tlkeras.utils.validation import check_choice, check_number, invalid

_ACTIVATIONS = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}


def image_classifier(
    backbone: str = "efficientnet_lite0",
    classes: int | Sequence[str] = 2,
    *,
    task: str = "multiclass",
    pooling: str = "avg",
    dropout: float = 0.2,
    augmentation: layers.Layer | Sequence[layers.Layer] | None = None,
    image_size: int | tuple[int | None, int | None] | None = None,
    channels: int = 3,
    weights: str | os.PathLike | None = "imagenet",
) -> keras.Model:
    """Build a classifier: augmentation, preprocessing, backbone, pooling, dropout and head in one model.

    The model is flat (one graph of core Keras layers) if the backbone is. `BackboneInfo.flat` is False for backbones
    that are not flat, such as KerasHub's DINOv2 and DINOv3.

    Args:
        backbone: Name of a backbone; see `tlkeras.list_backbones`.
        classes: Number of classes, or their names.
        task: `"multiclass"` (softmax; one label per image), `"binary"` (one sigmoid, two classes) or `"multilabel"`
            (one sigmoid per class; any number of labels per image).
        pooling: `"avg"`, `"max"`, `"concat"` (both, concatenated) or `"cls"` (the class token of a transformer).
        dropout: Fraction of the pooled features to drop in training, in [0, 1). Defaults to 0.2, as in the EfficientNet
            papers.
        augmentation: A Keras layer or a list of layers (see `tlkeras.augmentation`). The layers are active only in
            `fit`, not in `predict`, a plain call `model(x)` or an exported model. Defaults to none.
        image_size: Height and width in pixels, or one integer for both. Use None for a side that may vary. Defaults to
            the size that the backbone was trained at.
        channels: 3 for RGB images or 1 for gray images. Defaults to 3.
        weights: `"imagenet"`, `None` (random, for training from scratch) or the path of a weights file for the
            backbone.

    Returns:
        An uncompiled `keras.Model`, which is flat if the backbone is. It takes pixels in [0, 255], uint8 or float, of
        shape `(N, height, width, channels)`, and returns float32 probabilities of shape `(N, classes)`, or `(N, 1)` for
        `"binary"`. The head is the layer `"predictions"`.

    Raises:
        InputError: There are fewer than two classes, or an argument is invalid or not supported by the backbone.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.image_classifier("efficientnet_lite0", classes=["cat", "dog", "hamster"])
    >>> model.output_shape
    (None, 3)
    """
    count = class_count(classes)
    check_choice("task", task, tuple(_ACTIVATIONS))
    if task == "binary" and count != 2:
        raise invalid("classes", classes, "be 2 or two names for a binary task")
    check_pooling(pooling)
    check_number("dropout", dropout, "[0, 1)")
    trunk = build_backbone(
        backbone,
        weights=weights,
        pooling=pooling,
        image_size=image_size,
        channels=channels,
        input_tensor=_augmented(backbone, ImageInput(image_size, channels), augmentation),
    )
    x = trunk.output
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return with_head(trunk, x, 1 if task == "binary" else count, _ACTIVATIONS[task])


def _augmented(backbone, image, augmentation):
    """Return the augmented input of the backbone, or None if there is no augmentation."""
    if augmentation is None:
        return None
    x = keras.Input((*(image.image_size or _default_size(backbone)), image.channels), name="image")
    if isinstance(augmentation, Augmentation):
        augmentation = augmentation.for_channels(x.shape[-1])
    for layer in augmentation if isinstance(augmentation, list | tuple) else [augmentation]:
        if not isinstance(layer, layers.Layer):
            advice = (
                "`tlkeras.augmentation('photo')` returns suitable layers. Other operations would also run in `predict`."
            )
            raise invalid("augmentation", layer, "be a Keras layer or a list of layers", advice)
        # With `training=False` recorded, a plain call `model(x)` runs inference; `fit` passes `training=True` itself.
        x = layer(x, training=False) if trains_by_default(layer) else layer(x)
    return x


def _default_size(backbone):
    if (info := listed_info(backbone)) is None:  # not in the catalog: build the network without weights and ask it
        return build_backbone(backbone, weights=None).input_shape[1:3]
    return info.default_size, info.default_size
