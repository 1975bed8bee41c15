import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from PIL import Image

from tlkeras.augment.augmentation import augmentation
from tlkeras.augment.policies import AugmentationPolicy
from tlkeras.data.batches import ImageBatches
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError

pytestmark = pytest.mark.backends


def numbered(count=10, side=2, **options):
    """Batches in which the pixels of image n are all n."""

    def read(indices):
        return np.broadcast_to(indices[:, None, None, None], (len(indices), side, side, 3)).astype("uint8")

    return ImageBatches(read, np.arange(count), 4, **options)


def seen(batches):
    pixels, labels = zip(*(batches[index] for index in range(len(batches))), strict=True)
    pixels, labels = np.concatenate(pixels), np.concatenate(labels)
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], labels)
    return labels.tolist()


def test_batches_hold_every_image_once_in_order():
    batches = numbered()
    assert len(batches) == 3
    assert [len(batches[index][1]) for index in range(3)] == [4, 4, 2]
    assert seen(batches) == list(range(10))


def test_shuffling_is_seeded_and_new_each_epoch():
    one, same, other = numbered(shuffle=True), numbered(shuffle=True), numbered(shuffle=True, seed=1)
    first = seen(one)
    assert first == seen(same) != seen(other)
    assert sorted(first) == list(range(10)) != first
    one.on_epoch_end()
    assert sorted(seen(one)) == list(range(10)) and seen(one) != first


def test_augmentation_is_applied_in_training_mode():
    class Brighter(keras.layers.Layer):
        def call(self, images, training=False):
            return keras.ops.cast(images, "float32") + (100.0 if training else 0.0)

    images, _ = numbered(augment=Brighter())[0]
    assert images[:, 0, 0, 0].tolist() == [100, 101, 102, 103]


def test_augmented_batches_are_the_same_however_they_are_asked_for():
    def augmented():
        return numbered(augment=augmentation(AugmentationPolicy(why={}, light=0.5)))

    in_order, backwards = augmented(), augmented()
    one = [in_order[index][0] for index in range(3)]
    other = [backwards[index][0] for index in reversed(range(3))][::-1]
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
    in_order.on_epoch_end()
    assert np.abs(in_order[0][0] - one[0]).max() > 0


def test_two_batch_objects_that_share_an_augmentation_do_not_disturb_each_other():
    class Slow(keras.layers.Layer):
        """Draws twice, with time for another thread between."""

        def __init__(self):
            super().__init__()
            self.seed_generator = keras.random.SeedGenerator(0)

        def call(self, images, training=False):
            draws = []
            for _ in range(2):
                draws.append(keras.random.uniform((1, 1, 1, 3), seed=self.seed_generator))
                time.sleep(0.02)
            return images + draws[0] * 10 + draws[1]

    alone = [numbered(augment=Slow(), seed=seed)[1][0] for seed in (0, 1)]
    shared = Slow()
    batches = [numbered(augment=shared, seed=seed) for seed in (0, 1)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda turn: batches[turn % 2][1][0], range(8)))
    for turn, images in enumerate(together):
        np.testing.assert_array_equal(images, alone[turn % 2])


@pytest.mark.parametrize("mix", [keras.layers.MixUp(1.0, seed=0), keras.layers.CutMix(seed=0)])
def test_mixed_labels_are_shares_that_add_up_to_one(mix):
    images, labels = numbered(side=64, mix=mix, classes=10)[0]
    assert images.shape == (4, 64, 64, 3) and labels.shape == (4, 10)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
    # The pixels of image n are all n, so they tell what was mixed; CutMix labels by the cut before it is rounded.
    rounding = 3 * 2 / 64 if isinstance(mix, keras.layers.CutMix) else 1e-4
    np.testing.assert_allclose(labels @ np.arange(10), images.mean(axis=(1, 2, 3)), atol=rounding)


def test_rows_of_labels_are_mixed_as_one_hot_labels_are():
    rows = ImageBatches(numbered()._read, np.eye(10, dtype="float32"), 4, mix=keras.layers.MixUp(seed=0))
    numbers = numbered(mix=keras.layers.MixUp(seed=0), classes=10)
    for one, other in zip(rows[1], numbers[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert numbered().labels.ndim == 1 and ImageBatches(numbered()._read, np.eye(10), 4)[0][1].shape == (4, 10)


def test_data_set_of_tensorflow_holds_the_same_batches_epoch_after_epoch():
    pytest.importorskip("tensorflow")
    batches = numbered(shuffle=True, augment=augmentation("photo"))
    dataset = numbered(shuffle=True, augment=augmentation("photo")).as_dataset()
    assert len(dataset) == 3
    for _ in range(2):
        for ours, theirs in zip(batches, dataset, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)
        batches.on_epoch_end()


def test_numpys_integers_do_for_the_size_of_a_batch():
    assert len(ImageBatches(lambda indices: indices, [0, 1], np.int64(1))) == 2


def test_plain_iteration_ends_after_the_last_batch():
    assert [len(labels) for _, labels in numbered()] == [4, 4, 2]


@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_unusable_batch_size_is_refused(size):
    with pytest.raises(InputError, match="`batch_size` must be an integer >= 1"):
        ImageBatches(lambda indices: indices, [0, 1], size)


@pytest.mark.parametrize("name", ["augment", "mix"])
def test_what_cannot_be_called_on_a_batch_is_refused(name):
    with pytest.raises(InputError, match=f"{name}='photo'"):
        numbered(**{name: "photo"})


@pytest.fixture(scope="module")
def black_and_white(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, low in (("black", 0), ("white", 156)):
        (root / name).mkdir()
        for index in range(20):
            pixels = rng.integers(low, low + 100, (16, 16, 3), "uint8")
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return load_images(root, image_size=(16, 16))


def test_fit_evaluate_and_predict_take_batches(black_and_white):
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    train, test = black_and_white.train, black_and_white.test
    model.fit(
        train.batches(8, shuffle=True), validation_data=black_and_white.validation.batches(8), epochs=5, verbose=0
    )
    assert model.evaluate(test.batches(3), verbose=0, return_dict=True)["accuracy"] == 1.0
    np.testing.assert_allclose(
        model.predict(test.batches(3), verbose=0), model.predict(test.read(), verbose=0), atol=1e-5
    )


def test_predictions_follow_the_order_of_the_paths(black_and_white):
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()])
    answers = model.predict(black_and_white.train.batches(4), verbose=0)
    np.testing.assert_allclose(answers, black_and_white.train.read().mean(axis=(1, 2)), rtol=1e-4)
