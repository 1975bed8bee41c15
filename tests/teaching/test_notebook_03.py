"""Exercises of `03_differential_learning_rates`: right answers of any kind pass, wrong ones do not."""

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.teaching import NotYet, check


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
def test_03_1_is_judged_by_what_was_measured(prediction, ratio, right):
    if right:
        check("03.1", prediction, ratio)
    else:
        with pytest.raises(NotYet):
            check("03.1", prediction, ratio)


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
def test_03_2_takes_any_optimizer_with_these_steps(answer):
    if answer is _by_several and not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("MultiOptimizer is new in Keras 3.15")
    check("03.2", answer)


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
def test_03_2_refuses_others(answer):
    with pytest.raises(NotYet):
        check("03.2", answer)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(64, 64))


@pytest.fixture(scope="module")
def probed(images):
    """A classifier that is good already, so that only its rates matter."""
    model = tlkeras.image_classifier(classes=images.class_names, image_size=64)
    tlkeras.fine_tune(model, images.train, epochs=0, verbose=False)
    return model


def _compiled(model, decay):
    optimizer = tlkeras.differential_optimizer(model, keras.optimizers.Adam(1e-3), layer_decay=decay)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("last, decay", [(None, 0.9), (1, 0.1)])
def test_03_3_takes_any_rates_that_rise(probed, images, last, decay, capsys):
    check("03.3", _compiled(tlkeras.unfreeze(probed, last=last), decay), images)
    assert "majority class gives" in capsys.readouterr().out


def test_03_3_refuses_one_rate_and_a_single_block(probed, images):
    with pytest.raises(NotYet, match="do not rise"):
        check("03.3", _compiled(tlkeras.unfreeze(probed, last=2), 1.0), images)
    with pytest.raises(NotYet, match="only one block"):
        check("03.3", _compiled(tlkeras.freeze(probed), 0.5), images)
    with pytest.raises(NotYet, match="not compiled"):
        check("03.3", tlkeras.replace_head(probed, images.class_names), images)


def test_03_3_refuses_what_does_not_beat_the_majority_class(probed, images):
    blind = keras.models.clone_model(probed)
    kernel, bias = blind.layers[-1].get_weights()
    majority = int(sum(images.train.labels) * 2 > len(images.train))
    blind.layers[-1].set_weights([0 * kernel, 9.0 * (np.arange(len(bias)) == majority)])
    with pytest.raises(NotYet, match="majority"):
        check("03.3", _compiled(tlkeras.unfreeze(blind, last=1), 0.5), images)
