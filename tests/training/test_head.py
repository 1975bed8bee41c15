"""The head becomes the linear probe of the features below it."""

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras.training.steps.data import as_batches
from tlkeras.training.steps.probe_head import classifier_head, fit_head

pytestmark = pytest.mark.backends


def _model(units, activation, *after):
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(12, activation="tanh"), layers.Dense(units, activation=activation), *after]
    )


def _data(classes, images=90):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % classes
    return (rng.normal(size=(images, 6)) + 2 * np.eye(classes, 6)[labels]).astype("float32"), labels


def _features(model, x):
    return keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.layers[0].output)(x))


@pytest.mark.parametrize("activation", ["softmax", None])
def test_logits_equal_those_of_scikit_learn(activation):
    model, (x, y) = _model(3, activation), _data(3)
    fit_head(model, as_batches((x, y), 16))
    probe = tlkeras.linear_probe(_features(model, x), y)
    answers = model.predict(x, verbose=0)
    probabilities = answers if activation else keras.ops.convert_to_numpy(keras.ops.softmax(answers))
    np.testing.assert_allclose(probabilities, probe.predict_proba(_features(model, x)), atol=1e-5)


def test_a_single_sigmoid_gets_the_probability_of_class_one():
    model, (x, y) = _model(1, "sigmoid"), _data(2)
    fit_head(model, as_batches((x, y), 16))
    probe = tlkeras.linear_probe(_features(model, x), y)
    np.testing.assert_allclose(
        model.predict(x, verbose=0)[:, 0], probe.predict_proba(_features(model, x))[:, 1], atol=1e-5
    )


def test_weights_of_classes_are_those_of_scikit_learn():
    model, (x, y) = _model(4, "softmax"), _data(3)  # of class 3 there is no image
    fit_head(model, as_batches((x, y), 16), class_weight={0: 5.0, 3: 2.0})
    probe = tlkeras.linear_probe(_features(model, x), y, class_weight={0: 5.0, 1: 1.0, 2: 1.0})
    expected = probe.predict_proba(_features(model, x))
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, :3], expected, atol=1e-4)
    plain = tlkeras.linear_probe(_features(model, x), y).predict_proba(_features(model, x))
    assert expected[:, 0].mean() > plain[:, 0].mean()


def test_each_label_of_a_multi_label_head_has_its_own_probe():
    model, (x, y) = _model(2, "sigmoid"), _data(4)
    labels = np.stack([y % 2, y // 2], axis=1)
    fit_head(model, as_batches((x, labels), 16))
    for unit in range(2):
        probe = tlkeras.linear_probe(_features(model, x), labels[:, unit])
        np.testing.assert_allclose(
            model.predict(x, verbose=0)[:, unit], probe.predict_proba(_features(model, x))[:, 1], atol=1e-5
        )


def test_a_class_without_training_images_gets_no_chance():
    model, (x, y) = _model(4, "softmax"), _data(3)
    fit_head(model, as_batches((x, y), 16))
    assert model.predict(x, verbose=0)[:, 3].max() < 1e-3


@pytest.mark.parametrize("labels", [np.eye(3)[np.arange(90) % 3], (np.arange(90) % 3)[:, None]])
def test_one_hot_rows_and_columns_of_numbers_are_taken(labels):
    model, (x, y) = _model(3, "softmax"), _data(3)
    fit_head(model, as_batches((x, labels), 16))
    found = model.predict(x, verbose=0)
    fit_head(model, as_batches((x, y), 16))
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-6)


def test_an_activation_layer_after_the_head_is_seen():
    assert classifier_head(_model(3, None, layers.Softmax())).task == "multiclass"
    assert not classifier_head(_model(3, None, layers.Activation("softmax"))).from_logits


def test_a_model_without_a_head_is_refused():
    wrong = {
        "no recognizable head": keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dropout(0.1)]),
        "a built functional": keras.Sequential([layers.Dense(3)]),
        "keras.Model.*Sequential'>": keras.Sequential,
    }
    for message, model in wrong.items():
        with pytest.raises(tlkeras.InputError, match=message):
            classifier_head(model)


def test_labels_beyond_the_head_are_refused():
    model, (x, y) = _model(2, "softmax"), _data(3)
    with pytest.raises(tlkeras.InputError, match=r"labels from 0 to 1. .* from 0 to 2"):
        fit_head(model, as_batches((x, y), 16))


def test_a_label_that_no_image_has_gets_no_chance_and_hinders_no_other():
    model, (x, y) = _model(3, "sigmoid"), _data(2)
    assert fit_head(model, as_batches((x, np.stack([y, 0 * y, 1 - y], axis=1)), 16))[1] is None
    answers = model.predict(x, verbose=0)
    assert answers[:, 1].max() < 1e-3
    probe = tlkeras.linear_probe(_features(model, x), y)
    np.testing.assert_allclose(answers[:, 0], probe.predict_proba(_features(model, x))[:, 1], atol=1e-5)


def test_the_head_of_a_model_that_begins_at_an_inner_layer_is_found_and_fitted():
    whole, (x, y) = _model(3, "softmax"), _data(3)
    top = keras.Model(whole.layers[0].output, whole.outputs[0])
    hidden = _features(whole, x)
    fit_head(top, as_batches((hidden, y), 16))
    probe = tlkeras.linear_probe(hidden, y)
    np.testing.assert_allclose(whole.predict(x, verbose=0), probe.predict_proba(hidden), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        (lambda head: head.enable_lora(2), "LoRA weights"),
        (lambda head: head.quantize("int8"), "int8 weights"),
        (lambda head: setattr(head, "kernel_constraint", keras.constraints.NonNeg()), "a constraint on its weights"),
    ],
)
def test_a_head_that_cannot_hold_a_probe_is_refused_before_anything_changes(change, obstacle):
    model, (x, y) = _model(3, "softmax"), _data(3)
    change(model.layers[-1])
    before = model.get_weights()
    with pytest.raises(tlkeras.InputError, match=f"has {obstacle}, so it cannot be replaced with a linear probe"):
        fit_head(model, as_batches((x, y), 16))
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
