"""What fine-tuned models are measured by: predictions by the fastest engine, equal to those of Keras."""

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.selection import by_fine_tuning
from tlkeras.selection.by_fine_tuning import predicted, predicted_with_features, train_by_fine_tuning
from tlkeras.selection.outcome import Task


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


@pytest.fixture
def images(monkeypatch):
    """Forty images, and a tiny classifier for them."""
    monkeypatch.setattr(
        by_fine_tuning,
        "_classifier",
        lambda task: keras.Sequential(
            [
                keras.Input((*task.images.image_size, 3)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(4, 3),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(2, activation="softmax"),
            ]
        ),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype("uint8")
    return tlkeras.load_images(list(pixels), labels=np.arange(40) % 2, image_size=16, near_duplicates=False)


def test_the_refitted_model_trains_for_as_many_epochs_as_the_measured_one(images):
    events = []
    trained = train_by_fine_tuning(Task(images, epochs=2, on_event=events.append))
    refit = [event for event in events if event.get("stage") == "refit" and "epoch" in event]
    assert len(images.train) <= 32 < len(trained.learned) == 40  # two steps per epoch, then three
    assert trained.choices["average_with_probe"] == 0.5  # too few validation images to choose something else
    assert trained.choices["steps"] == 2 * trained.choices["epoch"]
    assert len(refit) == trained.choices["epoch"] and all(event["steps_per_epoch"] == 3 for event in refit)


def test_a_plan_with_smaller_images_trains_measures_and_refits_on_them(images, monkeypatch):
    monkeypatch.setattr(by_fine_tuning, "_step_seconds", lambda task, blocks: 100.0)
    trained = train_by_fine_tuning(Task(images, minutes=0.001, epochs=1, smaller_sides=(8,)))
    assert trained.model.input_shape == (None, 8, 8, 3)
    assert trained.measured.images.image_size == trained.learned.image_size == (8, 8)
    assert trained.measured.probabilities.shape == (len(images.test), 2) and len(trained.learned) == 40
