"""Typical images come first, then undecided ones; the table goes to `fit` when it is filled in."""

import csv

import keras
import numpy as np
import pytest

import tlkeras


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(0)
    centers = np.repeat(np.eye(4)[:3], [50, 30, 20], axis=0)
    return [f"{number}.jpg" for number in range(100)], centers + rng.normal(0, 0.05, (100, 4))


def test_the_most_typical_image_of_each_cluster_comes_first_and_large_clusters_before_small(clusters):
    paths, features = clusters
    order = tlkeras.label_order(paths, features, count=3).order
    bounds = [range(50), range(50, 80), range(80, 100)]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for one, rows in zip(order, bounds, strict=True):
        assert one in rows
        apart = np.linalg.norm(unit[rows] - unit[rows].mean(axis=0), axis=1)
        assert apart[one - rows.start] < np.median(apart)


def test_with_labels_the_undecided_image_of_each_cluster_comes_first():
    line = np.linspace(-1, 1, 41)
    features = np.stack([line, np.ones(41)], axis=1)
    labels = [None] * 41
    for row in (0, 1, 2, 38, 39, 40):
        labels[row] = "left" if row < 20 else "right"
    result = tlkeras.label_order([f"{row}.jpg" for row in range(41)], features, labels=labels, count=4)
    assert result.order[0] == 20 and len(set(result.order)) == 4  # the middle, and no copies
    assert not set(result.order) & {0, 1, 2, 38, 39, 40}
    assert "trained on 6 labels is least sure of" in str(result)


def test_copies_of_one_image_leave_no_gap_in_the_order():
    result = tlkeras.label_order([f"{row}.jpg" for row in range(9)], np.ones((9, 3)), count=5)
    assert len(set(result.order.tolist())) == 5


def test_a_filled_in_table_is_read_by_load_images_and_by_the_next_round(clipart10, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    files = [*sorted((clipart10 / "bug").glob("*.jpg"))[:8], *sorted((clipart10 / "bird").glob("*.jpg"))[:8]]
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    features = np.random.default_rng(0).normal(size=(16, 6))
    first = tlkeras.label_order(folder, features, count=12)
    assert first.contact_sheet(20).width > 5 * 120
    table = tmp_path / "labels.csv"
    first.to_csv(table)
    rows = list(csv.reader(table.open()))
    assert rows[0] == ["path", "label"] and rows[1] == [f"images/{first.paths[first.order[0]].split('/')[-1]}", ""]
    kinds = {file.name: file.parent.name for file in files}
    filled = [[path, kinds[path.split("/")[-1]] if place < 10 else ""] for place, (path, _) in enumerate(rows[1:])]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *filled])
    with pytest.warns(UserWarning, match="2"):
        images = tlkeras.load_images(table, image_size=32)
    assert len(images.train) + len(images.validation) + len(images.test) == 10
    again = tlkeras.label_order(folder, features, labels=table)
    assert len(again) == 6 and "trained on 10 labels is least sure of" in str(again)
    again.to_csv(table)
    assert [row[1] for row in csv.reader(table.open())][1:11].count("") == 0  # labels stay, at the top


def test_unreadable_images_and_wrong_arguments_are_refused(clusters, tmp_path):
    paths, features = clusters
    for wrong, message in (
        ({"model_or_features": features[:9]}, "9 rows for 100 images"),
        ({"labels": ["cat"] * 100}, "must be missing for some images"),
        ({"labels": ["cat"] * 9}, "9 entries for 100 images"),
        ({"labels": tmp_path / "none.csv"}, "columns path and label"),
        ({"count": 0}, "`count` must be an integer >= 1"),
        ({"unlabeled": tmp_path}, "a folder without images"),
        ({"unlabeled": tmp_path / "nowhere"}, "`unlabeled` must be an existing folder"),
    ):
        with pytest.raises(tlkeras.InputError, match=message):
            tlkeras.label_order(**{"unlabeled": paths, "model_or_features": features, **wrong})
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(tlkeras.InputError, match=r"1 of 1 images cannot be read: .*broken\.jpg"):
        tlkeras.label_order(tmp_path, network)
