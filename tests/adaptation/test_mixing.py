"""Accuracy between the weights before and after fine-tuning."""

import keras
import numpy as np
import pytest

import tlkeras

pytestmark = pytest.mark.backends


def _linear(kernel):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([np.array(kernel, "float32")])
    return model


def test_the_model_at_each_share_is_the_mean_of_both_and_the_weights_come_back():
    start, tuned = _linear([[1, 0], [0, 1]]), _linear([[0, 3], [3, 0]])
    points, labels = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2
    shares = (0.0, 0.2, 0.25, 0.3, 1.0)
    curve = tlkeras.mixing_curve(
        start, tuned, {"clean": (points, labels), "few": (points[:9], labels[:9])}, shares=shares
    )
    for place, share in enumerate(shares):
        scores = points @ ((1 - share) * np.eye(2) + share * 3 * np.eye(2)[::-1])
        if share != 0.25:  # where both classes tie
            assert curve.accuracy["clean"][place] == pytest.approx((scores.argmax(axis=1) == labels).mean())
    assert (tuned.get_weights()[0] == [[0, 3], [3, 0]]).all()
    text = str(curve)
    assert "clean" in text and f"{curve.accuracy['few'][0]:.3f}" in text


def test_other_architectures_and_images_without_classes_are_refused():
    model, images = _linear(np.eye(2)), {"clean": (np.eye(2), [0, 1])}
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(tlkeras.InputError, match="two different architectures"):
        tlkeras.mixing_curve(other, model, images)
    with pytest.raises(tlkeras.InputError, match=r"`shares` must be a number in \[0, 1\]"):
        tlkeras.mixing_curve(model, model, images, shares=[2])
    with pytest.raises(tlkeras.InputError, match="one class index per image"):
        tlkeras.mixing_curve(model, model, {"clean": (np.eye(2), np.eye(2))})
