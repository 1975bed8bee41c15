"""Inspect exported files before a runtime opens them, without running them.

Runtimes trust the files that they open. A malicious file can make a runtime allocate terabytes for a tensor or read
data from outside the file, and a SavedModel can even write files. Files that are damaged, malicious or not written by
`tlkeras export` are therefore rejected.
"""

import math
import re
from pathlib import Path

from tlkeras.errors import InputError, first_line
from tlkeras.features.engines.litert_inspection import LARGEST, inspect_litert, refused

#: TensorFlow operators that access anything outside the model, such as files.
_OUTSIDE = re.compile(
    r"PyFunc|ReadFile|WriteFile|MatchingFiles|Reader|Dataset|RecordInput|Iterator|Debug|Print|Rpc|Socket|Shell|Remote|"
    r"Collective|LoadLibrary|LoadAndRemap|GenerateVocab|FixedUnigram|InitializeTableFromTextFile|ImmutableConst|"
    r"DecodeProto|Summary|XlaHostCompute|CustomCall|^Save$|SaveSlices"
)

#: TensorFlow operators for checkpoints. They read and write files, and only the saver of a SavedModel needs them.
_CHECKPOINTS = re.compile("^(Save|Restore|MergeV2Checkpoints)")


def inspect(path, format):
    """Reject a file that `tlkeras export` cannot have written.

    Args:
        path: Path of the file or of a SavedModel's folder, `pathlib.Path`.
        format: Expected format of the file.

    Raises:
        InputError: The file is damaged, is not in the expected format, is too large, uses forbidden operators, or
            refers to data in other files.
    """
    try:
        _INSPECTORS[format](path)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"Reading {format} files requires additional packages: {error}. See docs/deployment.md."
        ) from error
    except Exception as error:  # each parser raises its own errors for a damaged file
        raise InputError(f"{str(path)!r} is damaged or is not in {format!r} format: {first_line(error)}") from error


#: Domains of the operators built into ONNX Runtime.
_ONNX_DOMAINS = ("", "ai.onnx", "com.microsoft")


def _onnx(path):
    """Inspect an `.onnx` file: its operators, its constants, and whether it is self-contained."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    if len(model.graph.input) != 1 or len(model.graph.output) not in (1, 2):
        raise refused(path, "it does not have one input and one or two outputs")
    if model.functions or any(node.domain not in _ONNX_DOMAINS for node in model.graph.node):
        raise refused(path, "it uses custom operators")
    total = 0
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise refused(path, "it reads data from other files")
        total += 8 * math.prod(tensor.dims)
        if any(side < 0 for side in tensor.dims) or total > 2 * LARGEST:
            raise refused(path, f"some of its tensors are too large, such as {list(tensor.dims)}")
    for node in model.graph.node:
        for attribute in node.attribute:
            nested = attribute.HasField("g") or attribute.graphs
            if nested or attribute.t.data_location == onnx.TensorProto.EXTERNAL:
                raise refused(path, f"the operator {node.op_type} has a nested graph or external data")


def _openvino(path):
    """Inspect an `.xml` file: reject XML entities, custom operators, constants outside the `.bin`, and huge shapes."""
    from xml.etree import ElementTree

    content = path.read_bytes()
    if len(content) > 100_000_000 or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise refused(path, "its XML declares entities or is too large")
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise refused(path, f"the file {weights.name} is missing")
    root, held = ElementTree.fromstring(content), weights.stat().st_size
    if root.tag != "net":
        raise refused(path, "it is not an OpenVINO model")
    for layer in root.iter("layer"):
        if not re.fullmatch(r"opset\d+|", layer.get("version", "")):
            raise refused(path, f"it uses the custom operator {layer.get('type')!r}")
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None:
            start, size = int(data.get("offset", 0)), int(data.get("size", 0))
            if start < 0 or size < 0 or start + size > held:
                raise refused(path, "a constant refers to data outside the .bin file")
    for port in root.iter("port"):
        sides = [int(side.text or 0) for side in port.iter("dim")]
        if math.prod(max(1, side) for side in sides) > LARGEST:
            raise refused(path, f"some of its tensors are too large, such as {sides}")


def _saved_model(path):
    """Inspect a SavedModel: reject links to files outside the folder, operators that access files, and huge shapes."""
    from tensorflow.core.protobuf import saved_model_pb2

    root = Path(path).resolve()
    for file in root.rglob("*"):
        if not file.resolve().is_relative_to(root):
            raise refused(path, f"{file.name!r} is a link to a file outside the folder")
    model = saved_model_pb2.SavedModel.FromString((root / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        nodes = [*graph.graph_def.node, *(node for one in graph.graph_def.library.function for node in one.node_def)]
        for node in nodes:
            if _OUTSIDE.search(node.op):
                raise refused(path, f"its operator {node.op!r} can access files or other resources")
            shape = node.attr["value"].tensor.tensor_shape if node.op == "Const" else None
            if shape is not None and math.prod(max(1, one.size) for one in shape.dim) > LARGEST:
                raise refused(path, "its tensors are too large")
        if _uses_checkpoints(graph):
            raise refused(path, "it reads or writes checkpoints during prediction")


def _uses_checkpoints(graph):
    """Return whether any part of a SavedModel's graph other than its saver can run checkpoint operators."""
    saver = {getattr(graph.saver_def, name).partition(":")[0] for name in ("save_tensor_name", "restore_op_name")}
    library = graph.graph_def.library.function
    writers = {one.signature.name for one in library if any(_CHECKPOINTS.search(node.op) for node in one.node_def)}
    nodes = [node for node in graph.graph_def.node if node.name not in saver]
    called = set(graph.object_graph_def.concrete_functions)
    for node in [*nodes, *(node for one in library for node in one.node_def)]:
        called |= {attribute.func.name for attribute in node.attr.values()}
        called |= {one.name for attribute in node.attr.values() for one in attribute.list.func}
    return bool(writers & called) or any(_CHECKPOINTS.search(node.op) for node in nodes)


_INSPECTORS = {"litert": inspect_litert, "onnx": _onnx, "openvino": _openvino, "saved_model": _saved_model}
