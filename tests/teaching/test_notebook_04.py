"""Exercises of `04_gradual_unfreezing`: right answers of any kind pass, wrong ones do not."""

import keras
import pytest

import tlkeras
from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, at_once, right",
    [
        ("at once", [0.30, 0.32, 0.31], True),
        ("by schedule", [0.10, 0.12, 0.11], True),
        ("level", [0.15, 0.25, 0.20], True),
        ("at once", [0.10, 0.12, 0.11], False),
        ("by schedule", [0.30, 0.32, 0.31], False),
        ("level", [0.30, 0.32, 0.31], False),
        ("neither", [0.15, 0.25, 0.20], False),
    ],
)
def test_04_1_is_judged_by_what_was_measured(prediction, at_once, right, capsys):
    if right:
        check("04.1", prediction, at_once, [0.20, 0.20, 0.21])
        assert capsys.readouterr().out.startswith("04.1 is right")
    else:
        with pytest.raises(NotYet):
            check("04.1", prediction, at_once, [0.20, 0.20, 0.21])


def _stop(patience, best=True):
    return keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=best)


@pytest.mark.parametrize(
    "unfreeze",
    [{"on_plateau": 1, "patience": 1}, {"on_plateau": 2, "patience": 3}, {"schedule": {1: 1, 2: None}}],
    ids=["each epoch", "two at once", "by schedule"],
)
def test_04_2_takes_any_callbacks_that_unfreeze_before_they_stop(unfreeze, capsys):
    check("04.2", lambda: [_stop(6), tlkeras.GradualUnfreezing(**unfreeze)])
    assert "All 3 layers were unfrozen" in capsys.readouterr().out


@pytest.mark.parametrize(
    "callbacks, message",
    [
        (lambda: [tlkeras.GradualUnfreezing(on_plateau=1)], "ends the training"),
        (lambda: [tlkeras.GradualUnfreezing(on_plateau=1), _stop(6, best=False)], "best weights"),
        (lambda: [tlkeras.GradualUnfreezing(on_plateau=1, patience=5), _stop(3)], "of 3 layers"),
        (lambda: [_stop(3)], "of 3 layers"),
        (lambda: [tlkeras.GradualUnfreezing(on_plateau=1), _stop(1000)], "for all"),
        (lambda: _stop(3), "a list"),
        (lambda: ["stop"], "a list"),
        (lambda: ..., "does not return"),
        ([_stop(3)], "function"),
    ],
)
def test_04_2_refuses_others(callbacks, message):
    with pytest.raises(NotYet, match=message):
        check("04.2", callbacks)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))


class _Oracle(keras.Model):
    """Answers what it was told, whatever the images."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def predict(self, x, verbose=0):
        return keras.utils.to_categorical(self.answers[: len(x)], 2)


def test_04_3_takes_a_model_that_beats_the_majority_class_and_no_other(images, capsys):
    check("04.3", _Oracle(images.test.labels), images)
    assert "majority class gives" in capsys.readouterr().out
    with pytest.raises(NotYet, match="majority"):
        check("04.3", _Oracle(1 - images.test.labels), images)
    with pytest.raises(NotYet, match="Keras model"):
        check("04.3", "a model", images)


def test_04_3_refuses_splits_that_share_an_image(images):
    leaky = type(images)(**vars(images) | {"test": images.train})
    with pytest.raises(NotYet, match="two of the splits"):
        check("04.3", _Oracle(images.train.labels), leaky)
