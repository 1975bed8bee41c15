import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from tlkeras.data import duplicates
from tlkeras.data.duplicate_alignment import aligned_correlation
from tlkeras.data.duplicates import fingerprint, near_duplicate_groups, near_duplicate_pairs


@pytest.fixture(scope="module")
def drawings(clipart10):
    return [Image.open(path).convert("RGB") for path in sorted(clipart10.glob("*/*.jpg"))[::9]]


@pytest.fixture(scope="module")
def radiographs():
    """Images that share their broad shading, as X-rays do, each with fine detail of its own."""
    rng = np.random.default_rng(0)
    shared = gaussian_filter(rng.normal(0, 1, (120, 120)), 12)
    shared *= 70 / np.abs(shared).max()
    detail = (gaussian_filter(rng.normal(0, 1, (120, 120)), 2) for _ in range(60))
    return [Image.fromarray((120 + shared + 10 * one / one.std()).clip(0, 255).astype("uint8")) for one in detail]


def jpeg(quality):
    def resave(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return resave


def crop(share):
    def cut(image):
        width, height = image.size
        return image.crop((0, 0, round(width * (1 - share)), round(height * (1 - share))))

    return cut


COPIES = {
    "larger": lambda image: image.resize((image.width * 2, image.height * 2)),
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "resaved at 30": jpeg(30),
    "resaved at 75": jpeg(75),
    "cropped": crop(0.03),
}
RECOLORED = {
    "gray": lambda image: ImageEnhance.Color(image).enhance(0.0),
    "other colors": lambda image: Image.merge("RGB", image.split()[::-1]),
}


@pytest.mark.parametrize("change", {**COPIES, **RECOLORED}.values(), ids=[*COPIES, *RECOLORED])
def test_a_changed_copy_of_a_drawing_is_a_near_duplicate(drawings, change):
    found = [len(near_duplicate_pairs([fingerprint(image), fingerprint(change(image))])) for image in drawings]
    assert np.mean(found) >= 0.95


def test_among_images_that_are_all_alike_only_copies_are_near_duplicates(radiographs):
    prints, copies = [fingerprint(image) for image in radiographs], set()
    for number, change in enumerate(COPIES.values()):
        for index in range(5 * number, 5 * number + 5):
            copies.add((index, len(prints)))
            prints.append(fingerprint(change(radiographs[index])))
    pairs = {tuple(pair) for pair in near_duplicate_pairs(prints).tolist()}
    assert len(pairs & copies) >= 0.97 * len(copies) and len(pairs & copies) >= 0.97 * len(pairs)
    groups = near_duplicate_groups(prints)
    assert all(groups[one] == groups[other] for one, other in pairs)


def test_the_first_look_alone_would_call_many_of_them_alike(radiographs):
    collection = duplicates._Collection([fingerprint(image) for image in radiographs])
    distances = duplicates._distances(collection.hashes, collection.hashes)
    assert np.mean(distances <= duplicates._MAX_DISTANCE) > 0.1


@pytest.mark.parametrize("turn", [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90])
def test_mirrored_and_rotated_images_are_no_near_duplicates(drawings, radiographs, turn):
    def share(images):
        pairs = ([fingerprint(image), fingerprint(image.transpose(turn))] for image in images)
        return np.mean([len(near_duplicate_pairs(pair)) for pair in pairs])

    assert share(radiographs[:20]) == 0
    assert share(drawings) < 0.1  # some are symmetric


def test_an_empty_margin_makes_no_difference(drawings):
    image = drawings[0]
    canvas = Image.new("RGB", (image.width + 90, image.height + 50), "white")
    canvas.paste(image, (70, 10))
    assert len(near_duplicate_pairs([fingerprint(image), fingerprint(canvas)])) == 1


def test_unrelated_noise_images_are_no_near_duplicates():
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (32, 32), "uint8")) for _ in range(60)]
    assert len(near_duplicate_pairs([fingerprint(image) for image in images])) == 0


def test_smooth_images_without_fine_detail_are_told_apart_and_their_copies_found():
    rng = np.random.default_rng(0)
    smooth = [gaussian_filter(rng.normal(0, 1, (80, 80)), 12) for _ in range(8)]
    images = [Image.fromarray((255 * (one - one.min()) / np.ptp(one)).astype("uint8")) for one in smooth]
    prints = [fingerprint(image) for image in [*images, *map(jpeg(60), images)]]
    assert near_duplicate_groups(prints).tolist() == [*range(8), *range(8)]


def test_pairs_of_clipart10_are_the_ones_seen_by_eye(clipart10):
    paths = sorted(clipart10.glob("*/*.jpg"))
    pairs = near_duplicate_pairs([fingerprint(Image.open(path)) for path in paths])
    names = {frozenset((paths[first].stem, paths[second].stem)) for first, second in pairs}
    assert frozenset(("flower-01", "flower-02")) in names
    assert frozenset(("sleeping-cat-rgolan-sup-r", "sleeping-cat-ron-golan-01")) in names
    assert frozenset(("home12", "home9")) not in names and frozenset(("an-apple-01", "applf")) not in names
    assert 28 <= len(names) <= 36


def test_results_do_not_depend_on_how_many_pairs_are_compared_at_once(radiographs, monkeypatch):
    prints = [fingerprint(image) for image in [*radiographs, *map(crop(0.03), radiographs[:9])]]
    pairs, groups = near_duplicate_pairs(prints), near_duplicate_groups(prints)
    monkeypatch.setattr("tlkeras.data.duplicates._BLOCK", 500)
    monkeypatch.setattr("tlkeras.data.duplicate_alignment._BATCH", 7)
    np.testing.assert_array_equal(near_duplicate_pairs(prints), pairs)
    np.testing.assert_array_equal(near_duplicate_groups(prints), groups)


def test_hash_distances_are_the_numbers_of_differing_bits(monkeypatch):
    words = np.random.default_rng(0).integers(0, 2**63, (6, 3), "uint64")
    expected = [[sum((int(a) ^ int(b)).bit_count() for a, b in zip(x, y, strict=True)) for y in words] for x in words]
    np.testing.assert_array_equal(duplicates._distances(words, words), expected)
    monkeypatch.delattr(np, "bitwise_count", raising=False)  # as in NumPy 1
    np.testing.assert_array_equal(duplicates._distances(words, words), expected)


def test_alignment_undoes_shifts_and_changes_of_scale_but_not_a_mirror():
    rng = np.random.default_rng(0)
    scene = gaussian_filter(rng.normal(0, 60, (200, 200)), 4)
    seen = lambda *box: np.asarray(Image.fromarray(scene.astype("float32")).crop(box).resize((40, 40), 4))  # noqa: E731
    whole = np.stack([seen(10, 10, 170, 170)] * 3)
    moved = np.stack([seen(14, 6, 174, 166), seen(6, 8, 172, 174), seen(10, 10, 170, 170)[:, ::-1]])
    assert (aligned_correlation(whole, moved) > [0.97, 0.97, -1]).all()
    assert aligned_correlation(whole, moved)[2] < 0.5


def test_groups_link_through_common_neighbors():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), "uint8"))
    first, other = fingerprint(image), fingerprint(image.transpose(Image.Transpose.ROTATE_90))
    assert near_duplicate_groups([other, first, other, first, first]).tolist() == [0, 1, 0, 1, 1]


def test_a_long_chain_of_strangers_is_taken_apart():
    noise = np.random.default_rng(0).normal(0, 1, (70, 40, 40))
    drift = np.stack([noise[index : index + 10].sum(axis=0) for index in range(60)])  # neighbors correlate at 0.9
    prints = [fingerprint(Image.fromarray((128 + 12 * one).clip(0, 255).astype("uint8"))) for one in drift]
    assert {(index, index + 1) for index in range(59)} <= set(map(tuple, near_duplicate_pairs(prints).tolist()))
    assert np.bincount(near_duplicate_groups(prints)).max() <= 20


def test_many_copies_of_one_image_stay_together_in_memory_that_grows_with_their_number():
    rng = np.random.default_rng(0)
    original = gaussian_filter(rng.normal(0, 1, (40, 40)), 1) * 300 + 128
    copies = [(original + rng.normal(0, 2, (40, 40))).clip(0, 255).astype("uint8") for _ in range(2500)]
    prints = [duplicates.Fingerprint(one, 0.0) for one in copies]
    tracemalloc.start()
    groups = near_duplicate_groups(prints)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(groups) == {0}
    assert peak < 60e6  # all pairs, as two integers of 8 bytes each, would take 50 MB more


def test_handwritten_digits_do_not_end_up_in_one_group():
    images = [Image.fromarray((image * 15).astype("uint8")).resize((28, 28)) for image in load_digits().images[:400]]
    groups = near_duplicate_groups([fingerprint(image) for image in images])
    assert np.bincount(groups).max() <= 40


def test_images_of_one_color_are_alike():
    black, gray = Image.new("RGB", (20, 20)), Image.new("RGB", (30, 30), "gray")
    assert near_duplicate_groups([fingerprint(black), fingerprint(gray)]).tolist() == [0, 0]


def test_no_images_have_no_groups():
    assert near_duplicate_groups([]).tolist() == []
