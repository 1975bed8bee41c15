"""The command line does the main job, and answers bad input with one sentence and exit status 2."""

import errno
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tlkeras
from tlkeras import cli
from tlkeras.cli import runs
from tlkeras.runs.folder import written_run
from tlkeras.runs.run import Run
from tlkeras.selection import by_fine_tuning, candidates, on_features
from tlkeras.utils.store import DiskStore

COLORS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


def _image(color, seed):
    """A noisy patch: no two are near-duplicates, and color alone tells the class."""
    blocks = np.random.default_rng(seed).integers(0, 56, (6, 6, 1))
    return Image.fromarray((np.kron(blocks, np.ones((8, 8, 1))) + np.array(color)).clip(0, 255).astype("uint8"))


def _folder(root, images=5):
    for number, (name, color) in enumerate(COLORS.items()):
        (root / name).mkdir(parents=True)
        for i in range(images):
            _image(color, 100 * number + i).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return _folder(tmp_path_factory.mktemp("data") / "colors")


@pytest.fixture(scope="module", autouse=True)
def _small_network():
    """The mean color, in place of a backbone: enough to tell the colors apart, and quick."""
    extractor = on_features.FeatureExtractor

    def network():
        inputs = keras.Input((32, 32, 3))
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs)))

    def small(backbone, image_size, **options):
        assert image_size == (32, 32)
        return extractor(network(), image_size=image_size, engine="keras", **options)

    def classifier(backbone, classes, **options):
        trunk = network()
        x = keras.layers.Dense(8, activation="relu")(trunk.output)
        return keras.Model(trunk.input, keras.layers.Dense(len(classes), activation="softmax", name="predictions")(x))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_features, "FeatureExtractor", small)
        patch.setattr(candidates, "FeatureExtractor", small)
        patch.setattr(by_fine_tuning, "image_classifier", classifier)
        yield


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A run trained on the colors; tests only read it."""
    output = tmp_path_factory.mktemp("runs") / "colors"
    status = _main("fit", folder, "--output", output, "--image-size", 32)
    assert status == 0
    return output


def _main(*arguments):
    """Runs the command line in this process and gives its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tlkeras", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code or 0


def test_fit_writes_a_whole_run(run):
    names = {"model.keras", "model.tflite", "labels.json", "metrics.json", "confusion.png", "log.jsonl"}
    names |= {"report.html", "model_card.md"}
    assert {path.name for path in run.iterdir()} == names
    assert not list(run.parent.glob(".*"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["scores"]["accuracy"] > 0.8
    assert metrics["scores"]["majority_accuracy"] == pytest.approx(1 / 3)
    assert json.loads((run / "labels.json").read_text())["class_names"] == ["blue", "green", "red"]
    assert len(metrics["data"]["learned"]) == 15
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [event["phase"] for event in events] == ["load", "features", "probe", "done"]
    assert events[1]["images"] == 15 and events[1]["seconds"] > 0


@pytest.mark.slow
def test_the_runs_model_opens_with_keras_alone_and_answers_alike(run, folder, capsys, children):
    image = folder / "green" / "1.png"
    assert _main("predict", run, image, "--probabilities", "--json") == 0
    answer = json.loads(capsys.readouterr().out)["predictions"][0]
    script = """if True:
        import sys, json, keras, numpy
        from PIL import Image
        pixels = numpy.asarray(Image.open(sys.argv[2]).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
        model = keras.saving.load_model(sys.argv[1])
        print(json.dumps(model.predict(pixels[None], verbose=0)[0].tolist()))
        assert "tlkeras" not in sys.modules
    """
    output = children.run(script, run / "model.keras", image)
    assert json.loads(output.splitlines()[-1]) == pytest.approx(list(answer["probabilities"].values()), abs=1e-6)


@pytest.mark.parametrize(
    ("refit", "images", "error", "explained"),
    [
        ("--refit", "15 images in 5-fold cross-validation", "0.070", "The final model was trained on all 15"),
        ("--no-refit", "3 held-out", "0.171", "was trained on 9"),
    ],
)
def test_fit_prints_what_the_number_is_of_its_error_and_the_baseline(
    folder, tmp_path, capsys, refit, images, error, explained
):
    assert _main("fit", folder, "-o", tmp_path / "run", "--image-size", 32, refit) == 0
    *_, line, of, expected, _ = capsys.readouterr().out.splitlines()
    assert f"Accuracy on {images}" in line and f"1.000 ± {error} (standard error)" in line
    assert "always predicting" in line and "0.333" in line
    assert explained in of
    assert expected.endswith("(95% prediction interval).")


def test_json_is_all_there_is_on_stdout_and_quiet_says_nothing(folder, tmp_path, capsys):
    assert _main("fit", folder, "-o", tmp_path / "run", "--image-size", 32, "--json", "--quiet") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert captured.err.splitlines() == ["Loading Keras ..."]


@pytest.mark.parametrize("strategy", ["finetune", "auto"])
def test_fine_tuning_strategies_write_a_run_too(folder, tmp_path, capsys, strategy):
    options = ["--image-size", 32, "--strategy", strategy, "--epochs", 1, "--minutes", 1, "--calibrate", "--json"]
    assert _main("fit", folder, "-o", tmp_path / "run", *options) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["strategy"] == strategy and metrics["measured"]["learned_from"] == 15
    assert metrics["measured"]["by"] == "held-out images"
    assert metrics["calibration"]["after"]["accuracy"] == metrics["calibration"]["before"]["accuracy"]
    assert metrics["calibration"]["temperature"] > 0
    choices = metrics["choices"]
    assert choices["kept"] == "features" if strategy == "auto" else 0 <= choices["average_with_probe"] <= 1
    phases = [json.loads(line)["phase"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert phases[0] == "load" and phases[-1] == "done" and ("plan" in phases) == (strategy == "finetune")
    assert _main("predict", tmp_path / "run", folder / "red" / "0.png") == 0


def test_with_reject_an_image_of_no_known_class_is_answered_unknown_with_its_score(tmp_path, capsys):
    colors = _folder(tmp_path / "colors", images=12)
    _image((190, 190, 30), 7).save(tmp_path / "yellow.png")
    assert _main("fit", colors, "-o", tmp_path / "run", "--image-size", 32, "--reject") == 0
    out = capsys.readouterr().out
    assert "were recognized as 'unknown', with 5% false alarms" in out and "rejection.npz" in out
    images = [tmp_path / "yellow.png", colors / "red" / "0.png"]
    assert _main("predict", tmp_path / "run", *images) == 0
    yellow, red = (line.split("\t")[1:] for line in capsys.readouterr().out.splitlines())
    assert yellow[0] == "unknown" and float(yellow[1]) >= 0.95 and red[0] == "red"


def test_shifted_images_stand_beside_clean_ones_in_one_table(run, folder, tmp_path, capsys):
    swapped = _folder(tmp_path / "swapped")
    (swapped / "red").rename(swapped / "other")
    (swapped / "green").rename(swapped / "red")
    (swapped / "other").rename(swapped / "green")
    assert _main("evaluate", run, "--shifted", swapped, "--json") == 0  # clean images are those of training
    result = json.loads(capsys.readouterr().out)
    clean, shifted = result["domains"]
    assert result["seen_in_training"] == 15 and clean["name"] == "clean, as measured in training"
    measured = json.loads((run / "metrics.json").read_text())["scores"]["accuracy"]
    assert (clean["accuracy"], shifted["accuracy"]) == (measured, pytest.approx(1 / 3))
    new = tmp_path / "new"
    for name, color in COLORS.items():
        (new / name).mkdir(parents=True)
        for i in range(3):
            _image(color, 900 + i).save(new / name / f"{i}.png")
    assert _main("evaluate", run, new, "--shifted", swapped) == 0
    table = capsys.readouterr().out
    assert [line.split("  ")[0] for line in table.splitlines()[1:6]] == [
        "clean", "clean, noise", "clean, dark", "clean, blur", "shifted (swapped)",
    ]  # fmt: skip
    (swapped / "red").rename(swapped / "pink")
    assert _main("evaluate", run, new, "--shifted", swapped) == 2
    assert "has the class 'pink'" in capsys.readouterr().err
    assert _main("evaluate", run) == 2
    assert "`SOURCE` must be given" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", ["features", "finetune"])
def test_flips_are_measured_when_asked_for_and_used_where_they_help(folder, tmp_path, capsys, strategy):
    output, options = tmp_path / "run", ["--image-size", 32, "--epochs", 1, "--strategy", strategy, "--tta"]
    assert _main("fit", folder, "-o", output, *options) == 2
    assert "`tta` must be False without a domain" in capsys.readouterr().err
    assert _main("fit", folder, "-o", output, *options, "--domain", "photo") == 0
    assert "horizontal flip gains " in capsys.readouterr().out
    metrics = json.loads((output / "metrics.json").read_text())
    measured = metrics["flips"]
    assert measured["flips"] == ["horizontal_flip"] and measured["helps"] == (
        measured["gain"] > measured["standard_error"]
    )
    image = folder / "red" / "0.png"
    pixels = tlkeras.read_images([image], 32)
    model = keras.saving.load_model(output / "model.keras")
    plain, flipped = (model.predict(one, verbose=0)[0] for one in (pixels, pixels[:, :, ::-1]))
    for helps, expected in ((True, (plain + flipped) / 2), (False, plain)):
        (output / "metrics.json").write_text(json.dumps(metrics | {"flips": measured | {"helps": helps}}))
        assert _main("predict", output, image, "--tta", "--probabilities", "--json") == 0
        captured = capsys.readouterr()
        answer = json.loads(captured.out)["predictions"][0]["probabilities"]
        np.testing.assert_allclose(list(answer.values()), expected, atol=1e-5)
        assert ("not averaged over flips" in captured.err) != helps


def test_auto_takes_the_best_backbone_that_is_on_this_machine(folder, tmp_path, capsys):
    assert _main("fit", folder, "-o", tmp_path / "run", "--image-size", 32, "--backbone", "auto", "--json") == 0
    used = json.loads(capsys.readouterr().out)["backbone"]
    top1 = {name: tlkeras.backbone_info(name).top1 for name in tlkeras.list_backbones(offline=True)}
    assert top1[used] == max(top1.values())


def test_evaluate_knows_images_of_the_training_again(run, folder, capsys):
    assert _main("evaluate", run, folder, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["scores"]["images"] == 15
    assert result["scores"]["accuracy"] > 0.8
    assert result["seen_in_training"] == 15


def test_evaluate_takes_a_table_and_refuses_several_labels_per_image(run, tmp_path, capsys):
    for name in ("red", "blue"):
        _image(COLORS[name], 7).save(tmp_path / f"{name}.png")
    (tmp_path / "one.csv").write_text("file,color\nred.png,red\nblue.png,red\n")
    options = ["--columns", "path=file", "--columns", "label=color"]
    assert _main("evaluate", run, tmp_path / "one.csv", *options, "--json") == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert (scores["images"], scores["accuracy"]) == (2, 0.5)
    (tmp_path / "several.csv").write_text("file,color\nred.png,red|blue\n")
    assert _main("evaluate", run, tmp_path / "several.csv", *options, "--label-separator", "|") == 2
    assert "the run predicts one label per image" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["red", "blue"], ["red"]])
def test_evaluate_takes_folders_with_some_of_the_classes(run, tmp_path, capsys, names):
    for name in names:
        (tmp_path / name).mkdir()
        _image(COLORS[name], 7).save(tmp_path / name / "new.png")
    assert _main("evaluate", run, tmp_path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["scores"]["accuracy"] == 1.0
    assert result["seen_in_training"] == 0


def test_predict_names_each_image_and_lists_the_unreadable(run, folder, tmp_path, capsys):
    odd = tmp_path / 'it\'s a "red" ünïcode\nname.png'
    _image(COLORS["red"], 3).save(odd)
    (tmp_path / "empty.png").touch()
    paths = [folder / "blue" / "0.png", tmp_path / "empty.png", odd]
    status = _main("predict", run, *paths, "--json", "--probabilities")
    answers = json.loads(capsys.readouterr().out)
    assert [one["class"] for one in answers["predictions"]] == ["blue", "red"]
    assert answers["predictions"][1]["path"] == str(odd)
    assert sum(answers["predictions"][0]["probabilities"].values()) == pytest.approx(1)
    assert [one["path"] for one in answers["unreadable"]] == [str(tmp_path / "empty.png")]
    assert status == 0
    assert _main("predict", run, tmp_path / "empty.png") == 2


def test_predict_takes_names_with_leading_dashes(run, tmp_path, monkeypatch, capsys):
    _image(COLORS["green"], 3).save(tmp_path / "-green.png")
    monkeypatch.chdir(tmp_path)
    assert _main("predict", run, "--", "-green.png") == 0
    assert capsys.readouterr().out.startswith("-green.png\tgreen\t")


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "RGBA", "LA"])
def test_images_of_any_mode_are_read(run, tmp_path, capsys, mode):
    gray = Image.new("RGB", (48, 48), (128, 128, 128))
    image = {
        "P": gray.quantize(2),
        "I;16": Image.fromarray(np.full((48, 48), 128 * 257, "uint16")),
    }.get(mode) or gray.convert(mode)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    Image.new("RGB", (48, 48), (128, 128, 128)).save(tmp_path / "plain.png")
    assert _main("predict", run, path, tmp_path / "plain.png", "--json") == 0
    odd, plain = json.loads(capsys.readouterr().out)["predictions"]
    assert odd["class"] == plain["class"]
    assert odd["probability"] == pytest.approx(plain["probability"], abs=0.05)


def test_a_one_pixel_image_is_read(run, tmp_path, capsys):
    Image.new("RGB", (1, 1), COLORS["green"]).save(tmp_path / "dot.png")
    assert _main("predict", run, tmp_path / "dot.png") == 0
    assert "dot.png\t" in capsys.readouterr().out


def _damage(root, kind):
    damaged = root / "red" / "damaged.png"
    if kind == "truncated":
        content = (root / "red" / "0.png").read_bytes()
        damaged.write_bytes(content[: len(content) // 2])
    elif kind == "zero-byte":
        damaged.touch()
    elif kind == "text":
        damaged.write_text("not an image")
    elif kind == "bomb":
        # A PNG that claims 50,000 x 50,000 pixels in a few hundred bytes.
        content = bytearray((root / "red" / "0.png").read_bytes())
        content[16:24] = (50_000).to_bytes(4, "big") * 2
        damaged.write_bytes(content)
    return damaged


@pytest.mark.parametrize("kind", ["truncated", "zero-byte", "text", "bomb"])
def test_a_damaged_file_is_skipped_and_listed_or_refused_under_strict(tmp_path, capsys, kind):
    root = _folder(tmp_path / "data", images=3)
    damaged = _damage(root, kind)
    assert _main("fit", root, "-o", tmp_path / "strict", "--image-size", 32, "--strict") == 2
    assert str(damaged) in capsys.readouterr().err
    assert not (tmp_path / "strict").exists()
    assert _main("fit", root, "-o", tmp_path / "run", "--image-size", 32, "--json") == 0
    captured = capsys.readouterr()
    assert [one["path"] for one in json.loads(captured.out)["data"]["skipped"]] == [str(damaged)]
    assert f"Skipped {str(damaged)!r}" in captured.err


def _no_directory(root):
    return root / "nowhere"


def _empty(root):
    root.mkdir()
    return root


def _no_images(root):
    (root / "red").mkdir(parents=True)
    (root / "red" / "notes.txt").write_text("nothing to see")
    return root


def _one_class(root):
    (root / "red").mkdir(parents=True)
    for i in range(5):
        _image(COLORS["red"], i).save(root / "red" / f"{i}.png")
    return root


def _two_images(root):
    _folder(root)
    for path in sorted((root / "red").iterdir())[2:]:
        path.unlink()
    return root


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (_no_directory, "nowhere"),
        (_empty, "No images"),
        (_no_images, "No images"),
        (_one_class, "red"),
        (_two_images, "red"),
    ],
)
def test_a_folder_that_cannot_be_used_gets_one_sentence_and_leaves_nothing(tmp_path, capsys, make, named):
    root = make(tmp_path / "data")
    assert _main("fit", root, "-o", tmp_path / "run") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("tlkeras: ") and named in error
    assert {path.name for path in tmp_path.iterdir()} <= {"data"}


def test_an_output_that_exists_is_kept_unless_it_is_a_run_to_overwrite(folder, tmp_path, capsys):
    output = tmp_path / "run"
    assert _main("fit", folder, "-o", output, "--image-size", 32) == 0
    before = (output / "metrics.json").read_bytes()
    assert _main("fit", folder, "-o", output, "--image-size", 32) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (output / "metrics.json").read_bytes() == before
    assert _main("fit", folder, "-o", output, "--image-size", 32, "--seed", 1, "--overwrite") == 0
    assert json.loads((output / "metrics.json").read_text())["seed"] == 1


@pytest.mark.parametrize("beside", [[], ["metrics.json"], ["metrics.json", "model.keras", "labels.json"]])
def test_a_folder_of_other_things_is_never_overwritten(folder, tmp_path, beside):
    for name in ["thesis.txt", *beside]:
        (tmp_path / name).write_text("years of work")
    assert _main("fit", folder, "-o", tmp_path, "--overwrite") == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_folder_one_is_in_is_no_output(folder, tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    for output in (".", ".."):
        assert _main("fit", folder, "-o", output) == 2
    assert not list((tmp_path / "inside").iterdir())


def test_an_output_in_folders_yet_to_be_made_makes_them_only_when_all_went_well(folder, tmp_path):
    assert _main("fit", tmp_path / "nowhere", "-o", tmp_path / "new" / "parent" / "run") == 2
    assert not list(tmp_path.iterdir())
    assert _main("fit", folder, "-o", tmp_path / "new" / "parent" / "run", "--image-size", 32) == 0
    assert (tmp_path / "new" / "parent" / "run" / "model.keras").is_file()


def test_a_name_too_long_for_the_file_system_is_refused(folder, tmp_path):
    assert _main("fit", folder, "-o", tmp_path / ("x" * 300)) == 2


def test_a_file_in_place_of_the_folder_of_images_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("not a table")
    assert _main("fit", tmp_path / "file", "-o", tmp_path / "run") == 2
    assert "is not a folder" in capsys.readouterr().err


def test_a_table_is_a_source_and_what_is_missing_in_it_is_named(folder, tmp_path, capsys):
    rows = [f"{path.relative_to(folder).as_posix()},{path.parent.name}" for path in sorted(folder.glob("*/*.png"))]
    (tmp_path / "table.csv").write_text("\n".join(["file,color", *rows]))
    assert _main("fit", tmp_path / "table.csv", "-o", tmp_path / "run", "--image-size", 32) == 2
    assert "no label column" in capsys.readouterr().err.splitlines()[-1] and not (tmp_path / "run").exists()
    options = [
        "--root",
        folder,
        "--columns",
        "path=file",
        "--columns",
        "label=color",
        "--classes",
        "red",
        "--classes",
        "blue",
    ]
    assert _main("fit", tmp_path / "table.csv", "-o", tmp_path / "run", "--image-size", 32, *options) == 0
    assert json.loads((tmp_path / "run" / "labels.json").read_text())["class_names"] == ["red", "blue"]


@pytest.mark.parametrize(("file", "content"), [("metrics.json", "{}"), ("metrics.json", "x"), ("labels.json", "[]")])
def test_a_damaged_run_is_refused(run, folder, tmp_path, file, content):
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_text(content)
    assert _main("evaluate", tmp_path, folder) == 2


@pytest.mark.parametrize(("parts", "measured"), [(("train", "val"), "validation"), (("train", "val", "test"), "test")])
def test_evaluate_measures_what_a_folder_that_is_split_does_not_train_on(run, tmp_path, capsys, parts, measured):
    for count, part in enumerate(parts, 1):
        for name, color in COLORS.items():
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                _image(color, 1000 * count + i).save(tmp_path / part / name / f"{i}.png")
    assert _main("evaluate", run, tmp_path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["part"], result["scores"]["images"]) == (measured, 3 * len(parts))


def test_an_output_that_cannot_be_written_is_refused_before_any_work(folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        assert _main("fit", folder, "-o", output) == 2
        assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["fit", "-o"], ["check", "--sheets"], ["check", "--fix"]])
def test_an_output_among_the_images_would_become_a_class_and_is_refused(folder, capsys, command):
    before = sorted(folder.rglob("*"))
    assert _main(command[0], folder, command[1], folder / "out") == 2
    assert "would be read as a class" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_a_disk_without_room_for_the_weights_is_refused_before_any_work(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e6))
    assert _main("fit", folder, "-o", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "needs at least 27 MB, but only 1 MB are free" in error and "Loading" not in error


class _Model:
    """Stands for a model that can be saved only in some places."""

    def __init__(self, room):
        self.room = room

    def save(self, path):
        if not self.room(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_text("weights")


@pytest.mark.parametrize(
    ("room", "kind", "kept_in"),
    [
        (lambda path: True, RuntimeError, "output"),  # what comes after the model fails
        (lambda path: True, PermissionError, "output"),
        (lambda path: "spare" in path.parts, OSError, "spare"),
        (lambda path: False, OSError, None),
    ],
)
def test_whatever_fails_after_training_the_model_is_kept_and_the_error_says_where(
    tmp_path, monkeypatch, room, kind, kept_in
):
    for name in ("output", "spare"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    trained = Run(_Model(room), ("cat", "dog"), (32, 32), "stretch", metrics={})
    with pytest.raises(kind if kind is RuntimeError else tlkeras.InputError) as caught:  # noqa: SIM117
        with written_run(tmp_path / "output" / "run", trained) as part:
            assert {path.name for path in part.iterdir()} == {"model.keras", "labels.json"}
            raise kind(errno.EACCES, "no")
    said = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert not (tmp_path / "output" / "run").exists()
    left = [path for name in ("output", "spare") for path in (tmp_path / name).iterdir()]
    assert [path.parent.name for path in left] == ([kept_in] if kept_in else [])
    assert all(f"saved in {str(path)!r}" in said and (path / "labels.json").exists() for path in left)
    assert left or "The model could not be saved" in said


def test_what_is_not_a_run_is_refused(folder, tmp_path, capsys):
    assert _main("predict", tmp_path, folder / "red" / "0.png") == 2
    assert "is not a run" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a model", b"text"])
def test_a_model_file_that_is_not_one_is_refused(run, folder, tmp_path, capsys, content):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("labels.json", "metrics.json"):
        (broken / name).write_bytes((run / name).read_bytes())
    (broken / "model.keras").write_bytes(content)
    assert _main("evaluate", broken, folder) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "model.keras" in error and "not found" not in error


def _split_folder(root, *keys):
    for key in keys:
        (root / key).mkdir(parents=True)
        _image(COLORS.get(key.split("/")[-1], (120, 20, 120)), 7).save(root / key / "new.png")
    return root


@pytest.mark.parametrize("keys", [["red", "violet"], ["violet"], ["train/red", "test/red", "test/violet"]])
def test_evaluate_refuses_a_class_that_the_run_does_not_know(run, tmp_path, capsys, keys):
    assert _main("evaluate", run, _split_folder(tmp_path, *keys)) == 2
    error = capsys.readouterr().err
    assert "violet" in error and "blue, green, red" in error


def test_evaluate_needs_no_training_images_beside_those_it_measures(run, tmp_path, capsys):
    assert _main("evaluate", run, _split_folder(tmp_path, "train/red", "test/red", "test/blue"), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["part"], result["scores"]["images"], result["scores"]["accuracy"]) == ("test", 2, 1)


def test_evaluate_lists_what_it_cannot_read_and_refuses_a_folder_without_images(run, tmp_path, capsys):
    broken = _split_folder(tmp_path, "red") / "red" / "broken.png"
    broken.touch()
    assert _main("evaluate", run, tmp_path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["scores"]["images"], [one["path"] for one in result["skipped"]]) == (1, [str(broken)])
    (tmp_path / "red" / "new.png").unlink()
    assert _main("evaluate", run, tmp_path) == 2
    assert "only unreadable images (1)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit"],
        ["fit", "data"],
        ["fit", "data", "-o", "run", "--backbone", "efficientnet_light0"],
        ["fit", "data", "-o", "run", "--backbone", "efficientnet_light0", "--image-size", "32"],
        ["fit", "data", "-o", "run", "--strategy", "magic"],
        ["fit", "data", "-o", "run", "--resize", "squash"],
        ["fit", "data", "-o", "run", "--image-size", "0"],
        ["fit", "data", "-o", "run", "--image-size", "5000"],
        ["fit", "data", "-o", "run", "--strategy", "finetune", "--domain", "foto"],
        ["fit", "data", "-o", "run", "--seed", "-1"],
        ["fit", "data", "-o", "run", "--class-weight", "equal"],
        ["fit", "data", "-o", "run", "--columns", "label"],
        ["fit", "data", "-o", "run", "--minutes", "0"],
        ["check", "data", "--sheets", __file__],
        ["check", "data", "--fix", f"{__file__}/aside"],
        ["frobnicate"],
    ],
)
def test_wrong_usage_ends_with_status_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _main(*arguments) == 2
    assert not list(tmp_path.iterdir())


def test_a_preset_that_the_catalog_does_not_list_wants_a_size(tmp_path, capsys):
    assert _main("fit", "data", "-o", tmp_path / "run", "--backbone", f"hub:{tmp_path}") == 2
    assert "image_size" in capsys.readouterr().err


def test_check_reports_and_writes_what_is_asked_for_or_says_where_it_cannot(tmp_path, capsys):
    folder = _folder(tmp_path / "data", images=2)
    (folder / "red" / "2.png").write_bytes(b"")
    (tmp_path / "file").touch()
    assert _main("check", folder, "--no-labels", "--fix", tmp_path / "file" / "aside") == 2
    assert "Cannot write to the folder" in capsys.readouterr().err
    assert _main("check", folder, "--no-labels", "--json", "--fix", tmp_path / "aside") == 0
    assert json.loads(capsys.readouterr().out)["images"] == dict.fromkeys(COLORS, 2)
    assert (tmp_path / "aside" / "red" / "2.png").exists() and not (folder / "red" / "2.png").exists()
    assert _main("check", folder, "--no-labels") == 0


def test_backbones_lists_the_catalog(capsys):
    assert _main("backbones", "mobilenet*", "--json") == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)["backbones"]}
    assert {"mobilenet", "mobilenet_v2"} <= names


def test_backbones_reads_and_writes_counts_with_their_unit(capsys):
    assert _main("backbones", "efficientnet*", "--max-params", "4.1M", "--max-madds", "0.4G", "--min-top1", "0.7") == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == tlkeras.list_backbones(
        "efficientnet*", max_params=4.1e6, max_madds=400e6, min_top1=0.7
    )
    figures = dict(zip(heading.split(), rows[0].split(), strict=True))
    assert (figures["params"], figures["madds"], figures["top-1"]) == ("3.4M", "384M", "0.751")
    assert _main("backbones", "--max-params", "few") == 2
    assert "'few' is not a count such as 5M" in capsys.readouterr().err


def test_a_pattern_that_matches_no_backbone_gets_a_wider_one(capsys):
    assert _main("backbones", "resnet") == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "'*resnet*'" in captured.err


def test_options_of_fit_and_arguments_of_tlkeras_fit_are_the_same():
    options, arguments = (inspect.signature(one).parameters for one in (runs.fit, tlkeras.fit))
    assert set(options) - {"as_json"} == set(arguments) - {"callbacks"}  # which a command line cannot give
    for name in set(options) & set(arguments) - {"output"}:
        assert options[name].default == arguments[name].default, name


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_options_of_a_command_on_a_run_and_arguments_of_its_method_are_the_same(command):
    options, arguments = (inspect.signature(getattr(one, command)).parameters for one in (runs, Run))
    assert set(options) - {"run", "as_json", "shifted"} == set(arguments) - {"self"}  # `compare_domains` is for that
    # A terminal shows progress, and with --shifted the images of training may be left out.
    for name in set(arguments) - {"self", "verbose", "source"}:
        assert options[name].default == arguments[name].default, name


def test_help_and_the_list_of_backbones_do_without_keras():
    script = "import sys; from tlkeras import cli; sys.argv = ['tlkeras', *sys.argv[1:]]\n"
    script += "try: cli.main()\nfinally: assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules)"
    for arguments in (["--help"], ["backbones"]):
        subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)


@pytest.mark.slow
def test_two_runs_with_one_seed_agree_in_all_but_timings(clipart10, tmp_path, children):
    found = []
    for name in ("first", "second"):
        arguments = ["fit", clipart10, "-o", tmp_path / name, "--json", "--per-class", 10, "--image-size", 96]
        found.append(json.loads(children.run("from tlkeras import cli; cli.main()", *arguments)))
        assert found[-1].pop("seconds")
    assert found[0] == found[1]
    scores = found[0]["scores"]
    assert scores["accuracy"] > scores["majority_accuracy"] + 5 * scores["standard_error"]


def test_cache_shows_bounds_and_clears_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path))
    store = DiskStore(tmp_path)
    store.put([(b"one", b"1"), (b"two", b"2")])
    store.close()
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "exported.onnx").write_bytes(bytes(1000))
    runner = CliRunner()
    shown = json.loads(runner.invoke(cli.app, ["cache", "--limit", "1", "--json"]).stdout)
    assert (shown["entries"], shown["limit"], shown["networks_bytes"]) == (2, 10**9, 1000)
    cleared = json.loads(runner.invoke(cli.app, ["cache", "--clear", "--json"]).stdout)
    assert (cleared["entries"], cleared["networks_bytes"], cleared["limit"]) == (0, 0, 10**9)
    assert DiskStore(tmp_path).get(b"one") is None


def test_a_cache_that_is_off_is_no_input_to_look_at(monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", "off")
    result = CliRunner().invoke(cli.app, ["cache"])
    assert isinstance(result.exception, tlkeras.InputError) and "off" in str(result.exception)


def test_a_warning_is_a_line_without_a_line_of_code(run, tmp_path, capsys):
    for part, name, seed in (("train", "red", 1), ("train", "blue", 2), ("test", "red", 1), ("test", "blue", 3)):
        (tmp_path / part / name).mkdir(parents=True)
        for number in range(3):
            _image(COLORS[name], 100 * seed + number).save(tmp_path / part / name / f"{number}.png")
    assert _main("fit", tmp_path, "-o", tmp_path.parent / "leaking", "--image-size", 32) == 0
    lines = capsys.readouterr().err.splitlines()
    warned = [line for line in lines if "near-duplicates" in line]
    assert warned and all(line.startswith("Warning: ") for line in warned)
    assert not any(".py:" in line or "warn(" in line for line in lines)
