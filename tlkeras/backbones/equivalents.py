"""Replace small KerasHub layers by layers of Keras itself, so a saved MobileNetV5 loads without KerasHub."""

from keras import layers, ops


def rms_norm(norm, x, **kwargs):
    """Apply KerasHub's `RmsNorm2d` to feature maps of shape `(batch, height, width, channels)`."""
    core = layers.RMSNormalization(axis=-1, epsilon=norm.eps, dtype=norm.dtype_policy, name=norm.name)
    return _apply(core, x, norm.gamma)


def layer_scale(scale, x, **kwargs):
    """Apply KerasHub's `LayerScale2d`, one factor per channel, as a 1x1 depthwise convolution."""
    core = layers.DepthwiseConv2D(1, use_bias=False, dtype=scale.dtype_policy, name=scale.name)
    return _apply(core, x, scale.gamma)


def _apply(core, x, values):
    """Call a layer that has a single weight, and assign values to this weight."""
    x = core(x)
    (weight,) = core.weights
    weight.assign(ops.reshape(values, weight.shape))
    return x
