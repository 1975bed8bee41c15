"""A killed `fit` resumes with `resume` and ends with the numbers of an uninterrupted one."""

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tlkeras
from tlkeras.runs import fitting
from tlkeras.runs.log import LOG, RunLog
from tlkeras.runs.resuming import Unfinished
from tlkeras.selection import by_fine_tuning

pytestmark = pytest.mark.slow


def small_classifier(backbone, classes, **options):
    """Build a network that trains in a second."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(len(classes), activation="softmax", name="predictions"),
        ]
    )


def train(source, output, **options):
    by_fine_tuning.image_classifier = small_classifier
    options = {"image_size": 16, "strategy": "finetune", "epochs": 3, "verbose": False, **options}
    options["callbacks"] = [KillInEpoch()]
    return tlkeras.fit(source, output, **options)


def kill(*arguments):
    """End the process, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillInEpoch(keras.callbacks.Callback):
    """Kill the process within an epoch, counted from 1, if it is told to."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if sys.argv[-1] == f"epoch {self.epoch + 1}":
            kill()


@pytest.fixture
def colors(tmp_path):
    rng = np.random.default_rng(0)
    for name, color in {"red": (200, 30, 30), "blue": (30, 30, 200)}.items():
        (tmp_path / "colors" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 56, (16, 16, 3)) + np.array(color)
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(tmp_path / "colors" / name / f"{i}.png")
    return tmp_path / "colors"


@pytest.mark.parametrize("moment", ["epoch 2", "refit", "writing"])
def test_a_killed_fit_goes_on_and_ends_with_the_numbers_of_an_uninterrupted_one(
    colors, tmp_path, monkeypatch, moment, children
):
    monkeypatch.setattr(by_fine_tuning, "image_classifier", small_classifier)
    whole = train(colors, tmp_path / "whole")
    output = tmp_path / "killed"
    killed = children.start(Path(__file__).read_text(), colors, output, moment)
    assert killed.wait() == -signal.SIGKILL, killed.stderr
    assert not output.exists()
    with pytest.raises(tlkeras.InputError, match="--resume"):
        train(colors, output)
    with pytest.raises(tlkeras.InputError, match=r"different arguments or images .*seed"):
        train(colors, output, resume=True, seed=1)
    run = train(colors, output, resume=True)
    assert run.metrics | {"seconds": None} == whole.metrics | {"seconds": None}
    for one, other in zip(run.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    phases = [event["phase"] for event in run.log]
    assert phases.count("load") == 2 and phases[-1] == "done"
    assert {path.name for path in tmp_path.iterdir()} == {"colors", "whole", "killed"}
    assert train(colors, output, resume=True).metrics == run.metrics  # it was finished


def test_what_is_unfinished_is_resumed_or_overwritten_and_never_lost_silently(tmp_path):
    unfinished = Unfinished(tmp_path / "run")
    assert not unfinished.exists and Unfinished(None).start({}, resume=True) is None
    folder = unfinished.start({"seed": 0}, resume=False)
    (folder / "state").touch()
    with pytest.raises(tlkeras.InputError, match="--resume"):
        unfinished.check(resume=False, overwrite=False)
    unfinished.check(resume=True, overwrite=False)
    assert unfinished.start({"seed": 0}, resume=True) == folder and (folder / "state").exists()
    with pytest.raises(tlkeras.InputError, match="seed"):
        unfinished.start({"seed": 1}, resume=True)
    unfinished.start({"seed": 1}, resume=False)
    assert not (folder / "state").exists()


def test_a_failure_leaves_nothing_unless_there_is_something_to_go_on_from(tmp_path):
    for name, kept in (("log.jsonl", False), ("state.npz", True)):
        unfinished = Unfinished(tmp_path / "run")
        unfinished.start({}, resume=False)
        with pytest.raises(KeyboardInterrupt), unfinished.kept_if("*.npz"):
            (unfinished / name).touch()
            raise KeyboardInterrupt
        assert unfinished.exists == kept


def test_a_log_goes_on_after_a_line_that_was_cut_off(tmp_path):
    (tmp_path / LOG).write_text('{"phase": "load"}\n{"phase": "feat')
    log = RunLog()
    log.continue_in(tmp_path)
    log({"phase": "features"})
    assert [event["phase"] for event in log.events] == ["load", "features"]
    assert (tmp_path / LOG).read_text().count("\n") == 2


if __name__ == "__main__":
    if sys.argv[-1] == "refit":
        by_fine_tuning.refitted = kill
    if sys.argv[-1] == "writing":
        fitting.write_report = kill  # the model is written by then
    train(Path(sys.argv[1]), Path(sys.argv[2]))
