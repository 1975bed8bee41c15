"""Exercises of `05_fine_tuning_well`: right answers of any kind pass, wrong ones do not."""

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.teaching import NotYet, check, quiz


@pytest.mark.parametrize(
    "prediction, ratio, right",
    [
        ("same", 1.0, True),
        ("same", [0.9, 1.1], True),
        ("tenth", 0.1, True),
        ("ten times", 9.0, True),
        ("tenth", 1.0, False),
        ("ten times", 1.0, False),
        ("same", 0.1, False),
        ("half", 0.5, False),
    ],
)
def test_05_1_is_judged_by_what_was_measured(prediction, ratio, right):
    if right:
        check("05.1", prediction, ratio)
    else:
        with pytest.raises(NotYet):
            check("05.1", prediction, ratio)


def _by_multipliers(model, rate):
    names = tlkeras.blocks(model).names
    factors = {name: 0.25 ** (len(names) - 1 - k) for k, name in enumerate(names)}
    return tlkeras.differential_optimizer(model, keras.optimizers.Adam(rate), multipliers=factors)


def _by_several(model, rate):
    names = [layer.name for layer in model.layers]
    each = {name: keras.optimizers.Adam(rate * 0.25**k) for k, name in enumerate(reversed(names))}
    return keras.optimizers.MultiOptimizer(lambda variable: each[variable.path.split("/")[-2]])


@pytest.mark.parametrize(
    "answer",
    [
        lambda model, rate: tlkeras.differential_optimizer(model, keras.optimizers.Adam(rate), layer_decay=0.25),
        _by_multipliers,
        _by_several,
    ],
    ids=["decay", "multipliers", "an optimizer a layer"],
)
def test_05_2_takes_any_optimizer_with_these_steps(answer):
    if answer is _by_several and not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("MultiOptimizer is new in Keras 3.15")
    check("05.2", answer)


@pytest.mark.parametrize(
    "answer",
    [
        keras.optimizers.Adam(0.01),
        lambda model, rate: ...,
        lambda model, rate: rate,
        lambda model, rate: keras.optimizers.Adam(rate),
        lambda model, rate: tlkeras.differential_optimizer(model, keras.optimizers.Adam(rate), layer_decay=0.5),
        lambda model, rate: tlkeras.differential_optimizer(model, keras.optimizers.Adam(0.01), layer_decay=0.25),
    ],
    ids=["optimizer", "stub", "number", "one rate", "halves", "a rate of its own"],
)
def test_05_2_refuses_others(answer):
    with pytest.raises(NotYet):
        check("05.2", answer)


def test_05_quiz_accepts_the_comparison_with_the_probe_only(capsys):
    quiz("05", "b")
    assert "Why not the others" in capsys.readouterr().out
    for wrong in "ac":
        with pytest.raises(NotYet, match=f"[(]{wrong}[)] is wrong"):
            quiz("05", wrong)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))


class _Oracle(keras.Model):
    """Answers what it was told, whatever the images."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def predict(self, x, verbose=0):
        shown = self.answers[: len(x)]
        return shown if np.ndim(shown) == 2 else keras.utils.to_categorical(shown, 2)


def test_05_3_takes_a_model_that_beats_the_majority_class_and_no_other(images, capsys):
    labels = images.test.labels
    unsure, nearly = 0.4 + 0.2 * np.eye(2)[labels], np.where(np.arange(len(labels)) == 0, 1 - labels, labels)
    for right in (labels, unsure, nearly):
        check("05.3", _Oracle(right), images)
    assert "for the majority class" in capsys.readouterr().out.replace("\n", " ")
    with pytest.raises(NotYet, match="majority"):
        check("05.3", _Oracle(1 - images.test.labels), images)
    with pytest.raises(NotYet, match="Keras model"):
        check("05.3", "a model", images)


def test_05_3_refuses_splits_that_share_an_image(images):
    leaky = type(images)(**vars(images) | {"test": images.train})
    with pytest.raises(NotYet, match="two of the splits"):
        check("05.3", _Oracle(images.train.labels), leaky)
