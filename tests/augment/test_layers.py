import io

import keras
import numpy as np
import pytest
from keras.src.testing import TestCase
from PIL import Image

from tlkeras.augment.layers import FourierMix, GridMask, RandomChannelShuffle, RandomJpegQuality
from tlkeras.data.batches import ImageBatches
from tlkeras.errors import InputError

pytestmark = pytest.mark.backends

CHANGES = [GridMask, RandomChannelShuffle, RandomJpegQuality]


def apply(layer, images, training=True):
    return keras.ops.convert_to_numpy(layer(images, training=training))


@pytest.fixture(scope="module")
def images():
    """Smooth color pictures with a black and a white corner, whose sides are no multiples of 16."""
    rows, columns = np.mgrid[0:40, 0:56] / 55
    picture = np.stack([rows, columns, 1 - rows], -1) * 255
    picture[:6, :6], picture[-6:, -6:] = 0, 255
    return np.round(np.stack([picture, picture[::-1], picture[:, ::-1], 255 - picture])).astype("float32")


@pytest.mark.parametrize("layer", [*CHANGES, FourierMix])
def test_layer_passes_the_test_that_keras_has_for_layers(layer):
    TestCase().run_layer_test(
        layer,
        init_kwargs={"seed": 1},
        input_shape=(3, 16, 24, 3),
        expected_output_shape=(3, 16, 24, 3),
        expected_num_seed_generators=1,
        expected_num_trainable_weights=0,
        run_training_check=False,  # nothing in it can be trained
    )


@pytest.mark.parametrize("layer", CHANGES)
def test_share_of_changed_images_is_the_rate_and_none_at_inference(images, layer):
    many = np.repeat(images[:1], 300, axis=0)
    changed = np.abs(apply(layer(rate=0.3, seed=0), many) - many).max(axis=(1, 2, 3)) > 0
    expected = 0.3 * (5 / 6 if layer is RandomChannelShuffle else 1)  # one order of six is the old one
    assert abs(changed.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(many))
    np.testing.assert_array_equal(apply(layer(rate=1.0), many, training=False), many)


@pytest.mark.parametrize("layer", CHANGES)
def test_pixels_stay_within_0_and_255(images, layer):
    changed = apply(layer(rate=1.0, seed=0), np.concatenate([images, np.zeros_like(images), 0 * images + 255]))
    assert np.isfinite(changed).all() and changed.min() >= 0 and changed.max() <= 255


@pytest.mark.parametrize("layer", CHANGES)
def test_one_image_without_a_batch_is_changed_as_in_a_batch_of_one(images, layer):
    for training in (True, False):
        alone = apply(layer(rate=1.0, seed=0), images[0], training)
        np.testing.assert_array_equal(alone, apply(layer(rate=1.0, seed=0), images[:1], training)[0])
        assert (np.abs(alone - images[0]).max() > 0) == training


@pytest.mark.parametrize("layer", CHANGES)
def test_seed_decides_what_is_changed(images, layer):
    one, same, other = (apply(layer(rate=1.0, seed=seed), images) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_model_with_the_layers_saves_loads_and_predicts_on_untouched_images(images, tmp_path):
    model = keras.Sequential([keras.Input((40, 56, 3)), *(layer(rate=1.0) for layer in CHANGES)])
    np.testing.assert_array_equal(model.predict(images, verbose=0), images)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), images)
    assert np.abs(apply(loaded, images) - images).mean() > 1


def test_shuffled_channels_are_the_same_channels(images):
    changed = apply(RandomChannelShuffle(rate=1.0, seed=0), images)
    for before, after in zip(images, changed, strict=True):
        planes = [after[..., channel].tobytes() for channel in range(3)]
        assert sorted(planes) == sorted(before[..., channel].tobytes() for channel in range(3))


def test_hidden_share_of_a_grid_is_the_square_of_its_side():
    white = np.full((200, 64, 64, 3), 255, "float32")
    changed = apply(GridMask(rate=1.0, hidden=0.5, distance=(0.2, 0.3), fill=0.0, seed=0), white)
    assert set(np.unique(changed)) == {0, 255}
    np.testing.assert_allclose((changed == 0).mean(), 0.25, atol=0.02)


@pytest.mark.parametrize(
    ("quality", "mode"), [(10, "RGB"), (30, "RGB"), (50, "RGB"), (75, "RGB"), (95, "RGB"), (10, "L"), (75, "L")]
)
def test_jpeg_quality_gives_the_pixels_that_pillow_gives(clipart10, quality, mode):
    with Image.open(clipart10 / "bug" / "bee.jpg") as image:
        picture = image.convert(mode).resize((116, 83))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling="4:2:0")
    given, expected = (np.asarray(one, "float32").reshape(83, 116, -1) for one in (picture, Image.open(file)))
    ours = apply(RandomJpegQuality(rate=1.0, quality=(quality, quality)), given[None])[0]
    lost = np.abs(expected - given).mean()
    assert np.abs(ours - expected).mean() < 0.1 * lost + 0.5  # Pillow computes with integers


def test_fourier_mix_mixes_labels_by_the_share_of_pixels():
    numbers = np.arange(8, dtype="float32")
    batch = {"images": np.broadcast_to(numbers[:, None, None, None], (8, 20, 30, 3)), "labels": np.eye(8)}
    mixed = FourierMix(seed=0)({name: value.astype("float32") for name, value in batch.items()}, training=True)
    pixels, labels = (keras.ops.convert_to_numpy(mixed[name]) for name in ("images", "labels"))
    assert set(np.unique(pixels)) <= set(numbers)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(labels @ numbers, pixels.mean(axis=(1, 2, 3)), atol=1e-4)
    assert 0.2 < labels.max(axis=1).mean() < 0.99


def test_patches_of_fourier_mix_hang_together():
    batch = {"images": np.zeros((64, 32, 32, 1), "float32"), "labels": np.eye(64, dtype="float32")}
    batch["images"][::2] = 1
    pixels = keras.ops.convert_to_numpy(FourierMix(seed=0)(batch, training=True)["images"])
    edges = np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()
    shares = pixels.mean(axis=(1, 2, 3))
    scattered = 4 * (shares * (1 - shares)).mean()  # the same shares, each pixel by itself
    assert 0 < edges < scattered / 4


def test_batches_mixed_by_fourier_mix_are_reproducible():
    def read(indices):
        return np.broadcast_to(indices[:, None, None, None], (len(indices), 16, 16, 3)).astype("uint8")

    one, same = (ImageBatches(read, np.arange(6), 3, mix=FourierMix(), classes=6)[1] for _ in range(2))
    for first, second in zip(one, same, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GridMask(rate=1.5), "rate=1.5"),
        (lambda: GridMask(hidden=-1), "hidden=-1"),
        (lambda: GridMask(distance=0.5), "distance=0.5"),
        (lambda: RandomJpegQuality(quality=(80, 20)), "quality="),
        (lambda: RandomJpegQuality(quality=(0, 20)), r"in \[1, 100\]"),
        (lambda: FourierMix(alpha=0), "alpha=0"),
        (lambda: FourierMix(alpha="a"), "alpha='a'"),
        (lambda: FourierMix(decay_power=None), "decay_power=None"),
        (lambda: GridMask(rate="a"), "rate='a'"),
        (lambda: GridMask(fill="black"), "fill='black'"),
        (lambda: GridMask(distance=("a", "b")), "distance="),
        (lambda: FourierMix()(np.zeros((8, 8, 3), "float32"), training=True), r"on a batch.*\(8, 8, 3\)"),
    ],
)
def test_unusable_argument_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
