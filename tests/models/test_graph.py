"""A model is cut where all that trains lies above, and both parts together answer as the whole."""

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras.models.graph import cut

pytestmark = pytest.mark.backends


@pytest.fixture(scope="module")
def model():
    """Build one network for all tests; each sets its own flags first."""
    return tlkeras.image_classifier(classes=3, weights=None, image_size=32, augmentation=layers.RandomFlip(), dropout=0)


def test_parts_answer_as_the_whole(model):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    for choice in ({"last": 0}, {"last": 2}, {"start": "block6b"}, {"last": 0.5}):
        tlkeras.unfreeze(tlkeras.freeze(model), **choice)
        trunk, top = cut(model)
        answers = keras.ops.convert_to_numpy(top(trunk(images, training=False), training=False))
        np.testing.assert_allclose(answers, expected, atol=1e-6, err_msg=str(choice))


def test_all_that_trains_lies_in_the_top(model):
    tlkeras.unfreeze(tlkeras.freeze(model), last=2)
    trunk, top = cut(model)
    assert not trunk.trainable_weights
    assert {id(weight) for weight in top.trainable_weights} == {id(weight) for weight in model.trainable_weights}


def test_training_the_top_trains_the_model(model):
    tlkeras.unfreeze(tlkeras.freeze(model), last=1)
    _, top = cut(model)
    before = model.get_layer("predictions").get_weights()[0].copy()
    top.compile("sgd", "sparse_categorical_crossentropy")
    features = np.random.default_rng(0).normal(size=(4, *top.input_shape[1:])).astype("float32")
    top.fit(features, np.arange(4) % 3, verbose=0)
    assert not np.array_equal(before, model.get_layer("predictions").get_weights()[0])


@pytest.mark.one_backend
def test_the_model_saves_as_before_it_was_cut(model, tmp_path):
    tlkeras.unfreeze(tlkeras.freeze(model), last=1)
    config = model.get_config()
    cut(model)
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype="uint8")
    again = keras.saving.load_model(tmp_path / "model.keras")
    answers, expected = (keras.ops.convert_to_numpy(each(images, training=False)) for each in (again, model))
    np.testing.assert_allclose(answers, expected, atol=1e-6)


def test_no_cut_runs_through_a_residual_branch():
    inputs = keras.Input((8,))
    stem = layers.Dense(8, name="stem")(inputs)
    branch = layers.Dense(8, name="branch")(stem)
    outputs = layers.Dense(2, name="head")(layers.Add(name="add")([stem, branch]))
    model = keras.Model(inputs, outputs)
    model.get_layer("stem").trainable = False
    trunk, _ = cut(model)
    assert trunk.layers[-1].name == "stem"
    model.get_layer("branch").trainable = False
    trunk, _ = cut(model)
    assert trunk.layers[-1].name == "add"


def test_nothing_is_cut_where_the_first_layers_train(model):
    tlkeras.unfreeze(model)
    assert cut(model) is None
