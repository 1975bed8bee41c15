"""What fine-tuned models are measured by: predictions by the fastest engine, equal to those of Keras."""

import keras
import numpy as np

import tlkeras
from tlkeras.selection.by_fine_tuning import predicted, predicted_with_features


def test_held_out_images_are_predicted_as_by_keras_with_the_inputs_of_the_head():
    pixels = np.random.default_rng(0).integers(0, 256, (37, 16, 16, 3)).astype("uint8")
    split = tlkeras.load_images(
        list(pixels), labels=np.arange(37) % 3, image_size=16, near_duplicates=False, validation_size=0, test_size=0
    ).train
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(5, 3), keras.layers.GlobalAveragePooling2D()]
    below = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    model = keras.Sequential([*below.layers, keras.layers.Dense(3, activation="softmax")])
    model.build((None, 16, 16, 3))
    in_order = np.stack(list(split.sources))
    probabilities, features = predicted_with_features(model, split, batch_size=8)
    np.testing.assert_allclose(probabilities, model.predict(in_order, verbose=0), atol=1e-5)
    np.testing.assert_allclose(features, below.predict(in_order, verbose=0), atol=1e-5)
    mirrored = model.predict(in_order[:, :, ::-1], verbose=0)
    flipped = predicted(model, split, flips=("horizontal_flip",))
    np.testing.assert_allclose(flipped, (probabilities + mirrored) / 2, atol=1e-5)
