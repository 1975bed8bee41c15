"""`backbone`: any network of the catalog, from raw pixels to features, by its name."""

import os
from pathlib import Path

import keras

from tlkeras.backbones.applications import build_application
from tlkeras.backbones.catalog import backbone_info
from tlkeras.backbones.pooling import POOLINGS, pool
from tlkeras.backbones.preprocessing import grey_to_rgb
from tlkeras.errors import InputError


def backbone(
    name: str,
    *,
    input_shape: tuple[int | None, int | None, int] | None = None,
    weights: str | os.PathLike | None = "imagenet",
    pooling: str | None = None,
) -> keras.Model:
    """Builds a pretrained network without its classification head, its preprocessing inside.

    The model takes raw pixels: RGB (or grey) in [0, 255], uint8 or float. What the network was trained on, be it
    [-1, 1] or BGR around a mean, is made of them by its first layers, so nothing has to be remembered, and a saved
    model can be read where tlkeras is not installed.

    Args:
        name: A name of the catalog (see `list_backbones`); case, hyphens and underscores do not matter.
        input_shape: `(height, width, channels)` with 3 channels, or 1 for grey images, which are repeated to three.
            Height and width in pixels, None for any. By default the size that the published weights were made for.
        weights: `"imagenet"` for the published weights, None for random ones, or the path of a weights file
            (`.weights.h5`, `.h5`) of this network without its head. Published weights of `efficientnet_lite0` come
            with the installation; others may be downloaded once, which is said on stderr.
        pooling: None for the last feature map, of shape `(batch, height, width, channels)`, or one vector an image:
            `"avg"`, `"max"`, `"concat"` (average and maximum, twice as wide) or, for token models, `"cls"`.

    Returns:
        A functional `keras.Model`, float32 in and out. Token models give `(batch, tokens, channels)`.

    Raises:
        InputError: There is no such backbone, pooling or weights file, or the input shape does not suit it.

    Example:

    >>> import numpy as np
    >>> model = backbone("efficientnet_lite0", pooling="avg")
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype="uint8")
    >>> model.predict(images, verbose=0).shape
    (2, 1280)
    """
    info = backbone_info(name)
    if pooling is not None and pooling not in POOLINGS:
        known = ", ".join(map(repr, POOLINGS))
        raise InputError(f"pooling must be one of {known}, or None. Received: pooling={pooling!r}")
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "tlkeras needs channels_last images; call keras.config.set_image_data_format('channels_last')."
        )
    inputs = keras.Input(_checked_shape(info, input_shape), name="image")
    x = grey_to_rgb(inputs) if inputs.shape[-1] == 1 else inputs
    model = build_application(info, x, _checked_weights(weights))
    features = model.output
    if pooling is not None:
        features = pool(features, pooling, prefix_tokens=info.prefix_tokens or 0)
    return keras.Model(inputs, features, name=info.name)


def _checked_weights(weights):
    if weights in ("imagenet", None):
        return weights
    if not isinstance(weights, str | os.PathLike) or not Path(weights).is_file():
        raise InputError(
            f"weights must be 'imagenet', None or the path of a weights file that exists. Received: weights={weights!r}"
        )
    if not str(weights).endswith((".h5", ".keras")):
        raise InputError(f"A weights file ends in .weights.h5, .h5 or .keras. Received: weights={str(weights)!r}")
    return weights


def _checked_shape(info, input_shape):
    if input_shape is None:
        return (info.default_size, info.default_size, 3)
    try:
        height, width, channels = input_shape
    except (TypeError, ValueError):
        raise InputError(
            f"input_shape must be (height, width, channels), e.g. ({info.default_size}, {info.default_size}, 3). "
            f"Received: input_shape={input_shape!r}"
        ) from None
    if channels not in (1, 3):
        raise InputError(
            f"{info.name} takes images of 3 channels (RGB), or of 1 (grey). Received: input_shape={input_shape!r}"
        )
    if any(side is not None and not (isinstance(side, int) and side > 0) for side in (height, width)):
        raise InputError(f"Height and width are positive integers or None. Received: input_shape={input_shape!r}")
    if any(side is not None and side < info.minimum_size for side in (height, width)):
        raise InputError(
            f"{info.name} needs images of at least {info.minimum_size} x {info.minimum_size} pixels. "
            f"Received: input_shape={input_shape!r}"
        )
    return (height, width, channels)
