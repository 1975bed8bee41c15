"""Domains: a distance with known values, and accuracies against those counted by hand."""

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.data.dataset import ImageSplit


def gaussian(images, shift=0.0, seed=0):
    return shift + np.random.default_rng(seed).normal(size=(images, 5))


def test_halves_of_one_domain_are_told_apart_by_chance_only():
    errors = [tlkeras.domain_distance(gaussian(60, seed=2 * s), gaussian(60, seed=2 * s + 1)).error for s in range(20)]
    assert np.mean(errors) == pytest.approx(0.5, abs=0.04)
    halves = tlkeras.domain_distance(gaussian(80), gaussian(80, seed=1))
    assert halves.interval[0] == 0 and halves.distance < 0.5


def test_an_image_that_is_in_both_domains_tells_them_apart_neither_way():
    same = gaussian(60)
    found = tlkeras.domain_distance(same, same, groups=(np.arange(60), np.arange(60)))
    assert found.error == pytest.approx(0.5, abs=0.01) and found.distance < 0.05


def test_the_distance_follows_its_closed_form_and_counts_both_domains_alike():
    far = tlkeras.domain_distance(gaussian(300, 50), gaussian(20))
    assert (far.distance, far.error) == (2.0, 0.0)
    # Two normal distributions whose means lie d standard deviations apart are told apart with an error of Phi(-d / 2).
    near = tlkeras.domain_distance(gaussian(4000), gaussian(1000, seed=1) + np.eye(5)[0])
    assert near.error == pytest.approx(0.3085, abs=0.02)
    assert near.distance == pytest.approx(2 * (1 - 2 * near.error))
    assert near.interval[0] < 2 * (1 - 2 * 0.3085) < near.interval[1]


def split(pixels, labels, names=("dark", "light")):
    sources = np.empty(len(pixels), object)
    sources[:] = list(pixels)
    names_of_images = np.array([f"image {index}" for index in range(len(pixels))])
    return ImageSplit(
        names_of_images, np.array(labels), names, pixels[0].shape[:2], "stretch", np.arange(len(pixels)), sources
    )


@pytest.fixture(scope="module")
def model():
    """The brightness of an image, and a head that calls images above 100 light."""
    inputs = keras.Input((8, 8, 3))
    brightness = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    head = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(inputs, head(brightness))
    head.set_weights([np.array([[-10.0, 10.0]] * 3), np.array([300 / 255 * 10, -300 / 255 * 10])])
    return model


def images(levels, seed=0):
    rng = np.random.default_rng(seed)
    return [(level + rng.integers(0, 20, (8, 8, 3))).astype("uint8") for level in levels]


def test_clean_corrupted_and_shifted_images_are_compared_in_one_table(model):
    clean = split(images([20] * 10 + [180] * 10), [0] * 10 + [1] * 10)
    shifted = split(images([20] * 6 + [60] * 6, 1), [1] * 6 + [0] * 6, names=("light", "dark"))  # another order
    shifted = ImageSplit(**{**vars(shifted), "labels": np.array([1] * 6 + [0] * 6)})
    compared = tlkeras.compare_domains(model, {"clean": clean, "dimmed": shifted}, corruptions=["dark"], severity=5)
    assert [(row.name, row.images, row.accuracy) for row in compared.rows] == [
        ("clean", 20, 1.0),
        ("clean, dark", 20, 0.5),  # all light ones become dark
        ("dimmed", 12, 0.5),  # 60 is called dark
    ]
    assert compared.rows[0].distance is None and compared.rows[2].distance.distance > 0.5
    lines = str(compared).splitlines()
    assert len(lines) == 4 and "0.500" in lines[2]
    assert compared.to_dict()["domains"][1]["name"] == "clean, dark"


def test_images_that_cannot_be_read_are_counted_and_other_classes_are_refused(model, tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    clean = split(images([20] * 6 + [180] * 6), [0] * 6 + [1] * 6)
    clean.sources[0] = str(tmp_path / "damaged.png")
    (row,) = tlkeras.compare_domains(model, {"clean": clean}, corruptions=()).rows
    assert (row.images, row.skipped, row.accuracy) == (11, 1, 1.0)
    clean.sources[:8] = str(tmp_path / "damaged.png")
    with pytest.raises(tlkeras.InputError, match=r"at least 5 readable images\. Received: 4"):
        tlkeras.compare_domains(model, {"clean": clean}, corruptions=())
    other = split(images([20] * 6), [0] * 6, names=("dim", "light"))
    with pytest.raises(tlkeras.InputError, match="class 'dim', which is not among the model's classes"):
        tlkeras.compare_domains(model, {"clean": clean, "other": other})
    with pytest.raises(tlkeras.InputError, match="`domains` must be a dict"):
        tlkeras.compare_domains(model, clean)
    with pytest.raises(tlkeras.InputError, match="from the same network"):
        tlkeras.domain_distance(gaussian(10), gaussian(10)[:, :3])
    with pytest.raises(tlkeras.InputError, match="at least 5 images per domain"):
        tlkeras.domain_distance(gaussian(10), gaussian(3))
