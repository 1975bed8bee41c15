"""A tiny run with images: three colors, and a model that knows them."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from tlkeras.runs.folder import written_run
from tlkeras.runs.images import digest
from tlkeras.runs.run import Run

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="session", autouse=True)
def _timed_briefly():
    """Time exported files for a moment instead of seconds: tests only look at whether there is a time."""
    from tlkeras.exporters import candidates

    measure = candidates.measure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "measure", lambda *arguments: measure(*arguments[:-1], seconds=0.01))
        yield


def color_model():
    """Make a network that answers with the strongest color, behind a convolution and BatchNorm that change nothing."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, padding="same", use_bias=False, name="mixed"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", name="spread"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="predictions"),
        ]
    )
    random = np.random.default_rng(0)
    mixed = random.uniform(0, 0.02, (3, 3, 3, 6))
    mixed[1, 1] += np.eye(3, 6)[::-1]  # red, green and blue by their place in the names
    spread = random.uniform(0, 0.02, (3, 3, 6, 1))
    spread[1, 1] += 1
    model.get_layer("mixed").set_weights([mixed])
    model.get_layer("spread").set_weights([spread, np.zeros(6)])
    head = np.zeros((6, 3))
    head[:3] = 30 * np.eye(3)
    model.get_layer("predictions").set_weights([head, np.zeros(3)])
    return model


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Write 20 images per class, in which one color is stronger."""
    folder, random = tmp_path_factory.mktemp("colors"), np.random.default_rng(0)
    for channel, name in ((2, "blue"), (1, "green"), (0, "red")):
        (folder / name).mkdir()
        for number in range(20):
            pixels = random.integers(0, 120, (16, 16, 3))
            pixels[..., channel] += 50 + 4 * number
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, images):
    """Write a run of `color_model` that has learned from every other image."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    learned = {f"{path.parent.name}/{path.name}": digest(path) for path in sorted(images.rglob("*[02468].png"))}
    metrics = {
        "data": {"source": str(images), "learned": learned, "chosen_by": {}},
        "scores": {"majority_class": "green", "accuracy": 1.0},
        "measured": {"by": "held-out images"},
        "backbone": "none",
    }
    with written_run(folder, Run(color_model(), CLASSES, (16, 16), "stretch")) as part:
        (part / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture(scope="session")
def plain(run_folder):
    """Write the run's LiteRT file, without labels."""
    import tlkeras
    from tlkeras.features.engines.litert_writer import write_litert

    return write_litert(tlkeras.load_run(run_folder).model, "uint8", ("probabilities",))


@pytest.fixture(scope="session")
def exported(tmp_path_factory, run_folder):
    """Export the run to LiteRT: the folder and what `export` returned."""
    import tlkeras

    folder = tmp_path_factory.mktemp("exports") / "litert"
    return folder, tlkeras.export(run_folder, folder)


@pytest.fixture(scope="session")
def rejecting(tmp_path_factory, images, run_folder):
    """Give the run of colors a rejector; return its folder, all images, and images of something else."""
    import tlkeras
    from tlkeras.models.heads import with_features

    run, folder = tlkeras.load_run(run_folder), tmp_path_factory.mktemp("rejecting") / "run"
    files = sorted(images.rglob("*.png"))
    features = with_features(run.model).predict(tlkeras.read_images(files, 16), verbose=0)[1]
    rejector = tlkeras.fit_rejection(features, [path.parent.name for path in files], false_alarms=0.1)
    with written_run(folder, Run(run.model, run.class_names, (16, 16), "stretch", rejector=rejector)) as part:
        (part / "metrics.json").write_text((run_folder / "metrics.json").read_text())
    others, random = tmp_path_factory.mktemp("others"), np.random.default_rng(1)
    for number in range(6):
        pixels = random.integers(0, 2, (4, 4, 1), "uint8").repeat(4, 0).repeat(4, 1).repeat(3, 2) * 255
        Image.fromarray(pixels if number else np.full((16, 16, 3), 255, "uint8")).save(others / f"{number}.png")
    return folder, files, sorted(others.iterdir())
