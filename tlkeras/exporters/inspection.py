"""Inspect exported files before a runtime opens them: reject damaged, foreign and malicious ones without running them.

Runtimes trust their files. They allocate terabytes for a tensor or read data outside the file if the file says so, and
a SavedModel can write to the disk.
"""

import math
import re
from pathlib import Path

from tlkeras.errors import InputError, first_line

#: Largest size in bytes of a single tensor, and of all tensors of a file together.
_LARGEST = 4 << 30

#: TensorFlow operators that access anything outside the model, such as files.
_OUTSIDE = re.compile(
    r"PyFunc|ReadFile|WriteFile|MatchingFiles|Reader|RecordDataset|TextLineDataset|Debug|Print|Rpc|Socket|Shell|"
    r"LoadLibrary|InitializeTableFromTextFile|Summary|XlaHostCompute|CustomCall"
)


def inspect(path, format):
    """Reject a file that `tlkeras export` cannot have written.

    Args:
        path: Path of the file or of a SavedModel's folder, `pathlib.Path`.
        format: Expected format of the file.

    Raises:
        InputError: The file is damaged, has another format, is too large, uses forbidden operators, or refers to data
            in other files.
    """
    try:
        _INSPECTORS[format](path)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"Reading {format} files needs more packages: {error}. See docs/deployment.md.") from error
    except Exception as error:  # each parser raises its own errors for a damaged file
        raise InputError(f"{str(path)!r} is damaged or not a {format} file: {first_line(error)}") from error


def _refused(path, why):
    """Build the error for a rejected file."""
    return InputError(f"{str(path)!r} is refused: {why}. Only files that `tlkeras export` wrote are opened.")


def _litert(path):
    """Inspect a `.tflite` file: its operators and the sizes of its tensors."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise _refused(path, "it is not a LiteRT file")
    model = schema.Model.GetRootAs(content)
    for number in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(number)
        if code.CustomCode() or schema.BuiltinOperator.CUSTOM in (code.BuiltinCode(), code.DeprecatedBuiltinCode()):
            raise _refused(path, f"it has the custom operator {code.CustomCode()!r}")
    if model.SubgraphsLength() != 1:
        raise _refused(path, f"it has {model.SubgraphsLength()} graphs instead of one")
    graph, total, sizes = model.Subgraphs(0), 0, _item_sizes(schema)
    if graph.TensorsLength() > len(content) or graph.OperatorsLength() > len(content):
        raise _refused(path, "it is damaged")
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        shape = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
        if any(side < 0 for side in shape):
            raise _refused(path, f"a tensor has the shape {shape}")
        size = math.prod(shape) * sizes.get(tensor.Type(), 8)
        held = model.Buffers(tensor.Buffer()).DataLength() or model.Buffers(tensor.Buffer()).Size()
        if model.Buffers(tensor.Buffer()).Offset() + model.Buffers(tensor.Buffer()).Size() > len(content):
            raise _refused(path, "it is damaged")
        if held and held < size * (0.5 if tensor.Type() in _PACKED else 1):
            raise _refused(path, f"a constant of {size} bytes has {held}")
        total += 0 if held else size
        if size > _LARGEST or total > _LARGEST:
            raise _refused(path, f"its tensors are too large, such as {shape}")
    for number in range(graph.OperatorsLength()):
        call = graph.Operators(number)
        used = np.concatenate([np.atleast_1d(one) for one in (call.InputsAsNumpy(), call.OutputsAsNumpy())])
        if used.min() < -1 or used.max() >= graph.TensorsLength() or call.OpcodeIndex() >= model.OperatorCodesLength():
            raise _refused(path, "it is damaged")


#: Tensor types that store two values per byte (INT4).
_PACKED = (17,)


def _item_sizes(schema):
    """Return a dict from tensor types to bytes per value."""
    sizes = {1: ("UINT8", "INT8", "INT4", "BOOL"), 2: ("FLOAT16", "INT16"), 4: ("FLOAT32", "INT32"), 8: ("INT64",)}
    return {getattr(schema.TensorType, name): size for size, names in sizes.items() for name in names}


#: Domains of the operators built into ONNX Runtime.
_ONNX_DOMAINS = ("", "ai.onnx", "com.microsoft")


def _onnx(path):
    """Inspect an `.onnx` file: its operators, its constants, and whether it is self-contained."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    if len(model.graph.input) != 1 or len(model.graph.output) not in (1, 2):
        raise _refused(path, "it does not have one input and one or two outputs")
    if model.functions or any(node.domain not in _ONNX_DOMAINS for node in model.graph.node):
        raise _refused(path, "it has custom operators")
    total = 0
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise _refused(path, "it reads data from other files")
        total += 8 * math.prod(tensor.dims)
        if any(side < 0 for side in tensor.dims) or total > 2 * _LARGEST:
            raise _refused(path, f"its tensors are too large, such as {list(tensor.dims)}")
    for node in model.graph.node:
        for attribute in node.attribute:
            nested = attribute.HasField("g") or attribute.graphs
            if nested or attribute.t.data_location == onnx.TensorProto.EXTERNAL:
                raise _refused(path, f"the operator {node.op_type} has a nested graph or external data")


def _openvino(path):
    """Inspect an `.xml` file: reject XML entities, custom operators, constants outside the `.bin`, and huge shapes."""
    from xml.etree import ElementTree

    content = path.read_bytes()
    if len(content) > 100_000_000 or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise _refused(path, "its XML declares entities or is too large")
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise _refused(path, f"there is no {weights.name} beside it")
    root, held = ElementTree.fromstring(content), weights.stat().st_size
    if root.tag != "net":
        raise _refused(path, "it is not an OpenVINO model")
    for layer in root.iter("layer"):
        if not re.fullmatch(r"opset\d+|", layer.get("version", "")):
            raise _refused(path, f"it has the custom operator {layer.get('type')!r}")
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None:
            start, size = int(data.get("offset", 0)), int(data.get("size", 0))
            if start < 0 or size < 0 or start + size > held:
                raise _refused(path, "a constant lies outside its .bin")
    for port in root.iter("port"):
        sides = [int(side.text or 0) for side in port.iter("dim")]
        if math.prod(max(1, side) for side in sides) > _LARGEST:
            raise _refused(path, f"its tensors are too large, such as {sides}")


def _saved_model(path):
    """Inspect a SavedModel: reject links to files outside the folder, operators with side effects, and huge shapes."""
    from tensorflow.core.protobuf import saved_model_pb2

    root = Path(path).resolve()
    for file in root.rglob("*"):
        if not file.resolve().is_relative_to(root):
            raise _refused(path, f"{file.name!r} is a link to a file outside")
    model = saved_model_pb2.SavedModel.FromString((root / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        nodes = [*graph.graph_def.node, *(node for one in graph.graph_def.library.function for node in one.node_def)]
        for node in nodes:
            if _OUTSIDE.search(node.op):
                raise _refused(path, f"its operator {node.op!r} reaches outside the model")
            shape = node.attr["value"].tensor.tensor_shape if node.op == "Const" else None
            if shape is not None and math.prod(max(1, one.size) for one in shape.dim) > _LARGEST:
                raise _refused(path, "its tensors are too large")


_INSPECTORS = {"litert": _litert, "onnx": _onnx, "openvino": _openvino, "saved_model": _saved_model}
