"""`tlkeras rank` and `tlkeras advise`: a table or JSON on stdout, and one sentence with exit status 2 for bad input."""

import json
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tlkeras import cli
from tlkeras.selection import candidates


def _main(*arguments):
    """Run the command line; return its exit status."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit:
        patch.setattr(sys, "argv", ["tlkeras", *map(str, arguments)])
        cli.main()
    return exit.value.code or 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "colors"
    for number, color in enumerate(("red", "green", "blue")):
        (root / color).mkdir(parents=True)
        for i in range(6):
            tiles = np.random.default_rng(10 * number + i).integers(0, 90, (6, 6, 3)).repeat(6, 0).repeat(6, 1)
            tiles[..., number] += 120
            Image.fromarray(tiles.astype("uint8")).save(root / color / f"{i}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def _small_network():
    """A network of one layer in place of the backbone."""
    extractor = candidates.FeatureExtractor
    layers = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 5, name="conv")]
    network = keras.Sequential(layers, name="small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "FeatureExtractor", lambda backbone, **rest: extractor(network, **rest))
        yield


def test_a_ranking_is_a_table_or_json(folder, capsys):
    options = [folder, "--backbone", "efficientnet_lite0", "--quiet"]
    assert _main("rank", *options) == 0
    text = capsys.readouterr().out
    assert "18 images, 3 classes; 1 backbone, 1 candidate" in text and "Recommended: efficientnet_lite0" in text
    assert _main("rank", *options, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["recommended"] == {"backbone": "efficientnet_lite0", "block": None}
    assert captured.err.splitlines() == ["Backbones: efficientnet_lite0", "Loading Keras ..."]


def test_an_advice_is_a_plan_or_json(folder, capsys):
    options = [folder, "--backbone", "efficientnet_lite0", "--quiet"]
    assert _main("advise", *options) == 0
    text = capsys.readouterr().out
    assert "strategy       features" in text
    command = "tlkeras fit DIR -o RUN --backbone efficientnet_lite0 --image-size 224 --strategy auto"
    assert text.splitlines()[-1] == command
    assert _main("advise", *options, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rule_of_thumb"] == plan["trains"] == "head" and not plan["disagrees"]


@pytest.mark.parametrize("command", ["rank", "advise"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no/such/folder"], "`images` must be an existing folder. Received: 'no/such/folder'."),
        ([".", "--backbone", "nonet"], "There is no backbone named 'nonet'"),
        ([".", "--max-ms", "-1"], "`max_ms` must be a positive number. Received: max_ms=-1.0."),
    ],
)
def test_bad_arguments_are_refused_before_keras_is_loaded(command, arguments, sentence, capsys):
    assert _main(command, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tlkeras: {sentence}")


def test_bad_images_and_budgets_that_nothing_meets_are_refused_in_a_sentence(folder, tmp_path, capsys):
    options = ["--backbone", "efficientnet_lite0", "--quiet"]
    assert _main("rank", folder, *options, "--max-params", 5) == 2
    assert "`max_params` must leave at least one candidate" in capsys.readouterr().err.splitlines()[-1]
    for name in ("red", "blue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes((folder / name / "0.png").read_bytes())
    assert _main("advise", tmp_path, *options) == 2
    assert (
        "Class 'blue' must have at least 2 distinct images. Received: 1 image, 1 distinct"
        in capsys.readouterr().err.splitlines()[-1]
    )
    for name in ("red", "blue"):
        (tmp_path / name / "0.png").write_bytes(b"no image")
    assert _main("advise", tmp_path, *options) == 2
    assert "none of the 2 files can be read" in capsys.readouterr().err.splitlines()[-1]
