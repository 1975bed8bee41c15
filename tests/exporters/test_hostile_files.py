"""Damaged, foreign and tampered files are refused in one sentence, and nothing in them is run.

`predict`, `evaluate` and `serve` open exported files with `load_export`.
"""

import json
import shutil
import zipfile

import numpy as np
import pytest

import tlkeras

pytest.importorskip("ai_edge_litert")
from tlkeras.exporters.inspection import inspect
from tlkeras.exporters.litert_editing import opened, packed


def _tampered(plain, change):
    model, graph = opened(plain)
    change(model, graph)
    return packed(model)


def _custom(model, graph):
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
    model.operatorCodes[0].customCode = "FlexReadFile"


def _giant(model, graph):
    graph.tensors[graph.operators[2].outputs[0]].shape = [1 << 20, 1 << 20, 64]


def _short(model, graph):
    constant = next(one for one in model.buffers if one.data is not None and len(one.data) > 64)
    constant.data = constant.data[:8]


def _outside(model, graph):
    graph.operators[1].inputs = [10_000, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [(_custom, "custom operator"), (_giant, "too large"), (_short, "a constant has"), (_outside, "is damaged")],
)
def test_a_tampered_litert_file_is_refused(plain, tmp_path, change, message):
    path = tmp_path / "model.tflite"
    path.write_bytes(_tampered(plain, change))
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.load_export(path)


def test_an_archive_in_a_file_is_never_unpacked(exported, tmp_path, images):
    path = shutil.copy(exported[0] / "model.tflite", tmp_path / "model.tflite")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.txt", "outside")
    assert tlkeras.load_export(path).predict(images / "red" / "19.png")[0]["class"] == "red"
    assert [one.name for one in tmp_path.iterdir()] == ["model.tflite"] and not (tmp_path.parent / "evil.txt").exists()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("labels.json", " " * 5_000_000)
    with pytest.raises(tlkeras.InputError, match="is too large"):
        tlkeras.load_export(path)


def test_damaged_and_foreign_files_are_refused_in_one_sentence(plain, tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "model.tflite"
    for content in (b"", b"PK\x03\x04 no model", plain[: len(plain) // 2], plain[:8] + random.bytes(500)):
        path.write_bytes(content)
        with pytest.raises(tlkeras.InputError):
            inspect(path, "litert")
    (tmp_path / "model.xml").write_text('<!DOCTYPE net [<!ENTITY a "b">]><net/>')
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(tlkeras.InputError, match="declares entities"):
        inspect(tmp_path / "model.xml", "openvino")
    with pytest.raises(tlkeras.InputError, match="does not exist"):
        tlkeras.load_export(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('<layer type="Mine" version="extension"/>', "custom operator 'Mine'"),
        ('<layer type="Const" version="opset1"><data offset="0" size="99"/></layer>', r"data outside the \.bin"),
        (f'<layer type="Relu" version="opset1"><port>{"<dim>1048576</dim>" * 3}</port></layer>', "too large"),
    ],
)
def test_a_tampered_openvino_file_is_refused(tmp_path, layer, message):
    (tmp_path / "model.bin").write_bytes(b"")
    (tmp_path / "model.xml").write_text(f"<net><layers>{layer}</layers></net>")
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.load_export(tmp_path)


def _saved_model(folder, change):
    """Write a SavedModel with the functions `answer` and `save`, which only the saver calls, and change its graph."""
    proto = pytest.importorskip("tensorflow.core.protobuf.saved_model_pb2")
    model = proto.SavedModel()
    graph = model.meta_graphs.add()
    for name, op in (("answer", "Softmax"), ("save", "SaveV2")):
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name="only", op=op)
    graph.graph_def.node.add(name="saver", op="StatefulPartitionedCall").attr["f"].func.name = "save"
    graph.saver_def.save_tensor_name = "saver:0"
    graph.object_graph_def.concrete_functions["answer"].SetInParent()
    change(graph)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def _giant_constant(graph):
    node = graph.graph_def.node.add(name="giant", op="Const")
    node.attr["value"].tensor.tensor_shape.dim.add(size=1 << 40)


def _answer_saves(graph):
    graph.graph_def.library.function[0].node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = "save"


def _graph_saves(graph):
    graph.graph_def.node.add(name="second", op="StatefulPartitionedCall").attr["f"].func.name = "save"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: graph.graph_def.node.add(name="read", op="ReadFile"), "'ReadFile' can access files"),
        (lambda graph: graph.graph_def.library.function[0].node_def.add(op="EagerPyFunc"), "'EagerPyFunc' can access"),
        (_giant_constant, "too large"),
        (_answer_saves, "checkpoints"),
        (_graph_saves, "checkpoints"),
        (lambda graph: graph.object_graph_def.concrete_functions["save"].SetInParent(), "checkpoints"),
    ],
)
def test_a_saved_model_that_reaches_outside_is_refused(tmp_path, change, message):
    _saved_model(tmp_path, lambda graph: None)
    inspect(tmp_path, "saved_model")  # the saver may write
    _saved_model(tmp_path, change)
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.load_export(tmp_path)


def test_a_saved_model_with_a_link_to_a_file_outside_is_refused(tmp_path):
    folder = tmp_path / "saved_model"
    folder.mkdir()
    _saved_model(folder, lambda graph: None)
    (tmp_path / "secret").write_text("outside")
    (folder / "variables").symlink_to(tmp_path / "secret")
    with pytest.raises(tlkeras.InputError, match="link to a file outside"):
        tlkeras.load_export(folder)


@pytest.mark.parametrize("text", ["[1, 2]", "{", "[" * 100_000], ids=["list", "half", "deep"])
def test_labels_that_are_none_are_refused(plain, tmp_path, text):
    path = tmp_path / "model.tflite"
    path.write_bytes(plain)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.json", text)
    with pytest.raises(tlkeras.InputError, match=r"labels (in|of) .* (cannot be read|were not written by)"):
        tlkeras.load_export(path)


def test_onnx_that_reads_other_files_or_has_operators_of_its_own_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2])
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2])
    secret = onnx.TensorProto(name="c", data_type=onnx.TensorProto.FLOAT, dims=[2])
    secret.data_location = onnx.TensorProto.EXTERNAL
    secret.external_data.add(key="location", value="../../etc/passwd")
    giant = onnx.TensorProto(name="c", data_type=onnx.TensorProto.FLOAT, dims=[1 << 40])
    cases = [(secret, "", "reads data from other files"), (giant, "", "too large"), (None, "mine", "custom operators")]
    for constant, domain, message in cases:
        node = helper.make_node("Add", ["x", "x" if constant is None else "c"], ["y"], domain=domain)
        graph = helper.make_graph([node], "g", [value], [out], [] if constant is None else [constant])
        opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
        (tmp_path / "model.onnx").write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
        with pytest.raises(tlkeras.InputError, match=message):
            tlkeras.load_export(tmp_path)


def test_onnx_that_asks_for_terabytes_when_it_runs_is_refused(tmp_path):
    onnx, helper = pytest.importorskip("onnx"), pytest.importorskip("onnx.helper")
    pytest.importorskip("onnxruntime")
    shape = onnx.numpy_helper.from_array(np.array([1 << 40, 4], "int64"), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["giant"]),
        helper.make_node("ReduceSum", ["giant", "axis"], ["sums"], keepdims=0),
        helper.make_node("Cast", ["image"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["floats", "sums"], ["y"]),
    ]
    value = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 16, 16, 3])
    axis = onnx.numpy_helper.from_array(np.array([0, 1], "int64"), "axis")
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [value], [out], [shape, axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    labels = {"class_names": ["a"], "image_size": [16, 16], "resize": "stretch"}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(tlkeras.InputError, match=r"cannot be (run|opened)"):
        tlkeras.load_export(tmp_path)
