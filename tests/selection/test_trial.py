"""The trial: three starts of one network, each with the learning rate that suits it, and a verdict with an interval."""

import json
import warnings

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras import InputError, Trial
from tlkeras.selection.trial import Arm, Lead, _best_arm, _lead, arm_model

layers = keras.layers


def network():
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 5, strides=2, use_bias=False, name="block1_conv")(layers.Rescaling(1 / 255)(image))
    x = layers.ReLU()(layers.BatchNormalization(name="block1_norm")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu", name="block2_conv")(x))
    return keras.Model(image, layers.Dense(3, "softmax", name="predictions")(x))


def stripes(per_class, seed):
    """Images of horizontal, vertical and slanted stripes in noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per_class)
    row, column = np.mgrid[:32, :32]
    phase, width = rng.random((2, len(labels), 1, 1))
    along = np.stack([row, column, row + column])[labels]
    waves = np.sin(along * (0.9 + 0.5 * width) + 6 * phase)[..., None]
    return (128 + 60 * waves + rng.normal(0, 40, (len(labels), 32, 32, 3))).clip(0, 255).astype("uint8"), labels


def values(model):
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


def test_arms_start_from_the_same_values_from_new_ones_and_from_the_same_in_random_order():
    model = network()
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).random(weight.shape))
    start = values(model)
    transfer, scratch, shuffled = (values(arm_model(model, name)) for name in ("transfer", "scratch", "shuffled"))
    for a, b in zip(transfer, start, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.array_equal(a, b) for a, b in zip(scratch, start, strict=True))
    for a, b in zip(shuffled[:-2], start[:-2], strict=True):
        np.testing.assert_array_equal(np.sort(a.ravel()), np.sort(b.ravel()))
        assert not np.array_equal(a, b)
    assert not np.array_equal(shuffled[-2], start[-2]) and not shuffled[-1].any()  # the head is new
    momenta = [arm_model(model, name).get_layer("block1_norm").momentum for name in ("transfer", "scratch")]
    assert momenta == [0.99, 0.9]
    for a, b in zip(values(model), start, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("right", "verdict"), [(0.95, "transfer"), (0.3, "scratch"), (0.55, "inconclusive")], ids=lambda one: str(one)
)
def test_the_verdict_needs_an_interval_on_one_side_of_zero_and_the_better_rival(right, verdict):
    rng = np.random.default_rng(0)
    results = {name: Arm(name, 50, 1e-3, loss, 0.0) for name, loss in (("scratch", 0.9), ("shuffled", 0.8))}
    results["transfer"] = Arm("transfer", 50, 1e-3, 0.5, right)
    for name, share in (("transfer", right), ("shuffled", 0.6), ("scratch", 1.0)):
        results[name, "right"] = (rng.random(100) < share).astype(float)
    lead = _lead(results, np.arange(100))
    difference = results["transfer", "right"] - results["shuffled", "right"]
    half = 1.96 * difference.std(ddof=1) / 10
    assert (lead.rival, lead.verdict) == ("shuffled", verdict)
    np.testing.assert_allclose((lead.lead, lead.low, lead.high), difference.mean() + np.array([0, -half, half]))


def test_it_is_told_as_table_sentence_and_json():
    arms = (Arm("transfer", 100, 3e-4, 0.4, 0.85), Arm("scratch", 100, 1e-3, 1.1, 0.6))
    result = Trial(arms, (Lead(100, "scratch", 0.25, 0.15, 0.35, "transfer"),))
    lines = repr(result).splitlines()
    assert lines[1].split() == ["100", "transfer", "0.0003", "0.400", "0.850"]
    assert lines[-1] == "With 100 images, transfer leads scratch by +25 points (+15 to +35): transfer is better."
    assert json.loads(json.dumps(result.to_json()))["verdict"] == "transfer"


def test_an_arm_that_is_no_better_than_guessing_is_named(monkeypatch):
    pixels, labels = stripes(10, seed=0)
    images = tlkeras.load_images(pixels, labels=labels, image_size=32, near_duplicates=False)
    monkeypatch.setattr("tlkeras.selection.trial.fine_tune", lambda *data, **options: None)
    for told, truth in ((1 / 3, 1 / 3), (0.2, 0.6)):
        answers = lambda model, split: np.where(np.eye(3)[split.labels] == 1, truth, told)  # noqa: B023, E731
        monkeypatch.setattr("tlkeras.selection.trial.predicted", answers)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            _best_arm(network(), "scratch", images.train, images, [1e-3], 8, 0, False)
        named = any("'scratch' learned nothing in 8 epochs" in str(one.message) for one in seen)
        assert named == (truth < 0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_pretrained_stripes_win_on_few_stripes_and_each_arm_takes_its_best_rate():
    keras.utils.set_random_seed(0)
    model = network()
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(*stripes(150, seed=1), epochs=15, batch_size=32, verbose=0)
    pixels, labels = stripes(40, seed=2)
    images = tlkeras.load_images(pixels, labels=labels, image_size=32, near_duplicates=False)
    few = tlkeras.trial(images, backbone=model, shares=(0.25,), learning_rates=(1e-6, 1e-3), epochs=2, verbose=False)
    assert few.verdict == "transfer" and few.leads[0].images == few.arms[0].images == len(images.train) // 4
    assert [arm.name for arm in few.arms] == ["transfer", "scratch", "shuffled"]
    assert few.arms[1].learning_rate == 1e-3  # nothing is learned from scratch at 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shares": (0.5, 2)}, "`shares` must be a number in (0, 1]"),
        ({"learning_rates": ()}, "`learning_rates` must have at least one entry"),
        ({"epochs": 0}, "`epochs` must be an integer"),
    ],
)
def test_arguments_are_checked_first(arguments, message):
    with pytest.raises(InputError) as error:
        tlkeras.trial("no such folder", **arguments)
    assert message in str(error.value)
