"""Inspect a LiteRT file before its runtime opens it, without running it.

The runtime trusts the files that it opens. A malicious file can make it allocate terabytes for a tensor or read data
from outside the file.
"""

import math

from tlkeras.errors import InputError, first_line

#: Largest size in bytes of a single tensor, and of all tensors of a file together.
LARGEST = 4 << 30

#: Tensor types that store two values per byte (INT4).
_PACKED = (17,)


def refused(path, why):
    """Build the error for a rejected file."""
    return InputError(f"{str(path)!r} was rejected: {why}. Only files written by `tlkeras export` can be opened.")


def inspect_litert(path):
    """Reject a `.tflite` file that is damaged, has custom operators, or has tensors that are too large.

    Args:
        path: Path of the file, `pathlib.Path`.

    Raises:
        InputError: The file is rejected.
    """
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise refused(path, "it is not a LiteRT file")
    try:
        why = _problem(content)
    except ImportError:
        raise
    except Exception as error:  # FlatBuffers raises its own errors for offsets outside the file
        raise InputError(f"{str(path)!r} is damaged or is not a LiteRT file: {first_line(error)}") from error
    if why is not None:
        raise refused(path, why)


def _problem(content):
    """Return what is wrong with the contents of a file, or None."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    for number in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(number)
        if code.CustomCode() or schema.BuiltinOperator.CUSTOM in (code.BuiltinCode(), code.DeprecatedBuiltinCode()):
            return f"it uses the custom operator {code.CustomCode()!r}"
    if model.SubgraphsLength() != 1:
        return f"it has {model.SubgraphsLength()} graphs instead of one"
    graph = model.Subgraphs(0)
    if graph.TensorsLength() > len(content) or graph.OperatorsLength() > len(content):
        return "it is damaged"
    return _tensor_problem(schema, model, graph, len(content)) or _operator_problem(model, graph)


def _tensor_problem(schema, model, graph, length):
    """Return what is wrong with the sizes of a graph's tensors in a file of `length` bytes, or None."""
    total, sizes = 0, _item_sizes(schema)
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        shape = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
        if any(side < 0 for side in shape):
            return f"a tensor has the invalid shape {shape}"
        if tensor.Buffer() >= model.BuffersLength():
            return "it is damaged"
        size, buffer = math.prod(shape) * sizes.get(tensor.Type(), 8), model.Buffers(tensor.Buffer())
        if buffer.Offset() + buffer.Size() > length:
            return "it is damaged"
        held = buffer.DataLength() or buffer.Size()
        if held and held < size * (0.5 if tensor.Type() in _PACKED else 1):
            return f"a constant has {held} bytes instead of {size}"
        total += 0 if held else size
        if size > LARGEST or total > LARGEST:
            return f"some of its tensors are too large, such as {shape}"
    return None


def _operator_problem(model, graph):
    """Return what is wrong with the tensors that a graph's operators refer to, or None."""
    import numpy as np

    for number in range(graph.OperatorsLength()):
        call = graph.Operators(number)
        used = np.concatenate([np.atleast_1d(one) for one in (call.InputsAsNumpy(), call.OutputsAsNumpy())])
        if used.min() < -1 or used.max() >= graph.TensorsLength() or call.OpcodeIndex() >= model.OperatorCodesLength():
            return "it is damaged"
    return None


def _item_sizes(schema):
    """Return a dict that maps tensor types to bytes per value."""
    sizes = {1: ("UINT8", "INT8", "INT4", "BOOL"), 2: ("FLOAT16", "INT16"), 4: ("FLOAT32", "INT32"), 8: ("INT64",)}
    return {getattr(schema.TensorType, name): size for size, names in sizes.items() for name in names}
