"""The preprocessing layers against Keras' own `preprocess_input`, on every backend."""

import keras
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from tlkeras.backbones.preprocessing import PREPROCESSING, Preprocessing


@pytest.mark.backends
@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_modes_are_those_of_keras(mode, dtype, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(dtype)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, PREPROCESSING[mode](inputs))
    expected = preprocess_input(pixels.astype("float32"), mode=mode)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, rtol=1e-5, atol=2e-5)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(reloaded.predict(pixels, verbose=0), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.backends
def test_standardizing_is_by_channel():
    preprocess = Preprocessing.standardize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    inputs = keras.Input((1, 1, 3))
    model = keras.Model(inputs, preprocess(inputs))
    answer = model.predict(np.full((1, 1, 1, 3), 127.5, "float32"), verbose=0)
    np.testing.assert_allclose(answer.ravel(), [0.8, 1.2, 1.6], rtol=1e-5)
