"""An exported file predicts and evaluates like a run."""

import json
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import tlkeras
from tlkeras.cli import app

pytest.importorskip("ai_edge_litert")


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
    with pytest.raises(tlkeras.InputError, match="does not contain a Keras model"):
        file.model  # noqa: B018
    shown = CliRunner().invoke(app, ["evaluate", str(exported[0]), str(images)])
    assert shown.exit_code == 0 and "does not record its training images" in shown.output


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
    with pytest.raises(tlkeras.InputError, match="has no labels, either inside it or next to it"):
        tlkeras.load_export(tmp_path)
    shutil.copy(exported[0] / "labels.json", tmp_path)
    assert tlkeras.load_export(tmp_path).predict(images / "red" / "19.png")[0]["class"] == "red"
    labels = json.loads((tmp_path / "labels.json").read_text())
    for wrong in ({"class_names": "blue"}, {"image_size": [0, 16]}, {"resize": "../x"}, {"thresholds": [0.5]}):
        (tmp_path / "labels.json").write_text(json.dumps({**labels, **wrong}))
        with pytest.raises(tlkeras.InputError, match="were not written by `tlkeras export`"):
            tlkeras.load_export(tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps({**labels, "image_size": [32, 32]}))
    with pytest.raises(tlkeras.InputError, match="but its labels specify"):
        tlkeras.load_export(tmp_path)
