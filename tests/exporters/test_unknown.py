"""The "none of these" of a run in its exported files: same scores and same answers in every runtime."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

import tlkeras
from tlkeras.exporters.choice import choose
from tlkeras.exporters.litert import by_own_writer
from tlkeras.exporters.report import rows_text
from tlkeras.exporters.unknown_score import with_unknown_score
from tlkeras.exporters.verification import compare, failure
from tlkeras.models.heads import with_features

pytest.importorskip("ai_edge_litert")

#: Makes the score of an image differ by one known image where two distances are equal but for rounding.
ONE_IMAGE = 1 / 61 + 1e-6


@pytest.mark.backends
def test_the_layer_computes_what_the_rejector_computes(rejecting):
    folder, files, others = rejecting
    run = tlkeras.load_run(folder)
    pixels = tlkeras.read_images([*files, *others], 16)
    features = with_features(run.model).predict(pixels, verbose=0)[1]
    network = with_unknown_score(run.model, run.rejector)
    probabilities, scores = network.predict(pixels, verbose=0)
    np.testing.assert_allclose(scores[:, 0], run.rejector.unknown_scores(features), atol=ONE_IMAGE)
    np.testing.assert_allclose(probabilities, run.model.predict(pixels, verbose=0), atol=1e-6)
    assert run.rejector.exceeds(scores[-6:, 0]).all() and not run.rejector.exceeds(scores[:-6, 0]).all()
    content, why = by_own_writer(network)
    assert content is not None, why


@pytest.mark.skipif(find_spec("litert_quantizer") is None, reason="litert-quantizer is not installed")
def test_an_exported_file_answers_unknown_where_the_run_does(rejecting, tmp_path):
    folder, files, others = rejecting
    done = tlkeras.export(folder, tmp_path / "out", format="web", quantize="none", images=files[0].parents[1])
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert labels["unknown_threshold"] == pytest.approx(0.9, abs=1e-5)
    assert done.report["verified"]["unknown"] == done.report["verified"]["keras_unknown"] < 0.2
    assert "called unknown" in str(done) and "unknown_threshold" in (tmp_path / "out" / "index.html").read_text()
    paths = [*files[::7], *others]
    expected = tlkeras.load_run(folder).predict(paths, top_k=2, probabilities=True)
    answers = tlkeras.load_export(tmp_path / "out").predict(paths, top_k=2, probabilities=True)
    assert [one["class"] for one in answers] == [one["class"] for one in expected]
    assert [one["class"] for one in answers[-6:]] == ["unknown"] * 6
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer["unknown_score"] == pytest.approx(wanted["unknown_score"], abs=ONE_IMAGE)
        assert answer["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
    evaluated = tlkeras.load_export(tmp_path / "out").evaluate(files[0].parents[1])
    assert evaluated["scores"]["accuracy"] == 1.0  # rejection does not count
    with pytest.raises(tlkeras.InputError, match="its unknown score needs floating point"):
        tlkeras.export(folder, tmp_path / "second", quantize="full_int8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "quantize"),
    [("litert", "dynamic_int8"), ("onnx", "none"), ("saved_model", "none")],  # OpenVINO: test_formats.py
)
def test_every_runtime_answers_unknown(rejecting, tmp_path, format, quantize):
    pytest.importorskip(
        {"litert": "litert_quantizer", "saved_model": "tensorflow", "onnx": "tf2onnx"}.get(format, format)
    )
    folder, files, others = rejecting
    done = tlkeras.export(folder, tmp_path / "out", format=format, quantize=quantize, images=files[0].parents[1])
    verified = done.report["verified"]
    assert quantize != "none" or (verified["agreement"] == 1.0 and verified["largest_difference"] < 1e-4)
    expected = tlkeras.load_run(folder).predict([*files, *others])
    (tmp_path / "out" / "labels.json").unlink()  # the file itself has them
    answers = tlkeras.load_export(done.path).predict([*files, *others])
    same = np.mean([one["class"] == other["class"] for one, other in zip(answers, expected, strict=True)])
    assert same >= 0.95 and [one["class"] for one in answers[-6:]] == ["unknown"] * 6


@pytest.mark.skipif(find_spec("litert_quantizer") is None, reason="litert-quantizer is not installed")
def test_int8_features_that_lie_too_far_from_the_known_images_are_noticed(rejecting, tmp_path):
    folder, files, _ = rejecting  # six features, within which the images of a color hardly differ
    with pytest.raises(tlkeras.InputError, match=r"of the images are called unknown, 0\.0% in Keras"):
        tlkeras.export(folder, tmp_path / "out", quantize="int8", images=files[0].parents[1])


def test_a_file_that_calls_too_many_images_unknown_fails():
    class Subject:
        truth, labels = None, {"class_names": ["a", "b"], "unknown_threshold": 0.9}

    expected = np.tile([0.8, 0.2, 0.5], (100, 1))
    answers = expected.copy()
    answers[:2, 2] = 0.95
    result = compare(answers, expected, Subject)
    assert (result["unknown_agreement"], result["unknown"], result["keras_unknown"]) == (0.98, 0.02, 0.0)
    assert result["agreement"] == 1.0  # of the classes
    assert failure(result, None) is None
    answers[:12, 2] = 0.95
    assert "12.0% of the images are called unknown, 0.0% in Keras" in failure(compare(answers, expected, Subject), None)


def test_a_reason_that_several_files_share_is_given_once_and_plain_weights_are_not_said_to_win_alone():
    row = {"quantization": "none", "bytes": 9, "ms_1": 1.0, "agreement": 1.0}
    refused = [{"quantization": name, "refused": "It is missing."} for name in ("float16", "int8")]
    assert rows_text([row, *refused]).endswith("Not written: float16, int8: It is missing.")
    assert choose({"none": {**row, "largest_difference": 0.0, "milliseconds": {1: 1.0}}}, None) == (
        "none",
        "Plain float32, because nothing smaller was measured.",
    )


@pytest.mark.parametrize(("key", "share"), [("agreement", 0.96), ("unknown_agreement", 0.96), ("agreement", 0.97)])
def test_auto_asks_for_the_same_classes_and_the_same_decisions_on_unknown_images(key, share):
    plain = {"agreement": 1.0, "unknown_agreement": 1.0, "largest_difference": 0.0, "milliseconds": {1: 9.0}}
    plain |= {"unknown": 0.05, "keras_unknown": 0.05, "unknown_interval": [-0.01, 0.01], "drop": 0.0}
    measured = {"none": {**plain, "bytes": 100}, "int8": {**plain, key: share, "bytes": 30}}
    assert choose(measured, None)[0] == ("none" if share < 0.97 else "int8")
