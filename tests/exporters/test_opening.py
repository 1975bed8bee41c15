"""An exported file predicts and evaluates like a run; hostile and damaged files are refused and not opened."""

import json
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import tlkeras

pytest.importorskip("ai_edge_litert")
from tlkeras.exporters.inspection import inspect
from tlkeras.exporters.litert_editing import opened, packed
from tlkeras.features.engines.litert_writer import write_litert


@pytest.fixture(scope="module")
def plain(run_folder):
    return write_litert(tlkeras.load_run(run_folder).model, "uint8", ("probabilities",))


def test_predict_and_evaluate_take_a_file_as_they_take_a_run(exported, run_folder, images, tmp_path):
    run, file = tlkeras.load_run(run_folder), tlkeras.load_export(exported[0])
    expected, answers = run.predict(images, top_k=2), file.predict(images, top_k=2)
    assert [one["path"] for one in answers] == [one["path"] for one in expected]
    assert [one["class"] for one in answers] == [one["class"] for one in expected]
    assert sorted(answers[0]) == ["class", "path", "probability", "top"]
    assert file.predict(images, output=tmp_path / "answers.csv") == []
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 61
    scores = tlkeras.load_export(exported[0] / "model.tflite").evaluate(images)
    assert scores["scores"]["accuracy"] == 1.0 and scores["scores"]["majority_class"] == "green"
    assert scores["seen_in_training"] is None and run.evaluate(images)["seen_in_training"] == 30
    with pytest.raises(tlkeras.InputError, match="holds no Keras model"):
        file.model  # noqa: B018


def test_the_commands_take_a_file_and_do_not_load_keras(exported, images, tmp_path, capsys):
    script = """if True:
        import sys, tlkeras.cli
        sys.argv = ["tlkeras", *sys.argv[1:]]
        try:
            tlkeras.cli.main()
        except SystemExit as end:
            assert not end.code, end.code
        assert not {"keras", "tensorflow", "sklearn"} & set(sys.modules)
    """
    command = [sys.executable, "-c", script, "predict", str(exported[0]), str(images / "red"), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answers = json.loads(done.stdout)["predictions"]
    assert len(answers) == 20 and {one["class"] for one in answers} == {"red"}


def test_a_file_without_labels_takes_those_beside_it_or_is_refused(plain, exported, images, tmp_path):
    (tmp_path / "model.tflite").write_bytes(plain)
    with pytest.raises(tlkeras.InputError, match="has no labels inside or beside it"):
        tlkeras.load_export(tmp_path)
    shutil.copy(exported[0] / "labels.json", tmp_path)
    assert tlkeras.load_export(tmp_path).predict(images / "red" / "19.png")[0]["class"] == "red"
    labels = json.loads((tmp_path / "labels.json").read_text())
    for wrong in ({"class_names": "blue"}, {"image_size": [0, 16]}, {"resize": "../x"}, {"thresholds": [0.5]}):
        (tmp_path / "labels.json").write_text(json.dumps({**labels, **wrong}))
        with pytest.raises(tlkeras.InputError, match="were not written by `tlkeras export`"):
            tlkeras.load_export(tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps({**labels, "image_size": [32, 32]}))
    with pytest.raises(tlkeras.InputError, match="its labels say"):
        tlkeras.load_export(tmp_path)


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
    [(_custom, "custom operator"), (_giant, "too large"), (_short, "a constant of"), (_outside, "is damaged")],
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
    layer = '<layer type="Const" version="opset1"><data offset="0" size="99"/></layer>'
    (tmp_path / "model.xml").write_text(f"<net><layers>{layer}</layers></net>")
    with pytest.raises(tlkeras.InputError, match=r"lies outside its \.bin"):
        inspect(tmp_path / "model.xml", "openvino")
    with pytest.raises(tlkeras.InputError, match="There is no file"):
        tlkeras.load_export(tmp_path / "none.onnx")


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


@pytest.mark.slow
def test_code_in_a_model_is_neither_run_nor_exported(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Lambda(lambda x: x * 1.0, name="mine")])
    with pytest.raises(tlkeras.InputError, match=r"cannot be exported: .*[Ll]ambda"):
        tlkeras.export(model, tmp_path / "out")
