"""Write a Keras network as a LiteRT file (`.tflite`), with any backend and without TensorFlow.

TensorFlow's converter takes seconds for a network that this module writes in a fraction of a second, and it needs the
TensorFlow backend. This module supports only the layers of the catalog's convolutional networks and of folded
classifiers. It rejects all other layers with an error that names the layer.
"""

import keras
import numpy as np

from tlkeras.features.engines.litert_graph import LiteRtGraph
from tlkeras.features.engines.litert_layers import (
    LAYERS,
    OPERATIONS,
    UnsupportedLayerError,
    activation_name,
    does_nothing,
    scale_and_shift,
    weight_array,
)
from tlkeras.models.graph import flatten, graph_of, nodes

#: Keras activations that LiteRT can compute as part of a convolution, sum or product.
_FUSED = {"linear": "NONE", "relu": "RELU", "relu6": "RELU6"}


def write_litert(model, input_dtype="float32", output_names=("output", "features")) -> bytes:
    """Write a network as a LiteRT file for one image at a time.

    A BatchNorm and a ReLU that follow a convolution are folded into the convolution. Weights stay in float32.

    Args:
        model: A functional or Sequential `keras.Model` that maps pixels `(N, height, width, channels)` of a fixed size
            to vectors `(N, outputs)`, or to two such outputs.
        input_dtype: `"float32"` (the default), or `"uint8"` for pixels as image files store them.
        output_names: Names of the first and the second output in the file's signature.

    Returns:
        The contents of the file, which has the input `image` of shape `(1, height, width, channels)`, the first output
        of shape `(1, outputs)` and, if there are two, the second output of shape `(1, features)`. Outputs are float32.

    Raises:
        UnsupportedLayerError: The network has a layer that cannot be written, several inputs, more than two outputs or
            no fixed image size, or it computes in a precision other than float32.

    Example:

    >>> model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    >>> write_litert(model)[4:8]
    b'TFL3'
    """
    if len(model.inputs) != 1 or len(model.outputs) > 2:
        raise UnsupportedLayerError(f"{model.name!r} does not have one input and one or two outputs")
    if None in model.inputs[0].shape[1:] or any(len(output.shape) != 2 for output in model.outputs):
        raise UnsupportedLayerError(f"{model.name!r} does not map images of a fixed size to vectors")
    return _Writer(flatten(model), input_dtype).write(output_names)


def _own_form(layer):
    """Return the function that calls a layer's own `write_litert` method, or None if the layer has no such method."""
    write = getattr(layer, "write_litert", None)
    return write and (lambda writer, node, layer, inputs: write(writer.graph, *inputs))


class _Writer:
    """Writer for a flat graph, layer by layer.

    Attributes:
        tensors: Dictionary that maps the ids of KerasTensors to their numbers in the file.
        padded_as_same: Set of ids of KerasTensors whose padding is left to the next convolution.
    """

    def __init__(self, model, input_dtype):
        graph = graph_of(model)
        self.graph, self.outputs, self.calls = LiteRtGraph(), model.outputs, nodes(graph)
        self.tensors, self.consumers, self.padded_as_same = {}, {}, set()
        for node in self.calls:
            for tensor in node.input_tensors:
                self.consumers.setdefault(id(tensor), []).append(node)
        shape = (1, *model.inputs[0].shape[1:])
        self.tensors[id(model.inputs[0])] = self.graph.input(shape, input_dtype)

    def write(self, output_names):
        for node in self.calls:
            layer = node.operation
            # Skip the input, and layers already written together with the layer before them, such as BatchNorm.
            if isinstance(layer, keras.layers.InputLayer) or id(node.outputs[0]) in self.tensors:
                continue
            self._check(layer)
            self.graph.layer = layer.name
            write = LAYERS.get(type(layer), _own_form(layer))
            if not isinstance(layer, keras.Layer):
                write = OPERATIONS.get(type(layer).__name__)
            if write is None and not does_nothing(layer):
                raise UnsupportedLayerError(f"layer {layer.name!r} is a {type(layer).__name__}")
            inputs = [self.tensors[id(tensor)] for tensor in node.input_tensors]
            self.tensors[id(node.outputs[0])] = inputs[0] if write is None else write(self, node, layer, inputs)
        outputs = (self.tensors[id(tensor)] for tensor in self.outputs)
        return self.graph.finish(**dict(zip(output_names, outputs, strict=False)))

    def _check(self, layer):
        if getattr(layer, "compute_dtype", "float32") != "float32":
            raise UnsupportedLayerError(f"layer {layer.name!r} computes in {layer.compute_dtype}")
        if getattr(layer, "data_format", None) == "channels_first":
            raise UnsupportedLayerError(f"layer {layer.name!r} uses data_format='channels_first'")

    def only_follower(self, tensor, kind):
        """Return the only call that uses `tensor`; None if there are several or the layer is not of type `kind`."""
        followers = self.consumers.get(id(tensor), [])
        needed = any(tensor is output for output in self.outputs)
        if len(followers) == 1 and not needed and isinstance(followers[0].operation, kind):
            return followers[0]
        return None

    def folded(self, node, kernel, bias, channel_axis):
        """Fold a BatchNorm after `node`, if any, into kernel and bias; return them and the tensor they produce."""
        layer, output = node.operation, node.outputs[0]
        if layer.use_bias:
            bias = weight_array(layer.bias)
        follower = (
            None if activation_name(layer) != "linear" else self.only_follower(output, keras.layers.BatchNormalization)
        )
        if follower is not None and follower.operation.axis in (-1, len(output.shape) - 1):
            self._check(follower.operation)
            scale, shift = scale_and_shift(follower.operation)
            shape = [1] * kernel.ndim
            shape[channel_axis] = -1
            kernel, bias, output = kernel * scale.reshape(shape), bias * scale + shift, follower.outputs[0]
        return kernel, bias, output

    def activated(self, first, output):
        """Find the activation to fold into a layer: the layer's own, or a ReLU that is the only layer after it.

        Returns:
            `(name, tensor)`: LiteRT's name for the activation, and the KerasTensor after it. The name is None if LiteRT
            has no such activation.
        """
        if first != "linear":
            return _FUSED.get(first), output
        follower = self.only_follower(output, (keras.layers.ReLU, keras.layers.Activation))
        if follower is not None and (name := _FUSED.get(activation_name(follower.operation))) is not None:
            return name, follower.outputs[0]
        return "NONE", output

    def convolution(self, node, layer, inputs, operator, kernel, channel_axis, options):
        """Write a convolution or dense layer, with the BatchNorm and ReLU that follow it."""
        bias = np.zeros(node.outputs[0].shape[-1])
        kernel, bias, normalized = self.folded(node, kernel, bias, channel_axis)
        own = activation_name(layer)
        fused, output = self.activated(own, normalized)
        if operator == "FULLY_CONNECTED":
            kernel = kernel.T
        elif operator == "CONV_2D":
            kernel = kernel.transpose(3, 0, 1, 2)
        else:
            kernel = kernel.reshape(1, *kernel.shape[:2], -1)
        constants = [self.graph.constant(kernel), self.graph.constant(bias)]
        options = {**options, "fusedActivationFunction": fused or "NONE"}
        if id(node.input_tensors[0]) in self.padded_as_same:
            options["padding"] = "SAME"
        result = self.graph.add(operator, [*inputs, *constants], (1, *output.shape[1:]), **options)
        if fused is None:
            result = self.activation(own, result, layer)
        # Layers that were written together with this one must not be written again.
        self.tensors.update({id(normalized): result, id(output): result})
        return result

    def activation(self, name, tensor, layer):
        """Write an activation as separate operators."""
        add, shape = self.graph.add, self.graph.shape(tensor)
        if name == "linear":
            return tensor
        if name in ("relu", "relu6"):
            return add(name.upper(), [tensor], shape)
        if name == "softmax":
            return add("SOFTMAX", [tensor], shape, beta=1.0)
        if name == "sigmoid":
            return add("LOGISTIC", [tensor], shape)
        if name in ("silu", "swish"):
            return add("MUL", [tensor, add("LOGISTIC", [tensor], shape)], shape)
        if name == "hard_silu":
            return add("HARD_SWISH", [tensor], shape)
        if name == "hard_sigmoid":
            shifted = add("ADD", [tensor, self.graph.constant([3.0])], shape, fusedActivationFunction="RELU6")
            return add("MUL", [shifted, self.graph.constant([1 / 6])], shape)
        if name == "tanh":
            return add("TANH", [tensor], shape)
        if name == "log_sigmoid":  # `fold` uses it for one-vs-rest classifiers
            return add("LOG", [add("LOGISTIC", [tensor], shape)], shape)
        raise UnsupportedLayerError(f"layer {layer.name!r} has the activation {name!r}")

    def scaled(self, tensor, scale, shift):
        """Write `tensor * scale + shift`, where `scale` and `shift` are numbers or have one value per channel."""
        shape = self.graph.shape(tensor)
        product = self.graph.add("MUL", [tensor, self.graph.constant(np.atleast_1d(scale))], shape)
        return self.graph.add("ADD", [product, self.graph.constant(np.atleast_1d(shift))], shape)
