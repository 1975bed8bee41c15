"""A run answers any number of images in order, into a file, by LiteRT without Keras."""

import csv
import io
import json
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

import tlkeras
from tlkeras.data.tables import read_table
from tlkeras.runs.folder import written_run
from tlkeras.runs.run import Run

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Write the run of a model with random weights."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    folder = tmp_path_factory.mktemp("runs") / "run"
    with written_run(folder, Run(model, CLASSES, (16, 16), "stretch")) as part:
        (part / "metrics.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Write 20 noisy images, and an empty file as the third of the folder."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "below").mkdir()
    generator = np.random.default_rng(0)
    for number in range(20):
        pixels = generator.integers(0, 256, (20, 20, 3), "uint8")
        Image.fromarray(pixels).save(folder / ("below" if number > 9 else "") / f"{number:02}.png")
    (folder / "below" / "11.png").write_bytes(b"")
    return folder


def expected(run_folder, paths):
    model = keras.saving.load_model(run_folder / "model.keras")
    return model.predict(tlkeras.read_images(paths, 16), verbose=0)


def main(*arguments):
    """Run the command line and return its exit status."""
    from tlkeras import cli

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tlkeras", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code or 0


def test_answers_are_those_of_keras_in_order_and_do_not_need_it(run_folder, images):
    script = """if True:
        import json, sys
        import tlkeras
        run = tlkeras.load_run(sys.argv[1])
        print(json.dumps(run.predict(sys.argv[2], probabilities=True)))
        assert not {"keras", "tensorflow", "sklearn", "matplotlib"} & set(sys.modules)
    """
    command = [sys.executable, "-c", script, str(run_folder), str(images)]
    answers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    paths = sorted(map(str, images.rglob("*.png")))
    assert [one["path"] for one in answers] == paths
    assert [one["path"] for one in answers if "error" in one] == [str(images / "below" / "11.png")]
    readable = [one for one in answers if "error" not in one]
    of_keras = expected(run_folder, [one["path"] for one in readable])
    given = np.array([[one["probabilities"][name] for name in CLASSES] for one in readable])
    np.testing.assert_allclose(given, of_keras, rtol=0, atol=1e-5)
    assert [one["class"] for one in readable] == [CLASSES[number] for number in of_keras.argmax(axis=1)]


def test_a_model_that_was_replaced_or_changed_is_not_answered_by_the_old_litert_file(run_folder, images, tmp_path):
    run = tlkeras.load_run(shutil.copytree(run_folder, tmp_path / "run"))
    path = images / "00.png"
    before = run.predict(path, probabilities=True)[0]["probabilities"]
    run.model.layers[-1].bias.assign([0.0, 5.0, 0.0])
    changed = run.predict(path, probabilities=True)[0]["probabilities"]
    assert changed["green"] > 0.9 > before["green"]
    run.model.save(tmp_path / "run" / "model.keras")
    replaced = tlkeras.load_run(tmp_path / "run").predict(path, probabilities=True)[0]["probabilities"]
    assert replaced == pytest.approx(changed, abs=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_of_answers_has_a_row_per_image_in_order_and_errors_in_their_place(
    run_folder, images, tmp_path, capsys, suffix
):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"answers{suffix}"
    paths = [images / "below", images / "0*.png", tmp_path / "missing.png"]
    options = ["-o", output, "--top-k", 2, "--probabilities"]
    assert main("predict", run_folder, *options, *paths) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "11.png': it is empty" in captured.err and "missing.png" in captured.err
    rows = read_table(output).rows
    answers = tlkeras.load_run(run_folder).predict(paths, top_k=2, probabilities=True)
    named = [*(f"below/{number}.png" for number in range(10, 20)), *(f"0{number}.png" for number in range(10))]
    assert [row["path"] for row in rows] == [str(images / name) for name in named] + [str(tmp_path / "missing.png")]
    assert [bool(row["error"]) for row in rows] == ["error" in one for one in answers]
    if suffix == ".jsonl":
        assert [{name: value for name, value in row.items() if value is not None} for row in rows] == answers
        return
    for row, answer in zip(rows, answers, strict=True):
        if "error" not in answer:
            assert [row["class"], row["class_2"]] == [one["class"] for one in answer["top"]]
            assert float(row["probability_2"]) == answer["top"][1]["probability"]
            assert [float(row[f"probability of {name}"]) for name in CLASSES] == list(answer["probabilities"].values())


def test_a_list_on_stdin_is_answered_line_by_line(run_folder, images, monkeypatch, capsys):
    names = [images / "05.png", images / "02.png"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{name}\n" for name in names)))
    assert main("predict", run_folder, "-", "--top-k", 3) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines(), delimiter="\t"))
    assert [row[0] for row in rows] == list(map(str, names))
    assert all(sorted(row[1::2]) == sorted(CLASSES) for row in rows)
    shares = [[float(share) for share in row[2::2]] for row in rows]
    assert all(row == sorted(row, reverse=True) for row in shares)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main("predict", run_folder, "-") == 2


def test_what_cannot_be_read_is_status_2_only_if_it_is_all(run_folder, images, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    bad = [tmp_path / "folder", tmp_path / "*.jpg", images / "below" / "11.png"]
    assert main("predict", run_folder, *bad, "-o", tmp_path / "answers.csv") == 2
    assert len(read_table(tmp_path / "answers.csv").rows) == 3
    assert "the folder contains no images" in capsys.readouterr().err
    assert main("predict", run_folder, *bad, images / "00.png") == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [(["-o", "answers.xlsx"], "end in .csv"), (["--top-k", 4], "top_k"), (["-o", "."], "end in .csv")],
)
def test_bad_options_are_refused_and_leave_nothing(run_folder, images, tmp_path, monkeypatch, capsys, options, named):
    monkeypatch.chdir(tmp_path)
    assert main("predict", run_folder, images, *options) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_files_of_other_kinds_in_a_folder_are_left_out_and_counted(run_folder, images, tmp_path, capsys):
    for name in ("notes.txt", "labels.csv", "old.zip", "ahead.jpg", "noname"):
        (tmp_path / name).write_text("no image")
    shutil.copy(images / "00.png", tmp_path / "00.png")
    assert main("predict", run_folder, tmp_path) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{tmp_path / '00.png'}\t") and captured.out.count("\n") == 1
    assert "Skipped 3 files that are not images (.csv, .txt, .zip)" in captured.err
    assert "ahead.jpg" in captured.err and "noname" in captured.err and captured.err.count("Cannot read") == 2
    assert main("predict", run_folder, tmp_path / "notes.txt") == 2  # named by the user
    assert "Cannot read" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_interrupted_file_of_answers_is_continued_and_no_answer_computed_twice(
    run_folder, images, tmp_path, monkeypatch, suffix
):
    run, paths = tlkeras.load_run(run_folder), [*sorted(images.rglob("*.png"))] * 20
    options = {"top_k": 2, "batch_size": 4}
    errors = run.predict(paths, output=tmp_path / f"whole{suffix}", **options)
    read, original = [], tlkeras.runs.predicting.read_image

    def interrupted(*arguments):
        read.append(arguments[0])
        if len(read) == 200:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(tlkeras.runs.predicting, "read_image", interrupted)
    output = tmp_path / f"answers{suffix}"
    with pytest.raises(KeyboardInterrupt):
        run.predict(paths, output=output, **options)
    unfinished = tmp_path / f".{output.name}.unfinished"
    assert not output.exists()
    answered = unfinished.read_text().count("\n") - 1
    assert 50 <= answered < 200
    with unfinished.open("a") as file:
        file.write('{"path": "torn')
    for other in ({"top_k": 1}, {"probabilities": True}):
        with pytest.raises(tlkeras.InputError, match="a call with different arguments"):
            run.predict(paths, output=output, resume=True, **(options | other))
    with pytest.raises(tlkeras.InputError, match="images"):
        run.predict(paths[1:], output=output, resume=True, **options)
    read.clear()
    monkeypatch.setattr(
        tlkeras.runs.predicting, "read_image", lambda *arguments: read.append(1) or original(*arguments)
    )
    assert run.predict(paths, output=output, resume=True, **options) == errors
    assert len(read) == len(paths) - answered
    assert output.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not unfinished.exists()


@pytest.mark.slow
def test_predict_that_is_killed_goes_on_with_the_same_command(run_folder, images, tmp_path, children):
    slow = """if True:
        import sys, time
        import tlkeras.runs.predicting as predicting
        from tlkeras import cli
        original = predicting.read_image
        predicting.read_image = lambda *arguments: time.sleep(0.02) or original(*arguments)
        cli.main()
    """
    many = tmp_path / "many"
    for number in range(20):
        shutil.copytree(images, many / str(number))
    arguments = ["predict", str(run_folder), str(many), "--batch-size", "4", "--resume", "-o"]
    output, kills = tmp_path / "answers.csv", 0
    unfinished = tmp_path / ".answers.csv.unfinished"
    while not output.exists() and kills < 20:
        before = unfinished.stat().st_size if unfinished.exists() else 0
        process = children.start(slow, *arguments, output)
        while process.poll() is None and not (unfinished.exists() and unfinished.stat().st_size > before + 2000):
            time.sleep(0.05)
        process.kill()
        kills += 1
    assert kills > 2
    assert main("predict", run_folder, many, "-o", tmp_path / "whole.csv") == 0
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_few_images_are_in_memory_at_a_time(run_folder, images, monkeypatch):
    run = tlkeras.load_run(run_folder)
    read = []
    original = tlkeras.runs.predicting.read_image

    def counted(*arguments):
        read.append(arguments[0])
        return original(*arguments)

    monkeypatch.setattr(tlkeras.runs.predicting, "read_image", counted)
    answers = run.probabilities([images / "00.png"] * 2000)
    next(answers)
    time.sleep(0.3)
    assert len(read) < 500
    assert len(list(answers)) == 1999
