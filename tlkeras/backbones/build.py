"""The public function `backbone`, which builds any network in the catalog: raw pixels in, features out."""

import os
from pathlib import Path

import keras

from tlkeras.backbones.applications import build_application
from tlkeras.backbones.catalog import backbone_info, hub_preset
from tlkeras.backbones.cv import build_cv
from tlkeras.backbones.hub import build_hub
from tlkeras.backbones.inputs import ImageInput
from tlkeras.backbones.pooling import check_pooling, pool
from tlkeras.errors import InputError
from tlkeras.models.graph import infer_by_default
from tlkeras.utils.validation import invalid


def backbone(
    name: str,
    *,
    image_size: int | tuple[int | None, int | None] | None = None,
    channels: int = 3,
    weights: str | os.PathLike | None = "imagenet",
    pooling: str | None = None,
    input_tensor: keras.KerasTensor | None = None,
) -> keras.Model:
    """Build a pretrained network that includes its preprocessing but not its classification head.

    The model takes raw pixels: RGB (or gray) in [0, 255], uint8 or float. Its first layers convert these pixels to the
    format that the network was trained on, such as [-1, 1] or mean-centered BGR, so you do not have to preprocess
    images. A saved model can be loaded without tlkeras.

    Args:
        name: A catalog name (see `list_backbones`); case, hyphens and underscores do not matter. Also accepts `"hub:"`
            followed by the name or the directory of any KerasHub image-backbone preset, including presets that are not
            in the catalog.
        image_size: Height and width in pixels, or one integer for both. Use None for a side that may vary. Defaults to
            the size that the published weights were made for.
        channels: 3 for RGB images, or 1 for gray images, whose single channel is repeated three times. Defaults to 3.
        weights: `"imagenet"` for the published weights (whatever data they were trained on), None for random weights,
            or the path of a weights file (`.weights.h5`, `.h5`) for this network without its head. The published
            weights of `efficientnet_lite0` are installed with tlkeras. Other weights are downloaded once if needed, and
            a message is printed to stderr.
        pooling: None for the last feature map, of shape `(batch, height, width, channels)`. For one vector per image:
            `"avg"`, `"max"`, `"concat"` (average and maximum, concatenated) or, for transformers that have one, `"cls"`
            (the class token).
        input_tensor: KerasTensor of raw pixels to build on, such as the output of augmentation layers. Its shape
            replaces `image_size` and `channels`. Defaults to a new `keras.Input`.

    Returns:
        A functional `keras.Model` with float32 inputs and outputs. Without pooling, transformers that output tokens
        return features of shape `(batch, tokens, channels)`.

    Raises:
        InputError: The backbone or pooling is unknown, the weights file does not exist, or the network does not support
            the image size.

    Example:

    >>> import numpy as np
    >>> model = backbone("efficientnet_lite0", pooling="avg", image_size=96)
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype="uint8")
    >>> model.predict(images, verbose=0).shape
    (2, 1280)
    """
    check_pooling(pooling, optional=True)
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "tlkeras requires the channels_last image format. Call keras.config.set_image_data_format('channels_last')."
        )
    image = ImageInput(image_size, channels, input_tensor)
    weights = _checked_weights(weights)
    if preset := hub_preset(name):
        model, prefix_tokens = build_hub(preset, image, weights)
        name = Path(preset).name
    else:
        info = backbone_info(name)
        if pooling == "cls":  # fail before anything is downloaded
            raise InputError(f"{info.name} has no class token for pooling='cls'. Use 'avg', 'max' or 'concat'.")
        build = build_cv if info.provider == "keras_cv" else build_application
        model, prefix_tokens = build(info, image, weights), 0
        name = info.name.replace(":", "_")
    features = model.output if pooling is None else pool(model.output, pooling, prefix_tokens)
    (pixels,) = keras.tree.flatten(model.input)
    return infer_by_default(keras.Model(pixels, features, name=name))


def _checked_weights(weights):
    if weights in ("imagenet", None):
        return weights
    if not isinstance(weights, str | os.PathLike) or not Path(weights).is_file():
        raise invalid("weights", weights, "be 'imagenet', None or the path of an existing weights file")
    if not str(weights).endswith((".h5", ".keras")):
        raise invalid("weights", str(weights), "be a file that ends in .weights.h5, .h5 or .keras")
    return weights
