"""Quantize LiteRT files with litert-quantizer, which does not need TensorFlow.

The head has a few large weights: with a folded scaler, the largest is about 30 times the median, so 8 bits are too few
to represent the small ones. `int8` therefore keeps the head in float, which costs a few kilobytes. `full_int8`, for
hardware without floating point, clips the largest weights of the head instead and adjusts the bias to compensate for
the average change in the outputs.
"""

import contextlib
import os
import re

import numpy as np

from tlkeras.errors import InputError
from tlkeras.exporters.litert_editing import (
    opened,
    operator_name,
    packed,
    run_all,
    with_uint8,
    without_cast,
)
from tlkeras.utils.stderr import silent_package

#: Percentage of the head's weights that `full_int8` clips.
_CLIPPED = 0.5


def quantize(content, kind, calibration):
    """Quantize a LiteRT file.

    Args:
        content: Contents of a float32 `.tflite` file that takes uint8 pixels of one image, as bytes.
        kind: `"float16"`, `"int8"`, `"dynamic_int8"` (8-bit weights, with activation ranges measured at run time) or
            `"full_int8"` (no floating point anywhere).
        calibration: uint8 images `(n, height, width, channels)` for measuring the ranges of activations.

    Returns:
        Contents of the quantized file, as bytes.

    Raises:
        InputError: litert-quantizer is not installed.
    """
    try:
        from litert_quantizer import quantizer, recipe_manager
    except ImportError as error:
        raise InputError(
            f"Quantizing LiteRT files requires litert-quantizer ({error}). Run: pip install 'tlkeras[export]'."
        ) from error
    if kind == "full_int8":
        content = without_cast(clip_head(content, calibration))
    recipes = recipe_manager.RecipeManager()
    _RECIPES[kind](recipes, content)
    with silent_package():
        engine = quantizer.Quantizer(content, recipes.get_quantization_recipe())
        ranges = None
        if engine.need_calibration:
            dtype = "float32" if kind == "full_int8" else "uint8"
            samples = [{"image": image[None].astype(dtype)} for image in calibration]
            ranges = engine.calibrate({"serving_default": samples}, num_threads=os.cpu_count() or 1)
        result = bytes(engine.quantize(ranges, enable_progress_report=False).quantized_model)
    return with_uint8(result) if kind == "full_int8" else result


def _float16(recipes, content):
    """Store weights in float16 and compute in float32."""
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName as Name

    for name in (Name.FULLY_CONNECTED, Name.CONV_2D, Name.DEPTHWISE_CONV_2D, Name.EMBEDDING_LOOKUP):
        with contextlib.suppress(ValueError):  # this operator does not support float16
            recipes.add_weight_only_config(".*", name, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)


def _static(recipes, content, floats=True):
    """Compute in int8, with the head in float if `floats` is true."""
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName as Name

    recipes.add_static_config(".*", Name.ALL_SUPPORTED, 8, 8)
    if not floats:
        return
    recipes.add_quantization_config(".*", Name.OUTPUT, None, AlgorithmName.NO_QUANTIZE)
    _keep_in_float(recipes, content, head=True)


def _dynamic(recipes, content):
    """Store weights in int8, and quantize activations at run time."""
    from litert_quantizer.qtyping import TFLOperationName as Name

    recipes.add_dynamic_config(".*", Name.ALL_SUPPORTED, 8)
    _keep_in_float(recipes, content, head=False)


_RECIPES = {
    "float16": _float16,
    "int8": _static,
    "dynamic_int8": _dynamic,
    "full_int8": lambda recipes, content: _static(recipes, content, floats=False),
}


def clip_head(content, calibration):
    """Clip the head's largest weights, and adjust its bias to compensate for the average change in its outputs.

    Args:
        content: Contents of a float32 `.tflite` file, as bytes.
        calibration: uint8 images for measuring the average change.

    Returns:
        Contents of the changed file, as bytes. The file is unchanged if its last fully connected layer does not have
        constant weights and a constant bias.
    """
    model, graph = opened(content)
    products = [call for call in graph.operators if operator_name(model, call) == "FULLY_CONNECTED"]
    if not products or len(products[-1].inputs) < 3 or products[-1].inputs[2] < 0:
        return content
    inputs, *constants = products[-1].inputs
    buffers = [model.buffers[graph.tensors[number].buffer] for number in constants]
    if any(one.data is None for one in buffers):
        return content
    kernel, bias = (np.frombuffer(bytes(one.data), "float32") for one in buffers)
    kernel = kernel.reshape(graph.tensors[constants[0]].shape)
    limit = np.percentile(np.abs(kernel), 100 - _CLIPPED)
    clipped = np.clip(kernel, -limit, limit)
    mean = np.mean([tensors[inputs].reshape(-1) for tensors in run_all(content, calibration, [inputs])], axis=0)
    for buffer, values in zip(buffers, (clipped, bias + (kernel - clipped) @ mean), strict=True):
        buffer.data = np.frombuffer(values.astype("float32").tobytes(), "uint8")
    return packed(model)


def _keep_in_float(recipes, content, head):
    """Exclude operators from quantization: those used only by the unknown score and, if `head` is true, the head's."""
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName as Name

    for operator, tensor in _float_operators(content, head):
        if operator in Name.__members__:
            scope = f"^{re.escape(tensor)}"
            recipes.add_quantization_config(scope, Name[operator], None, AlgorithmName.NO_QUANTIZE)


def _float_operators(content, head):
    """List the operators that `_keep_in_float` excludes, with the names of their output tensors."""
    model, graph = opened(content)
    names = [operator_name(model, call) for call in graph.operators]
    first, *more = (_needed(graph, output) for output in graph.outputs)
    kept = set().union(*more) - first
    products = [place for place in first if names[place] == "FULLY_CONNECTED"]
    if head and products:
        kept |= {place for place in first if place >= max(products)}
    outputs = [graph.tensors[call.outputs[0]].name.decode() for call in graph.operators]
    return [(names[place], outputs[place]) for place in sorted(kept)]


def _needed(graph, output):
    """Return the indices of the operators that an output depends on. Operators are in topological order."""
    tensors, needed = {int(output)}, set()
    for place in reversed(range(len(graph.operators))):
        call = graph.operators[place]
        if tensors & {int(one) for one in call.outputs}:
            tensors |= {int(one) for one in call.inputs}
            needed.add(place)
    return needed
