"""Scales of 8-bit weights in ONNX files, chosen so that no sum overflows on processors without 8-bit dot products.

These processors multiply unsigned activations by signed weights, and add neighboring products in pairs with saturating
16-bit arithmetic. Weights of 7 bits avoid this, but cost accuracy in every layer. Here, each output channel uses the
largest 8-bit weights for which no pair with the same sign can overflow: 7.7 bits on average in EfficientNet-Lite0.
Depthwise convolutions have no such sums and keep 8 bits.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html (on VPMADDUBSW and saturation)
"""

import numpy as np

#: Largest weight, and largest sum of neighboring weights: 255 x 127 fits into 16 bits; 255 x 129 does not.
_LARGEST = 127

#: Lower bound that keeps a scale positive if all weights of a channel are 0.
_TINY = 1e-12


def weight_scales(graph, kept):
    """Choose the scales of the convolutions' weights.

    Args:
        graph: `onnx.GraphProto` with float weights.
        kept: Names of the nodes that stay in float.

    Returns:
        Dict that maps names of weights to lists with one dict per output channel, for ONNX Runtime's
        `TensorQuantOverrides`.
    """
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType

    constants = {tensor.name: tensor for tensor in graph.initializer}
    scales = {}
    for node in graph.node:
        if node.op_type != "Conv" or node.name in kept or node.input[1] not in constants:
            continue
        kernel = numpy_helper.to_array(constants[node.input[1]])
        channels = [
            {"quant_type": QuantType.QInt8, "scale": scale, "zero_point": np.int8(0)}
            for scale in channel_scales(kernel)
        ]
        channels[0]["axis"] = 0
        scales[node.input[1]] = channels
    return scales


def channel_scales(kernel):
    """Return the scale of each output channel.

    Args:
        kernel: Weights of a convolution, `(outputs, inputs per group, height, width)`.

    Returns:
        float32 array `(outputs,)`.

    Example:

    >>> channel_scales(np.array([[3.0, 2.0], [3.0, -2.0]], "float32")[:, :, None, None]) * 127
    array([5., 3.], dtype=float32)
    """
    outputs, inputs = kernel.shape[:2]
    last = kernel.transpose(0, 2, 3, 1)  # inputs are neighbors, then positions
    largest = np.abs(kernel).reshape(outputs, -1).max(axis=1)
    if inputs > 1:
        orders = [last.reshape(outputs, -1)]
        if inputs % 2:  # some runtimes pad the inputs of each position to pairs
            orders.append(np.pad(last, [(0, 0)] * 3 + [(0, 1)]).reshape(outputs, -1))
        largest = np.max([largest, *map(_largest_sums, orders)], axis=0)
    return np.maximum(largest / _LARGEST, _TINY).astype("float32")


def _largest_sums(rows):
    """Return each row's largest absolute sum of a pair with equal signs. Pairs start at even positions."""
    rows = np.pad(rows, [(0, 0), (0, rows.shape[1] % 2)])
    signs = (np.maximum(rows, 0), np.maximum(-rows, 0))
    return np.max([side[:, 0::2] + side[:, 1::2] for side in signs], axis=(0, 2))
