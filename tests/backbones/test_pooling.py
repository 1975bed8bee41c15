"""Pooling of feature maps and of tokens, against NumPy."""

import keras
import numpy as np
import pytest

from tlkeras import InputError
from tlkeras.backbones.pooling import pool


def pooled(array, *args):
    inputs = keras.Input(array.shape[1:])
    return keras.Model(inputs, pool(inputs, *args)).predict(array, verbose=0)


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (3, 20, 6)])
def test_feature_maps_and_tokens_are_pooled_over_positions(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    flat = x.reshape(3, 20, 6)
    average, maximum = flat.mean(axis=1), flat.max(axis=1)
    np.testing.assert_allclose(pooled(x, "avg"), average, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(pooled(x, "max"), maximum)
    np.testing.assert_allclose(pooled(x, "concat"), np.hstack([average, maximum]), rtol=1e-4, atol=1e-6)


@pytest.mark.backends
def test_class_and_register_tokens_are_left_out_of_the_average_and_cls_is_the_first():
    x = np.random.default_rng(0).normal(size=(3, 20, 6)).astype("float32")
    np.testing.assert_allclose(pooled(x, "avg", 5), x[:, 5:].mean(axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(pooled(x, "max", 5), x[:, 5:].max(axis=1))
    np.testing.assert_allclose(pooled(x, "cls", 5), x[:, 0])


@pytest.mark.parametrize("shape, prefix", [((4, 4, 6), 0), ((20, 6), 0)])
def test_cls_needs_a_class_token(shape, prefix):
    with pytest.raises(InputError, match="class token"):
        pool(keras.Input(shape), "cls", prefix)
