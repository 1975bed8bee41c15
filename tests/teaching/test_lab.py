"""The plumbing of lessons: splits that keep groups together, scores on test images, comparisons, the scoreboard."""

import json
import re

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import tlkeras
from tlkeras import InputError
from tlkeras.data.dataset import ImageSplit
from tlkeras.teaching import comparing, lab, percent, session


@pytest.fixture(scope="module")
def images():
    """120 made images of 3 classes, in pairs that belong together."""
    paths = np.array([f"/data/{name}/{number:03}.png" for name in "abc" for number in range(40)])
    labels, groups = np.repeat([0, 1, 2], 40), np.repeat(np.arange(60), 2)
    return ImageSplit(paths, labels, ("a", "b", "c"), (8, 8), "stretch", groups, paths)


def test_a_notebook_computes_small_linear_problems_in_one_thread():
    with threadpool_limits(2, user_api="blas"):  # restores what was before
        session._use_one_blas_thread()
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_splits_keep_groups_and_classes_and_differ(images):
    dealt = lab.splits(images, 3, test_size=0.25, validation_size=0.25)
    assert len({tuple(split.test) for split in dealt}) == 3
    for train, test, validation in dealt:
        assert sorted([*train, *test, *validation]) == list(range(120))
        assert not set(images.groups[train]) & set(images.groups[test])
        assert np.bincount(images.labels[test]).tolist() == [10, 10, 10]
    elsewhere = np.array([f"/home/somebody{path}" for path in images.paths])
    moved = ImageSplit(
        elsewhere,
        images.labels,
        *(getattr(images, n) for n in ("class_names", "image_size", "resize")),
        images.groups,
        elsewhere,
    )
    assert np.array_equal(lab.splits(moved, 1, test_size=0.25, validation_size=0.25)[0].test, dealt[0].test)


def test_scores_are_those_of_test_images_only(images):
    class Memory:
        def fit(self, x, y):
            self.known = dict(zip(x[:, 0], y, strict=True))
            return self

        def predict(self, x):
            return np.array([self.known.get(value, -1) for value in x[:, 0]])

    def grouped(x, y, groups):
        assert len(groups) == len(y) == len(x)
        return Memory().fit(x, y)

    dealt = lab.splits(images, 2)
    features = np.arange(120.0)[:, None]
    assert lab.scores(lambda x, y: Memory().fit(x, y), features, images, dealt).tolist() == [0, 0]
    everything = [lab.Split(np.arange(120), np.arange(120))] * 2
    assert lab.scores(grouped, features, images, everything).tolist() == [1, 1]
    with pytest.raises(InputError, match="120 images"):
        lab.scores(grouped, features[:5], images, dealt)


def test_comparisons_know_the_sizes_of_their_splits(images):
    dealt = lab.splits(images, 4)
    a, b = np.array([0.7, 0.8, 0.75, 0.72]), np.array([0.6, 0.7, 0.66, 0.61])
    expected = tlkeras.compare(a, b, train=90, test=30, names=("x", "y"))
    assert comparing.compare({"x": a, "y": b}, dealt) == expected
    assert comparing.interval(a, dealt) == tlkeras.resampled_interval(a, train=90, test=30)
    for wrong in ({"x": a}, {"x": a, "y": b, "z": a}):
        with pytest.raises(InputError, match="two methods"):
            comparing.compare(wrong, dealt)


def test_the_scoreboard_has_earlier_rows_and_its_own_in_bold(monkeypatch, tmp_path):
    folder = tmp_path / "measurements" / "scoreboard"
    folder.mkdir(parents=True)
    stored = {"images": "photos", "splits": 5}
    (folder / "01.json").write_text(json.dumps([stored | {"approach": "probe", "right": [0.68, 0.64, 0.72]}]))
    (folder / "05.json").write_text(json.dumps([stored | {"approach": "later", "right": [0.9]}]))
    monkeypatch.setattr(comparing.resources, "files", lambda package: tmp_path)
    rows = {"SVM": (0.7, 0.6, 0.8), "largest class": 0.2}
    shown = comparing.scoreboard("03", rows, images={"SVM": "drawings, 96 px"}, splits={"largest class": 3})
    bundle = shown._repr_mimebundle_()
    assert [re.split("  +", line.strip())[2:] for line in str(shown).splitlines()[1:]] == [
        ["photos", "5", "68.0% (64.0 to 72.0)"],
        ["drawings, 96 px", "12", "70.0% (60.0 to 80.0)"],
        ["drawings, 160 px", "3", "20.0%"],
    ]
    assert "later" not in str(shown)
    assert bundle[comparing.SCOREBOARD] == [
        {"approach": "SVM", "images": "drawings, 96 px", "splits": 12, "right": [0.7, 0.6, 0.8]},
        {"approach": "largest class", "images": "drawings, 160 px", "splits": 3, "right": [0.2]},
    ]
    assert ">SVM</th>" in bundle["text/html"] and ">probe</td>" in bundle["text/html"]
    assert percent((0.7, 0.6, 0.8)) == "70.0% (60.0 to 80.0)"


@pytest.mark.parametrize("right, images", [(54, 85), (0, 20), (110, 170)])
def test_one_split_has_the_interval_of_wilson(right, images):
    share, z = right / images, 1.959964
    center = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z * np.sqrt(share * (1 - share) / images + z**2 / (4 * images**2)) / (1 + z**2 / images)
    assert comparing.counted(share, images) == pytest.approx((share, center - half, center + half), abs=1e-6)


def test_a_head_learns_from_stored_features():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    x = (rng.normal(size=(80, 4)) * 50 + 100 * y[:, None]).astype("float32")
    model, history = lab.train_head(x, y, (x, y), epochs=15, learning_rate=0.03)
    assert history["val_accuracy"][-1] > 0.9 and len(history["loss"]) == 15
    assert model.predict(x[:3], verbose=0).shape == (3, 2)


def test_the_maps_that_vary_most_are_drawn_from_black_to_white():
    maps = np.zeros((2, 2, 3))
    maps[..., 1] = [[0, 1], [2, 4]]
    maps[..., 2] = [[0, 1], [1, 0]]
    drawn = lab.strongest_maps(maps, count=2)
    assert drawn.shape == (2, 160, 160, 3)
    assert drawn[0, ::80, ::80, 0].tolist() == [[0, 64], [128, 255]]
    assert drawn[1, ::80, ::80, 0].tolist() == [[0, 255], [255, 0]]


def test_other_labels_leave_the_images_as_they_are(images):
    other = lab.relabeled(images, images.labels == 2)
    assert other.counts().tolist() == [80, 40] and other.class_names == ("no", "yes")
    assert other.paths is images.paths and images.labels.max() == 2


def test_neighbors_of_the_same_group_do_not_count(images):
    features = np.eye(60)[images.groups]  # only the partner is alike
    assert lab.neighbors_agree(features, images) < 1
    assert lab.neighbors_agree(np.eye(3)[images.labels], images) == 1


@pytest.mark.slow
def test_features_of_several_blocks_in_one_pass_are_those_of_each_block():
    few = lab.drawings(image_size=32).take(range(6))
    blocks = ["block1", "block3"]
    at_once = lab.features(few, block=blocks)
    assert list(at_once) == blocks
    for block in blocks:
        np.testing.assert_allclose(at_once[block], lab.features(few, block=block), rtol=1e-4, atol=1e-4)
