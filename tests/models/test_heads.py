"""A new head on an old trunk, however the old head was written."""

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras.models.heads import find_head

pytestmark = pytest.mark.backends


def _model(units, activation, *after):
    trunk = [keras.Input((6,)), layers.Dense(5, activation="tanh", name="trunk")]
    return keras.Sequential([*trunk, layers.Dense(units, activation=activation, name="predictions"), *after])


HEADS = {
    "softmax inside": (lambda: _model(3, "softmax"), "multiclass", False),
    "softmax layer": (lambda: _model(3, None, layers.Softmax()), "multiclass", False),
    "activation layer": (lambda: _model(3, None, layers.Activation("softmax")), "multiclass", False),
    "logits": (lambda: _model(3, None), "multiclass", True),
    "linear layer": (lambda: _model(3, "softmax", layers.Activation("linear")), "multiclass", False),
    "sigmoids": (lambda: _model(3, None, layers.Activation("sigmoid")), "multilabel", False),
    "a unit": (lambda: _model(1, "sigmoid"), "binary", False),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_found_and_replaced_and_the_trunk_shared(name):
    build, task, from_logits = HEADS[name]
    model = build()
    head = find_head(model)
    assert (head.layer.name, head.task, head.from_logits) == ("predictions", task, from_logits)
    assert tlkeras.blocks(model).block_of(head.layer).role == "head"
    new = tlkeras.replace_head(model, 5)
    expected = keras.activations.softmax if task == "binary" else keras.activations.get(head.activation)
    assert new.output_shape == (None, 5)
    assert [layer.name for layer in new.layers if layer.weights] == ["trunk", "predictions"]
    assert new.get_layer("trunk") is model.get_layer("trunk")
    assert new.layers[-1].activation is expected
    assert find_head(new).from_logits == from_logits


def test_two_classes_for_a_single_unit_remain_a_single_unit():
    assert tlkeras.replace_head(_model(1, None, layers.Activation("sigmoid")), 2).output_shape == (None, 1)
    assert tlkeras.replace_head(_model(2, "softmax"), 2).output_shape == (None, 2)


@pytest.mark.parametrize("after", [(), (layers.Softmax(),)])
def test_a_softmax_of_one_unit_is_refused_and_replaced_by_one_of_two(after):
    model = _model(1, None if after else "softmax", *after)
    with pytest.raises(tlkeras.InputError, match="a softmax with one unit, which is always 1"):
        find_head(model)
    assert find_head(tlkeras.replace_head(model, 2)).layer.units == 2


@pytest.mark.parametrize("own", ["relu", "sigmoid", "softmax"])
def test_two_activations_in_a_row_are_refused_and_replaced_by_the_last(own):
    model = _model(3, own, layers.Softmax())
    with pytest.raises(
        tlkeras.InputError, match="two activations in a row, since 'predictions' has its own activation"
    ):
        find_head(model)
    assert find_head(tlkeras.replace_head(model, 3)).activation == "softmax"


def test_the_new_head_takes_the_name_of_the_old_activation_layer_and_of_no_layer_that_stays():
    named = [keras.Input((6,)), layers.Dense(3, name="logits"), layers.Softmax(name="predictions")]
    assert tlkeras.replace_head(keras.Sequential(named), 2).layers[-1].name == "predictions"
    taken = [keras.Input((6,)), layers.Dense(3, name="predictions"), layers.Dense(3, name="out")]
    assert tlkeras.replace_head(keras.Sequential(taken), 2).layers[-1].name != "predictions"


def test_a_replaced_head_is_trained_and_the_old_model_answers_as_before():
    model, x = _model(3, None, layers.Softmax()), np.ones((4, 6), "float32")
    before = model.predict(x, verbose=0)
    new = tlkeras.freeze(tlkeras.replace_head(model, ["a", "b"]))
    new.compile("sgd", "sparse_categorical_crossentropy")
    new.fit(x, np.zeros(4), verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


@pytest.mark.parametrize(
    ("model", "classes", "message"),
    [
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dropout(0.1)]), 2, "recognizable head"),
        (lambda: keras.Sequential([layers.Dense(3)]), 2, "a built functional"),
        (lambda: "mobilenet", 2, "`model` must be a keras.Model"),
        (lambda: keras.Model(x := keras.Input((4,)), [layers.Dense(1)(x), layers.Dense(1)(x)]), 2, "has 2 outputs"),
        (lambda: _model(3, None), 1, "`classes` must be at least two. Received: classes=1."),
        (lambda: _model(3, None), "cats", "a number of classes or a list of class names"),
        (lambda: _model(3, None), ["cat", "cat"], "a different name for each class"),
    ],
)
def test_what_cannot_get_a_head_is_refused(model, classes, message):
    with pytest.raises(tlkeras.InputError) as error:
        tlkeras.replace_head(model(), classes)
    assert message in str(error.value)
