"""Core layers that equal small layers of KerasHub, so that the file of a MobileNetV5 opens without KerasHub."""

from keras import layers, ops


def rms_norm(norm, x, **kwargs):
    """Apply an `RmsNorm2d` of KerasHub to maps `(batch, height, width, channels)`."""
    core = layers.RMSNormalization(axis=-1, epsilon=norm.eps, dtype=norm.dtype_policy, name=norm.name)
    return _apply(core, x, norm.gamma)


def layer_scale(scale, x, **kwargs):
    """Apply a `LayerScale2d` of KerasHub: a factor per channel, which is a depthwise convolution of one pixel."""
    core = layers.DepthwiseConv2D(1, use_bias=False, dtype=scale.dtype_policy, name=scale.name)
    return _apply(core, x, scale.gamma)


def _apply(core, x, values):
    """Call a layer with one weight, and give this weight its values."""
    x = core(x)
    (weight,) = core.weights
    weight.assign(ops.reshape(values, weight.shape))
    return x
