import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from tlkeras.data.duplicates import Fingerprint, fingerprint, near_duplicate_groups, near_duplicate_pairs


@pytest.fixture(scope="module")
def drawings(clipart10):
    return [Image.open(path).convert("RGB") for path in sorted(clipart10.glob("*/*.jpg"))[::9]]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((image.width * 2, image.height * 2)),
        lambda image: image.resize((image.width // 2, image.height // 2)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: ImageEnhance.Color(image).enhance(0.0),
        lambda image: Image.merge("RGB", image.split()[::-1]),
    ],
    ids=["larger", "smaller", "darker", "gray", "other colors"],
)
def test_a_changed_copy_is_a_near_duplicate(drawings, change):
    found = [len(near_duplicate_pairs([fingerprint(image), fingerprint(change(image))])) for image in drawings]
    assert np.mean(found) >= 0.95


def test_an_empty_margin_makes_no_difference(drawings):
    image = drawings[0]
    canvas = Image.new("RGB", (image.width + 90, image.height + 50), "white")
    canvas.paste(image, (70, 10))
    assert len(near_duplicate_pairs([fingerprint(image), fingerprint(canvas)])) == 1


def test_unrelated_noise_images_are_no_near_duplicates():
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (32, 32), "uint8")) for _ in range(60)]
    assert len(near_duplicate_pairs([fingerprint(image) for image in images])) == 0


def test_pairs_of_clipart10_are_the_ones_seen_by_eye(clipart10):
    paths = sorted(clipart10.glob("*/*.jpg"))
    pairs = near_duplicate_pairs([fingerprint(Image.open(path)) for path in paths])
    names = {frozenset((paths[first].stem, paths[second].stem)) for first, second, _ in pairs}
    assert frozenset(("flower-01", "flower-02")) in names
    assert frozenset(("sleeping-cat-rgolan-sup-r", "sleeping-cat-ron-golan-01")) in names
    assert 35 <= len(names) <= 45


def test_pairs_do_not_depend_on_how_many_images_are_compared_at_once(clipart10, monkeypatch):
    prints = [fingerprint(Image.open(path)) for path in sorted(clipart10.glob("fruit/*.jpg"))]
    at_once = near_duplicate_pairs(prints)
    monkeypatch.setattr("tlkeras.data.duplicates._BLOCK", 7)
    np.testing.assert_array_equal(near_duplicate_pairs(prints), at_once)


def test_groups_link_through_common_neighbors():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), "uint8"))
    first, other = fingerprint(image), fingerprint(image.transpose(Image.Transpose.ROTATE_90))
    assert near_duplicate_groups([other, first, other, first, first]).tolist() == [0, 1, 0, 1, 1]


def test_a_long_chain_of_strangers_is_taken_apart():
    bits = np.zeros((60, 192), bool)
    for index in range(60):
        bits[index, 3 * index : 3 * index + 40] = True  # each close to its neighbors, far from the others
    groups = near_duplicate_groups([Fingerprint(one, 0.0) for one in bits])
    assert np.bincount(groups).max() <= 20


def test_many_copies_of_one_image_stay_together():
    rng = np.random.default_rng(0)
    original = rng.random(192) < 0.5
    copies = [original ^ (rng.random(192) < 0.05) for _ in range(200)]
    assert set(near_duplicate_groups([Fingerprint(one, 0.0) for one in copies])) == {0}


def test_handwritten_digits_do_not_end_up_in_one_group():
    images = [Image.fromarray((image * 15).astype("uint8")).resize((28, 28)) for image in load_digits().images[:600]]
    groups = near_duplicate_groups([fingerprint(image) for image in images])
    assert np.bincount(groups).max() <= 60


def test_images_of_one_color_are_alike():
    black, gray = Image.new("RGB", (20, 20)), Image.new("RGB", (30, 30), "gray")
    assert near_duplicate_groups([fingerprint(black), fingerprint(gray)]).tolist() == [0, 0]


def test_no_images_have_no_groups():
    assert near_duplicate_groups([]).tolist() == []
