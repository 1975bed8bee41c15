"""Backbones from KerasCV, for models that were trained with it; KerasCV itself is no longer developed.

KerasCV downloads even the architecture of a preset. This module builds EfficientNet-Lite and the ResNets from explicit
arguments instead, so no network connection is needed if the weights are random or come from a file. Each backbone
becomes one flat graph of core layers.
"""

import contextlib
import math
import sys

from keras import ops

from tlkeras.backbones.catalog import kaggle_folder, preset_on_disk
from tlkeras.backbones.preprocessing import PREPROCESSING
from tlkeras.backbones.unroll import lay_out
from tlkeras.backbones.weights import load_weights, reads_weights
from tlkeras.errors import InputError, first_line

_RESNET_BLOCKS = {
    18: ("basic_block", (2, 2, 2, 2)),
    34: ("basic_block", (3, 4, 6, 3)),
    50: ("block", (3, 4, 6, 3)),
    101: ("block", (3, 4, 23, 3)),
    152: ("block", (3, 8, 36, 3)),
}
#: Width, in pixels, of one position in the last feature map of a Mix Transformer.
_MIT_SHRINKAGE = 32
_LITE_WIDTH_AND_DEPTH = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8)}


def build_cv(info, image, weights):
    """Build a KerasCV backbone that takes raw pixels.

    Args:
        info: The `BackboneInfo`, whose `constructor` is the name of the preset.
        image: The size and channels of the images, as an `ImageInput`.
        weights: `"imagenet"` for the preset's weights, None for random weights, or the path of a weights file.

    Returns:
        A functional `keras.Model` that maps raw pixels to the last feature map.

    Raises:
        InputError: KerasCV (or TensorFlow, which it needs) is not installed, the preset has no weights or is not
            available, or the network cannot process images of this size.
    """
    if weights == "imagenet" and info.weights_url is None:
        raise InputError(
            f"KerasCV publishes no weights for {info.name}. Pass weights=None or the path of a weights file."
        )
    try:
        import keras_cv
    except ImportError as error:
        raise InputError(
            f"{info.name} needs KerasCV and TensorFlow, which are not installed. Run: pip install keras-cv tensorflow"
        ) from error
    inputs, x = image.connect(info.name, info.default_size, info.minimum_size)
    fixed = {}
    if info.family == "mit":  # a Mix Transformer is built for images of one size
        _check_square(info.name, *x.shape[1:3])
        fixed = {"input_shape": x.shape[1:]}
    arguments = _arguments(info.constructor)
    if arguments and weights != "imagenet":
        constructor = getattr(keras_cv.models, arguments.pop("constructor"))
        model = constructor(include_rescaling=True, **arguments)
    else:
        model = _from_preset(keras_cv, info, weights == "imagenet", **fixed)
    pending = weights not in ("imagenet", None) and not reads_weights(model, weights)
    if not model.get_config().get("include_rescaling", True):
        x = PREPROCESSING["unit"](x)
    result = lay_out(model, inputs, x, {"SegFormerMultiheadAttention": _reduced_attention})
    if pending:  # a file that does not fit KerasCV's network may have been saved by us
        load_weights([result, model], weights)
    return result


def _from_preset(keras_cv, info, with_weights, **arguments):
    # Read from the folder itself, so files that a user put there are found.
    preset = str(preset_on_disk(info.weights_url, info.provider) or info.weights_url)
    if preset == info.weights_url:
        print(f"tlkeras: downloading the KerasCV preset {info.constructor}", file=sys.stderr)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return keras_cv.models.Backbone.from_preset(preset, load_weights=with_weights, **arguments)
    except Exception as error:  # kagglehub, TensorFlow's file system and Keras each raise their own exceptions
        handle = info.weights_url.removeprefix("kaggle://")
        raise InputError(
            f"The KerasCV preset {info.constructor} cannot be downloaded ({first_line(error)}). Download its files "
            f"from https://www.kaggle.com/models/{handle} on a machine with internet access, and copy them to "
            f"{kaggle_folder(info.weights_url)}."
        ) from error


def _arguments(preset):
    """Return the explicit arguments of an architecture, or None if only KerasCV's preset defines them."""
    if preset.startswith("efficientnetlite_b"):
        width, depth = _LITE_WIDTH_AND_DEPTH[int(preset[-1])]
        return {
            "constructor": "EfficientNetLiteBackbone",
            "width_coefficient": width,
            "depth_coefficient": depth,
            "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
            "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
            "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
            "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
            "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
            "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
        }
    name, _, version = preset.removesuffix("_imagenet").partition("_")
    if name.startswith("resnet"):
        block_type, repeats = _RESNET_BLOCKS[int(name.removeprefix("resnet"))]
        return {
            "constructor": "ResNetV2Backbone" if version == "v2" else "ResNetBackbone",
            "stackwise_filters": [64, 128, 256, 512],
            "stackwise_blocks": list(repeats),
            "stackwise_strides": [1, 2, 2, 2],
            "block_type": block_type,
        }
    return None


def _check_square(name, height, width):
    """Reject an image size if a feature map of a Mix Transformer is not a square of whole patches.

    Args:
        name: Name of the backbone, for the message.
        height: Height of the images in pixels; None is rejected.
        width: Width of the images in pixels; None is rejected.

    Raises:
        InputError: The network cannot process images of this size.

    Example:

    >>> _check_square("MiT-B0", 224, 224)
    >>> _check_square("MiT-B0", 224, 256)
    Traceback (most recent call last):
    tlkeras.errors.InputError: MiT-B0 needs square images whose sides are a multiple of 32 pixels. ...
    """
    if height is None or height != width or height % _MIT_SHRINKAGE:
        raise InputError(
            f"{name} needs square images whose sides are a multiple of {_MIT_SHRINKAGE} pixels. Received: images of "
            f"{height} x {width} pixels."
        )


def _reduced_attention(attention, tokens):
    """Attend to a reduced feature map, as KerasCV's `SegFormerMultiheadAttention` does, for batches of any size.

    KerasCV's own code needs the batch size for a reshape, so it cannot be part of a graph. Tokens have shape
    `(batch, side * side, channels)` and come from a square map. Source: Xie et al., SegFormer, 2021,
    https://arxiv.org/abs/2105.15203
    """
    count, channels = tokens.shape[1:]

    def heads(x):
        x = ops.reshape(x, (-1, x.shape[1], attention.num_heads, channels // attention.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    shrunk = tokens
    if attention.sr_ratio > 1:
        # This swaps channels and positions, and swaps them back below, because KerasCV's weights were trained this way.
        side = math.isqrt(count)
        x = attention.sr(ops.reshape(ops.transpose(tokens, (0, 2, 1)), (-1, side, side, channels)))
        x = ops.reshape(x, (-1, channels, math.prod(x.shape[1:3])))
        shrunk = attention.norm(ops.transpose(x, (0, 2, 1)))
    query, key, value = heads(attention.q(tokens)), heads(attention.k(shrunk)), heads(attention.v(shrunk))
    shares = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * attention.scale)
    x = ops.transpose(ops.matmul(shares, value), (0, 2, 1, 3))
    return attention.proj(ops.reshape(x, (-1, count, channels)))
