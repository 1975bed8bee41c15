"""Write each kind of Keras layer to a LiteRT file.

Each function takes the writer (`litert_writer`), the layer's call in the graph, the layer, and the numbers of the
layer's input tensors in the file. The function adds operators and returns the number of the result tensor.
"""

import keras
import numpy as np


class UnsupportedLayerError(Exception):
    """Raised when a network has a layer that tlkeras cannot write to a LiteRT file."""


def does_nothing(layer):
    """Return whether a layer, such as dropout or augmentation, does nothing at inference.

    Augmentation layers of Keras and tlkeras are recognized by name. If the name is misleading, the later comparison of
    outputs reveals it.
    """
    name = type(layer).__name__
    random = name.startswith("Random") or name in ("AugMix", "CutMix", "FourierMix", "GridMask", "MixUp")
    return isinstance(layer, _IDENTITIES) or (random and isinstance(layer, keras.Layer))


_IDENTITIES = (
    keras.layers.ActivityRegularization,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.SpatialDropout2D,
)


def _conv(writer, node, layer, inputs):
    if layer.groups != 1:
        raise UnsupportedLayerError(f"layer {layer.name!r} is a grouped convolution")
    return writer.convolution(
        node, layer, inputs, "CONV_2D", weight_array(layer.kernel), 3, _window(layer, layer.dilation_rate)
    )


def _depthwise(writer, node, layer, inputs):
    if layer.depth_multiplier != 1:
        raise UnsupportedLayerError(f"layer {layer.name!r} has a depth multiplier of {layer.depth_multiplier}")
    options = {**_window(layer, layer.dilation_rate), "depthMultiplier": 1}
    return writer.convolution(node, layer, inputs, "DEPTHWISE_CONV_2D", weight_array(layer.kernel), 2, options)


def _dense(writer, node, layer, inputs):
    if len(node.input_tensors[0].shape) != 2:
        raise UnsupportedLayerError(f"layer {layer.name!r} is a Dense layer on inputs that are not vectors")
    return writer.convolution(node, layer, inputs, "FULLY_CONNECTED", weight_array(layer.kernel), 1, {})


def _batchnorm(writer, node, layer, inputs):
    if layer.axis not in (-1, len(node.outputs[0].shape) - 1):
        raise UnsupportedLayerError(f"layer {layer.name!r} normalizes an axis other than the channels")
    return writer.scaled(inputs[0], *scale_and_shift(layer))


def _separable(writer, node, layer, inputs):
    if layer.depth_multiplier != 1:
        raise UnsupportedLayerError(f"layer {layer.name!r} has a depth multiplier of {layer.depth_multiplier}")
    kernel = weight_array(layer.depthwise_kernel)
    constants = [writer.graph.constant(kernel.reshape(1, *kernel.shape[:2], -1))]
    constants.append(writer.graph.constant(np.zeros(kernel.shape[2])))
    shape = (*node.outputs[0].shape[1:3], kernel.shape[2])
    options = {**_window(layer, layer.dilation_rate), "depthMultiplier": 1}
    deep = writer.graph.add("DEPTHWISE_CONV_2D", [*inputs, *constants], (1, *shape), **options)
    options = {"padding": "VALID", "strideH": 1, "strideW": 1}
    return writer.convolution(node, layer, [deep], "CONV_2D", weight_array(layer.pointwise_kernel), 3, options)


def _normalization(writer, node, layer, inputs):
    mean, variance = (weight_array(value).reshape(-1) for value in (layer.mean, layer.variance))
    if layer.invert or len(mean) not in (1, node.outputs[0].shape[-1]):
        raise UnsupportedLayerError(f"layer {layer.name!r} is inverted or normalizes an axis other than the channels")
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return writer.scaled(inputs[0], scale, -mean * scale)


def _flip(writer, node, layer, inputs):
    rank = len(node.outputs[0].shape)
    axes = range(rank) if layer.axis is None else np.atleast_1d(layer.axis)
    axes = writer.graph.constant(np.array([axis % rank for axis in axes], "int32"), "int32")
    return writer.graph.add("REVERSE_V2", [inputs[0], axes], writer.graph.shape(inputs[0]))


def _arithmetic(write_layer, operator):
    """Return the function that writes `keras.ops.add` or `multiply` of two tensors, or of a tensor and a number."""

    def write(writer, node, operation, inputs):
        if len(inputs) == 2:
            return write_layer(writer, node, operation, inputs)
        numbers = [value for value in node.arguments.args if isinstance(value, int | float)]
        if len(numbers) != 1:
            raise UnsupportedLayerError(
                f"operation {operation.name!r} has an operand that is neither a number nor a tensor"
            )
        constant = writer.graph.constant(np.atleast_1d(numbers[0]))
        return writer.graph.add(operator, [inputs[0], constant], writer.graph.shape(inputs[0]))

    return write


def _rescaling(writer, node, layer, inputs):
    return writer.scaled(inputs[0], np.asarray(layer.scale, "float64"), np.asarray(layer.offset, "float64"))


def _padding(writer, node, layer, inputs):
    follower = writer.only_follower(node.outputs[0], (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    if follower is not None and _pads_as_same(layer, node.input_tensors[0].shape, follower.operation):
        writer.padded_as_same.add(id(node.outputs[0]))
        return inputs[0]
    pads = np.array([(0, 0), *layer.padding, (0, 0)], "int32")
    shape = (1, *node.outputs[0].shape[1:])
    return writer.graph.add("PAD", [inputs[0], writer.graph.constant(pads, "int32")], shape)


def _pads_as_same(padding, shape, convolution):
    """Return whether a padding layer adds the zeros that the convolution would add itself with `padding="same"`."""
    if convolution.padding != "valid":
        return False
    for size, pads, kernel, stride, dilation in zip(
        shape[1:3],
        padding.padding,
        convolution.kernel_size,
        convolution.strides,
        convolution.dilation_rate,
        strict=True,
    ):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        if tuple(pads) != (total // 2, total - total // 2):
            return False
    return True


def _pooling(operator):
    def write(writer, node, layer, inputs):
        height, width = layer.pool_size
        options = {**_window(layer), "filterHeight": height, "filterWidth": width}
        return writer.graph.add(operator, inputs, (1, *node.outputs[0].shape[1:]), **options)

    return write


def _global_pooling(operator):
    def write(writer, node, layer, inputs):
        axes = writer.graph.constant(np.array([1, 2], "int32"), "int32")
        shape = (1, *node.outputs[0].shape[1:])
        return writer.graph.add(operator, [inputs[0], axes], shape, keepDims=layer.keepdims)

    return write


def _elementwise(operator):
    def write(writer, node, layer, inputs):
        shapes = {tuple(tensor.shape) for tensor in node.input_tensors}
        if len(inputs) < 2 or any(len(shape) != len(node.outputs[0].shape) for shape in shapes):
            raise UnsupportedLayerError(f"layer {layer.name!r} joins inputs of different ranks")
        fused, output = writer.activated("linear", node.outputs[0])
        result = inputs[0]
        for number, other in enumerate(inputs[1:], start=2):
            last = number == len(inputs)
            shape = np.broadcast_shapes(writer.graph.shape(result), writer.graph.shape(other))
            activation = fused if last else "NONE"
            result = writer.graph.add(operator, [result, other], shape, fusedActivationFunction=activation)
        writer.tensors[id(output)] = result
        return result

    return write


def _concatenate(writer, node, layer, inputs):
    rank = len(node.outputs[0].shape)
    return writer.graph.add("CONCATENATION", inputs, (1, *node.outputs[0].shape[1:]), axis=layer.axis % rank)


def _reshape(writer, node, layer, inputs):
    shape = (1, *node.outputs[0].shape[1:])
    target = writer.graph.constant(np.array(shape, "int32"), "int32")
    return writer.graph.add("RESHAPE", [inputs[0], target], shape, newShape=np.array(shape, "int32"))


def _cropping(writer, node, layer, inputs):
    shape = (1, *node.outputs[0].shape[1:])
    starts = np.array([0, layer.cropping[0][0], layer.cropping[1][0], 0], "int32")
    bounds = [writer.graph.constant(values, "int32") for values in (starts, np.array(shape, "int32"))]
    return writer.graph.add("SLICE", [inputs[0], *bounds], shape)


def _activation_layer(writer, node, layer, inputs):
    return writer.activation(activation_name(layer), inputs[0], layer)


LAYERS = {
    keras.layers.Activation: _activation_layer,
    keras.layers.Add: _elementwise("ADD"),
    keras.layers.AveragePooling2D: _pooling("AVERAGE_POOL_2D"),
    keras.layers.BatchNormalization: _batchnorm,
    keras.layers.Concatenate: _concatenate,
    keras.layers.Conv2D: _conv,
    keras.layers.Cropping2D: _cropping,
    keras.layers.Dense: _dense,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.Flatten: _reshape,
    keras.layers.GlobalAveragePooling2D: _global_pooling("MEAN"),
    keras.layers.GlobalMaxPooling2D: _global_pooling("REDUCE_MAX"),
    keras.layers.MaxPooling2D: _pooling("MAX_POOL_2D"),
    keras.layers.Multiply: _elementwise("MUL"),
    keras.layers.Normalization: _normalization,
    keras.layers.ReLU: _activation_layer,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Reshape: _reshape,
    keras.layers.SeparableConv2D: _separable,
    keras.layers.Softmax: _activation_layer,
    keras.layers.ZeroPadding2D: _padding,
}

#: Functions of `keras.ops` in a graph, by class name, because Keras does not make these classes public.
OPERATIONS = {
    "Add": _arithmetic(_elementwise("ADD"), "ADD"),
    "ConvertToTensor": lambda writer, node, operation, inputs: inputs[0],  # left over from flattened nested models
    "Flip": _flip,
    "Multiply": _arithmetic(_elementwise("MUL"), "MUL"),
}


def activation_name(layer):
    """Return the Keras name for a layer's activation, or a description if the activation has no name."""
    if isinstance(layer, keras.layers.Softmax):
        return "softmax" if layer.axis == -1 else "softmax over another axis"
    if isinstance(layer, keras.layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        known = {None: "relu", 6: "relu6"}.get(layer.max_value if layer.max_value is None else float(layer.max_value))
        return known if plain and known else "a ReLU with other bounds"
    name = keras.activations.serialize(layer.activation)
    return name if isinstance(name, str) else "a custom one"


def scale_and_shift(batchnorm):
    mean, variance = weight_array(batchnorm.moving_mean), weight_array(batchnorm.moving_variance)
    scale = 1 / np.sqrt(variance + batchnorm.epsilon)
    if batchnorm.scale:
        scale = scale * weight_array(batchnorm.gamma)
    shift = -mean * scale
    return scale, shift + weight_array(batchnorm.beta) if batchnorm.center else shift


def _window(layer, dilation=(1, 1)):
    height, width = layer.strides
    options = {"padding": layer.padding.upper(), "strideH": height, "strideW": width}
    if tuple(dilation) != (1, 1):
        options |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
    return options


def weight_array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")
