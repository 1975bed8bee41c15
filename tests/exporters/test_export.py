"""Exported files answer like Keras, say what they mean, and are not kept if they do not."""

import json
import zipfile
from importlib.util import find_spec

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.exporters.options import QUANTIZATIONS
from tlkeras.runs.images import digest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert.interpreter import Interpreter

quantizer = pytest.mark.skipif(find_spec("litert_quantizer") is None, reason="litert-quantizer is not installed")

L = keras.layers


def answers_of(path, pixels):
    """Run a LiteRT file by its signature, as a phone does."""
    run = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    return np.concatenate([run(image=image[None])["probabilities"] for image in pixels])


@pytest.fixture(scope="module")
def pixels(images):
    paths = sorted(images.rglob("*.png"))
    return tlkeras.read_images(paths, 16), [path.parent.name for path in paths]


@pytest.mark.backends
def test_the_file_takes_raw_pixels_and_answers_as_keras_does(exported, run_folder, pixels):
    folder, done = exported
    model = keras.saving.load_model(run_folder / "model.keras")
    expected = model.predict(pixels[0], verbose=0)
    answers = answers_of(folder / "model.tflite", pixels[0])
    assert np.mean(answers.argmax(1) == expected.argmax(1)) >= 0.97
    assert np.abs(answers - expected).max() <= 0.2
    names = json.loads((folder / "labels.json").read_text())["class_names"]
    assert [names[number] for number in expected.argmax(1)] == pixels[1]
    assert (folder / "labels.txt").read_text().split() == names
    assert done.path == folder / "model.tflite" and done.report == json.loads((folder / "export.json").read_text())


@quantizer
def test_what_is_verified_is_what_the_run_has_not_learned_from(exported, images, run_folder):
    report = exported[1].report
    learned = set(json.loads((run_folder / "metrics.json").read_text())["data"]["learned"].values())
    assert report["images"]["count"] == sum(digest(path) not in learned for path in images.rglob("*.png")) == 30
    assert report["images"]["what"] == "held-out images" and report["images"]["seen_in_training"] == 0
    assert report["images"]["calibrated_on"] == 30
    assert [row["quantization"] for row in report["candidates"]] == list(QUANTIZATIONS["litert"][:4])
    plain, chosen = report["candidates"][0], report["verified"]
    assert plain["agreement"] == 1.0 and plain["largest_difference"] < 1e-5
    assert report["candidates"][1]["agreement"] == 1.0  # float16
    assert plain["drop_interval"][0] <= plain["drop"] <= plain["drop_interval"][1]
    assert plain["lost"] == plain["gained"] == 0
    assert chosen["lost"] - chosen["gained"] == round(chosen["drop"] * 30)
    assert chosen["keras_accuracy"] == 1.0 and {one["images"] for one in chosen["classes"]} == {10}
    assert {"ms_1", "ms_2"} <= set(plain) and "float32" in report["why"]
    text = str(exported[1])
    assert "Verified on 30 held-out images" in text and "float16" in text


def test_labels_lie_inside_the_file_in_the_way_that_other_tools_read(exported):
    path = exported[0] / "model.tflite"
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().split() == ["blue", "green", "red"]
        inside = json.loads(archive.read("labels.json"))
    assert inside == json.loads((exported[0] / "labels.json").read_text())
    assert inside["provenance"]["run"] == {
        "name": "run",
        "backbone": "none",
        "accuracy": 1.0,
        "measured_by": "held-out images",
    }
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes())
    entry = model.Metadata(0)
    described = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert entry.Name() == b"TFLITE_METADATA" and described[4:8] == b"M001"
    assert b"labels.txt" in described and b"probabilities" in described


@quantizer
def test_full_int8_has_no_float_anywhere(run_folder, tmp_path, pixels):
    done = tlkeras.export(run_folder, tmp_path / "out", quantize="full_int8")
    details = Interpreter(model_path=str(done.path)).get_tensor_details()
    assert not {one["dtype"] for one in details} & {np.float32, np.float16}
    answers = answers_of(done.path, pixels[0])
    assert answers.dtype == np.uint8
    plain = keras.saving.load_model(run_folder / "model.keras").predict(pixels[0], verbose=0)
    assert np.mean(answers.argmax(1) == plain.argmax(1)) >= 0.95
    assert np.abs(answers / 255 - plain).max() <= 0.2


@quantizer
def test_int8_keeps_the_head_in_float(run_folder, tmp_path):
    done = tlkeras.export(run_folder, tmp_path / "out", quantize="int8")
    interpreter = Interpreter(model_path=str(done.path))
    types = {one["index"]: one["dtype"] for one in interpreter.get_tensor_details()}
    weights = {
        one["op_name"]: types[one["inputs"][1]] for one in interpreter._get_ops_details() if len(one["inputs"]) > 1
    }
    assert weights["FULLY_CONNECTED"] is np.float32 and weights["CONV_2D"] is np.int8
    assert done.report["why"].startswith("Requested explicitly. int8 takes")


@quantizer
def test_a_file_that_loses_too_much_fails_names_layers_and_leaves_nothing(run_folder, tmp_path, monkeypatch):
    from tlkeras.exporters import litert

    def ruined(content, name, calibration):
        from tlkeras.exporters.litert_quantization import quantize

        result = bytearray(quantize(content, name, calibration))
        from tlkeras.exporters.litert_editing import opened, packed

        model, graph = opened(bytes(result))
        head = next(one for one in graph.tensors if one.shape is not None and tuple(one.shape) == (3, 6))
        model.buffers[head.buffer].data = model.buffers[head.buffer].data[::-1].copy()
        return packed(model)

    monkeypatch.setattr(litert, "quantize", ruined)
    with pytest.raises(tlkeras.InputError, match=r"accuracy drops .* from 1.000 to .* change most: predictions"):
        tlkeras.export(run_folder, tmp_path / "out", quantize="int8")
    assert not list(tmp_path.iterdir())
    chosen = tlkeras.export(run_folder, tmp_path / "out", quantize="auto")  # which takes what is not ruined
    assert chosen.report["quantization"] == "none"


@quantizer
def test_images_that_are_gone_are_named_and_others_are_taken(run_folder, images, tmp_path):
    import shutil

    copy = shutil.copytree(run_folder, tmp_path / "run")
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics["data"]["source"] = str(tmp_path / "gone")
    (copy / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(tlkeras.InputError, match=r"`images` must be given, because .* no longer at"):
        tlkeras.export(copy, tmp_path / "out")
    (copy / "report.html").write_text("<main><!-- exports --></main>")
    report = tlkeras.export(copy, tmp_path / "out", images=images, quantize="int8").report
    assert 'id="export-litert"' in (copy / "report.html").read_text()
    assert report["images"]["what"] == "given images" and report["images"]["calibrated_on"] == 15
    assert 0 < report["images"]["seen_in_training"] < report["images"]["count"] == 45


def test_a_run_that_learned_from_all_images_is_verified_on_some_of_them(run_folder, images, tmp_path, monkeypatch):
    import shutil

    copy = shutil.copytree(run_folder, tmp_path / "run")
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics["data"]["learned"] = {str(path): digest(path) for path in images.rglob("*.png")}
    (copy / "metrics.json").write_text(json.dumps(metrics))
    for limit, count in ((500, 45), (20, 20)):  # 15 of the 60 calibrate
        monkeypatch.setattr("tlkeras.exporters.subject.VERIFIED", limit)
        found = tlkeras.export(copy, tmp_path / f"out{limit}", quantize="none").report["images"]
        assert (found["what"], found["calibrated_on"]) == ("images that the run was trained on", 15)
        assert found["count"] == found["seen_in_training"] == count


@pytest.mark.backends
def test_a_model_without_a_run_is_verified_on_noise_and_not_quantized_without_images(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), L.GlobalMaxPooling2D(), L.Dense(2, activation="sigmoid")])
    done = tlkeras.export(model, tmp_path / "out", class_names=["cat", "dog"])
    assert done.report["images"]["what"] == "noise images" and done.report["verified"]["agreement"] == 1.0
    assert "drop" not in done.report["verified"]
    with pytest.raises(tlkeras.InputError, match="to litert with quantize='int8': calibration needs images"):
        tlkeras.export(model, tmp_path / "second", quantize="int8")
    with pytest.raises(tlkeras.InputError, match="`class_names` must contain 2 names"):
        tlkeras.export(model, tmp_path / "third", class_names=["cat"])
    with pytest.raises(tlkeras.InputError, match=r"`model` must be a run or a keras\.Model"):
        tlkeras.export(keras.Sequential([keras.Input((None, None, 3)), L.GlobalMaxPooling2D()]), tmp_path / "fourth")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_is_replaced_only_if_asked_and_other_files_never(exported, run_folder, tmp_path):
    with pytest.raises(tlkeras.InputError, match="Pass --overwrite"):
        tlkeras.export(run_folder, exported[0])
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(tlkeras.InputError, match="contains other files"):
        tlkeras.export(run_folder, tmp_path, overwrite=True)
    done = tlkeras.export(run_folder, exported[0], quantize="none", overwrite=True)
    assert done.report["quantization"] == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "coreml"}, "`format` must be 'litert', 'onnx', 'openvino', 'saved_model' or 'web'"),
        ({"quantize": "int4"}, "`quantize` must be"),
        ({"format": "onnx", "quantize": "full_int8"}, "for onnx"),
        ({"batch": 0}, "`batch` must be an integer >= 1"),
        ({"batch": None, "quantize": "int8"}, "be 1 with quantize='int8'"),
        ({"max_drop": 2}, "`max_drop` must be a number in"),
    ],
)
def test_choices_that_do_not_exist_are_refused_before_anything_is_read(tmp_path, options, message):
    with pytest.raises(tlkeras.InputError, match=message.replace("(", r"\(")):
        tlkeras.export("no run", tmp_path / "out", **options)
