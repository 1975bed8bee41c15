import doctest
import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from tlkeras.data.arrays import pair
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError


def pixels(count, size=(20, 24), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), "uint8")


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def everything(images):
    return [images.train, images.validation, images.test]


def side_of(images):
    """Maps each path to the name of its split."""
    named = {"train": images.train, "validation": images.validation, "test": images.test}
    return {path: name for name, split in named.items() for path in split.paths}


def test_arrays_come_back_with_their_labels():
    given, labels = pixels(40), np.repeat(["cat", "dog"], 20)
    images = load_images(given, labels=labels, image_size=(20, 24))
    assert images.class_names == ("cat", "dog")
    for split in everything(images):
        indices = [int(path.removeprefix("image ")) for path in split.paths]
        np.testing.assert_array_equal(split.read(), given[indices])
        assert [images.class_names[label] for label in split.labels] == labels[indices].tolist()
        np.testing.assert_array_equal(split.batches(4)[0][0], split.read()[:4])


def test_float_arrays_beyond_255_are_skipped_and_named():
    given = pixels(40).astype("float32")
    given[3] *= 10
    images = load_images(given, labels=np.arange(40) % 2)
    assert [one.path for one in images.skipped] == ["image 3"]


def test_numbers_as_labels_keep_their_order():
    labels = np.arange(120) % 12
    images = load_images(pixels(120), labels=labels, image_size=(20, 24))
    assert images.class_names == tuple(str(number) for number in range(12))
    for split in everything(images):
        assert split.labels.tolist() == [labels[int(path.removeprefix("image "))] for path in split.paths]


def test_labels_may_be_a_column_or_a_tensor():
    plain = load_images(pixels(40), labels=np.arange(40) % 2)
    for labels in (np.arange(40)[:, None] % 2, keras.ops.arange(40) % 2):
        assert side_of(load_images(pixels(40), labels=labels)) == side_of(plain)
    assert side_of(load_images(keras.ops.convert_to_tensor(pixels(40)), labels=labels)) == side_of(plain)


def test_images_none_of_which_can_be_read_are_refused_with_the_first_reason():
    with pytest.raises(InputError, match=r"none of the 40 files can be read.*image 0"):
        load_images(pixels(40).transpose(0, 3, 1, 2), labels=np.arange(40) % 2)


def test_paths_with_labels(clipart10):
    paths = [path for name in ("boat", "bird") for path in sorted((clipart10 / name).iterdir())]
    images = load_images(paths, labels=[path.parent.name for path in paths])
    assert set(side_of(images)) == {str(path) for path in paths}


def test_a_path_may_come_twice_with_one_label_and_not_with_two():
    assert len(pair(["a.png", "b.png"], ["cat", "dog"])) == 2
    with pytest.warns(UserWarning, match="1 of 3 paths repeat an earlier path"):
        pair(["a.png", "b.png", "a.png"], ["cat", "dog", b"cat"])
    with pytest.raises(
        InputError, match=r"Images 0 and 2 are the same file, 'a.png', but have different labels: cat and dog"
    ):
        pair(["a.png", "b.png", "a.png"], [["cat"], ["dog"], ["dog"]])


def test_one_label_per_image_is_required():
    with pytest.raises(InputError, match="4 images, 3 labels"):
        load_images(pixels(4), labels=[0, 1, 0])
    with pytest.raises(InputError, match="without labels"):
        load_images(pixels(4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": np.random.default_rng(0).uniform(0, 20, (20, 4))}, "boxes, scores or soft labels"),
        ({"labels": [[0.9, 0.1]] * 20}, "boxes, scores or soft labels"),
        ({"labels": np.linspace(18, 70, 20)}, "regression targets"),
        ({"labels": [{"bbox": 1}] * 20}, "a name, a number, or a list"),
        ({"labels": np.zeros((20, 2, 2))}, r"shape \(20, 2, 2\)"),
        ({"source": pixels(20) / 255}, "multiply by 255"),
        ({"source": list(pixels(20) / 255)}, "multiply by 255"),
        ({"source": pixels(20) / 127.5 - 1}, "from -1 to 1. Pass unscaled pixels.$"),
        ({"source": list(range(20))}, "it is not a path"),
        ({"labels": 3}, "Received: ndarray and int"),
        ({"groups": 3}, "one value per image. Received: groups=3"),
        ({"classes": []}, r"`classes` must be a sequence of class names. Received: classes=\[\]"),
        ({"classes": 1}, "Received: classes=1"),
        ({"source": "", "labels": None}, "no directory ''"),
        ({"source": ".", "labels": None, "label_of": "boat"}, "label_of='boat'"),
        ({"resize": "letterbox"}, "letterbox"),
    ],
)
def test_arrays_that_would_be_misread_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        load_images(**({"source": pixels(20), "labels": [0, 1] * 10} | given))


def test_flat_folder_is_labeled_by_a_function(tmp_path):
    for index, image in enumerate(pixels(24)):
        write(tmp_path / f"{('cat', 'dog')[index % 2]}_{index}.png", image)
    images = load_images(tmp_path, label_of=lambda path: path.split("_")[0])
    assert images.class_names == ("cat", "dog")
    for split in everything(images):
        assert [Path(path).name.split("_")[0] for path in split.paths] == [
            images.class_names[label] for label in split.labels
        ]


def test_files_that_the_function_gives_no_label_are_left_out(tmp_path):
    for index, image in enumerate(pixels(26)):
        write(tmp_path / f"{('cat', 'dog')[index % 2]}_{index}.png", image)
    (tmp_path / "notes.txt").write_text("not an image")
    images = load_images(tmp_path, label_of=lambda path: path.split("_")[0] if "_" in path else None)
    assert images.class_names == ("cat", "dog") and images.skipped == ()


def test_labels_beside_a_directory_are_refused(clipart10):
    for source in (clipart10, clipart10 / "SOURCES.csv", Rows({"image": [], "label": []})):
        with pytest.raises(InputError, match="`labels` can only be used with a sequence"):
            load_images(source, labels=[0, 1])
    with pytest.raises(InputError, match="`label_of` can only be used with folders"):
        load_images(clipart10 / "SOURCES.csv", label_of=str)


def test_table_of_clipart10_gives_the_same_images_as_its_folders(clipart10):
    table, folders = (load_images(source, classes=["boat", "bug"]) for source in (clipart10 / "SOURCES.csv", clipart10))
    assert side_of(table) == side_of(folders)


@pytest.mark.parametrize("name, delimiter", [("table.csv", ","), ("table.tsv", "\t")])
def test_table_gives_splits_and_groups(tmp_path, name, delimiter):
    rows = [("Path", "label", "split", "patient")]
    for index, image in enumerate(pixels(60)):
        write(tmp_path / "x" / f"{index}.png", image)
        rows.append((f"x/{index}.png", "ab"[index % 2], "test" if index < 10 else "train", f"p{index // 5}"))
    (tmp_path / name).write_text("\n".join(delimiter.join(row) for row in rows))
    side = side_of(load_images(tmp_path / name))
    number = {path: int(Path(path).stem) for path in side}
    assert {number[path] for path in side if side[path] == "test"} == set(range(10))
    for patient in range(2, 12):
        assert len({side[path] for path in side if number[path] // 5 == patient}) == 1
    assert "validation" in side.values()


def make_split_folder(root, *parts):
    for part in parts:
        for name in ("cat", "dog"):
            for index, image in enumerate(pixels(12, seed=sum(map(ord, part + name)))):
                write(root / part / name / f"{index}.png", image)
    return root


def test_given_splits_are_kept(tmp_path):
    images = load_images(make_split_folder(tmp_path, "train", "val", "test"))
    assert all(Path(path).parts[-3] == {"validation": "val"}.get(side, side) for path, side in side_of(images).items())
    assert [len(split) for split in everything(images)] == [24, 24, 24]


def test_split_that_is_not_given_is_taken_from_training(tmp_path):
    images = load_images(make_split_folder(tmp_path, "train", "test"), validation_size=0.25)
    assert [len(split) for split in everything(images)] == [18, 6, 24]
    assert all("train" in Path(path).parts for path in images.validation.paths)


def test_folder_beside_the_splits_is_refused_by_name(tmp_path):
    root = make_split_folder(tmp_path, "train", "test")
    write(root / "masks" / "cat" / "0.png", pixels(1)[0])
    with pytest.raises(InputError, match="also contains 'masks'"):
        load_images(root)


@pytest.mark.parametrize(("seen", "side"), [("train", "train"), ("val", "validation")])
def test_leaks_between_given_splits_are_warned_of(tmp_path, seen, side):
    root = make_split_folder(tmp_path, "train", "val", "test")
    shutil.copy(root / seen / "cat" / "0.png", root / "test" / "cat" / "copy.png")
    with pytest.warns(UserWarning) as caught:
        load_images(root)
    (warning,) = caught
    assert f"1 of the 25 test images in the given splits are near-duplicates of {side} images" in str(warning.message)


def test_groups_never_straddle_a_split():
    groups = np.arange(90) // 3
    images = load_images(pixels(90), labels=np.arange(90) // 6 % 2, groups=groups)
    side = {int(path.split()[1]): name for path, name in side_of(images).items()}
    assert all(side[index] == side[index + 1] == side[index + 2] for index in range(0, 90, 3))


def test_groups_can_be_read_off_the_path(tmp_path):
    for index, image in enumerate(pixels(60)):
        write(tmp_path / "ab"[index % 2] / f"p{index // 4}_{index}.png", image)
    side = side_of(load_images(tmp_path, groups=lambda path: Path(path).name.split("_")[0]))
    for patient in range(15):
        assert len({name for path, name in side.items() if Path(path).name.startswith(f"p{patient}_")}) == 1


def test_one_group_per_image_is_required():
    with pytest.raises(InputError, match="2 groups for 4 images"):
        load_images(pixels(4), labels=[0, 1, 0, 1], groups=[1, 2])


def test_classes_are_loaded_as_chosen(clipart10):
    images = load_images(clipart10, classes=["vehicle", "boat"])
    assert images.class_names == ("vehicle", "boat")
    assert sum(len(split) for split in everything(images)) == 25 + 41
    with pytest.raises(InputError, match=r"boat.*'ship'"):
        load_images(clipart10, classes=["ship", "bird"])


def test_per_class_limits_training_only(clipart10):
    whole, limited = (load_images(clipart10, classes=["boat", "bug"], per_class=count) for count in (None, 4))
    assert limited.train.counts().tolist() == [4] * 2
    assert limited.test.paths.tolist() == whole.test.paths.tolist()
    assert limited.validation.paths.tolist() == whole.validation.paths.tolist()


def test_small_samples_are_part_of_larger_ones(drawings):
    train = drawings.train
    samples = [set(train.sample(count).paths) for count in (1, 5, 100)]
    assert samples[0] < samples[1] < samples[2] == set(train.paths)
    assert samples[1] != set(train.sample(5, seed=1).paths)
    with pytest.raises(InputError, match=">= 1"):
        train.sample(0)


def test_folds_cover_training_and_validation_and_keep_groups_whole(drawings):
    images = drawings
    folds = images.folds(4)
    held_out = np.concatenate([validation.paths for _, validation in folds])
    assert sorted(held_out) == sorted([*images.train.paths, *images.validation.paths])
    for train, validation in folds:
        assert not set(train.groups) & set(validation.groups)
        assert set(train.labels) == set(validation.labels) == set(range(10))
    with pytest.raises(InputError, match="The smallest class has 18 images"):
        images.folds(50)
    with pytest.raises(InputError, match=r"2\.5"):
        images.folds(2.5)


def test_tfds_image_folder_keeps_its_splits(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for index, image in enumerate(pixels(8, seed=sum(map(ord, part + name)))):
                write(tmp_path / part / name / f"{index}.png", image)
    images = load_images(tfds.ImageFolder(str(tmp_path)), image_size=(20, 24))
    assert images.class_names == ("cat", "dog")
    assert len(images.test) == 16 and len(images.train) + len(images.validation) == 16
    on_disk = {np.asarray(Image.open(path)).tobytes() for path in (tmp_path / "test" / "dog").iterdir()}
    assert {image.tobytes() for image in images.test.read()[images.test.labels == 1]} == on_disk


class Feature:
    """Stands for a feature of `datasets`: a ClassLabel, or a list of them."""

    def __init__(self, names=None, feature=None):
        self.names, self.feature = names, feature


class Builder:
    """Stands for a builder of TensorFlow Datasets with examples in memory."""

    name = "made"

    def __init__(self, features, **splits):
        self.info, self.splits = SimpleNamespace(features=features, splits=splits), splits

    def as_dataset(self, split, decoders=None):
        columns = self.splits[split]
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        return SimpleNamespace(as_numpy_iterator=lambda: iter(rows))


def test_tfds_leaves_out_unlabeled_examples_and_takes_lists_of_labels_and_columns_as_groups():
    pytest.importorskip("tensorflow_datasets")
    features = {"image": None, "label": Feature(["ant", "bee"]), "patient": None}
    train = {"image": pixels(36), "label": np.arange(36) % 3 - 1, "patient": np.arange(36) // 6}
    with pytest.warns(UserWarning, match="12 of 36 images have no label"):
        images = load_images(Builder(features, train=train), groups="patient", near_duplicates=False)
    assert images.class_names == ("ant", "bee")
    for split in everything(images):
        assert np.unique(split.groups, return_counts=True)[1].tolist() == [4] * (len(split) // 4)
    features = {"image": None, "labels": Feature(feature=Feature(["ant", "bee"]))}
    rows = {"image": pixels(20), "labels": [np.array([0, 1]), np.array([], int)] * 10}
    assert load_images(Builder(features, train=rows), near_duplicates=False).train.counts().tolist() == [6, 6]


def test_tfds_that_is_not_on_this_machine_says_how_to_fetch_it(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match="network"):
        load_images("tfds:tf_flowers")
    with pytest.raises(InputError, match="no data set 'tf_flwrs'") as refused:
        load_images("tfds:tf_flwrs")
    assert "'tf_flowers'" in str(refused.value) and len(str(refused.value)) < 200
    assert refused.value.__suppress_context__  # TensorFlow Datasets' own error lists hundreds


class Rows:
    """Stands for a data set of the package `datasets`, as far as it is used here."""

    def __init__(self, columns, **features):
        self.columns, self.column_names = columns, list(columns)
        self.features = {name: features.get(name) for name in columns}

    def cast_column(self):
        raise NotImplementedError

    def __len__(self):
        return len(self.columns["image"])

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {name: cells[key] for name, cells in self.columns.items()}


def test_unlabeled_rows_of_hugging_face_are_left_out_and_never_the_last_class():
    label = Feature(["ant", "bee", "cat"])
    sets = {
        "train": Rows({"image": list(pixels(24)), "label": [0, 1, 2] * 8}, label=label),
        "test": Rows({"image": list(pixels(9, seed=1)), "label": [-1] * 9}, label=label),
        "unsupervised": Rows({"image": list(pixels(9, seed=1)), "label": [0] * 9}, label=label),
    }
    with pytest.warns(UserWarning, match="9 of 33 images have no label"):
        images = load_images(sets, image_size=16)
    assert images.class_names == ("ant", "bee", "cat")
    assert sum(split.counts() for split in everything(images)).tolist() == [8, 8, 8]


def test_lists_of_labels_of_hugging_face_are_several_labels_and_not_classes():
    lists = [[0, 2], [1], [], [2, 0]] * 6
    rows = Rows(
        {"img": list(pixels(24)), "labels": lists, "patient": np.arange(24) // 2, "image": [0] * 24},
        labels=Feature(feature=Feature(["a", "b", "c"])),
    )
    images = load_images(rows, columns={"path": "img"}, groups="patient", near_duplicates=False)
    assert images.multilabel and images.class_names == ("a", "b", "c")
    for split in everything(images):
        indices = [int(path.split()[1]) for path in split.paths]
        assert [np.flatnonzero(row).tolist() for row in split.labels] == [sorted(lists[index]) for index in indices]
        assert np.unique(split.groups, return_counts=True)[1].tolist() == [2] * (len(split) // 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            Rows({"image": [0] * 4, "text": ["a"] * 4}),
            "needs the columns `image` and `label`. This one has image, text",
        ),
        (Rows({"image": list(pixels(4)), "label": [0, 1, 0, 3]}, label=Feature(["a", "b"])), "Label 3 is out of range"),
        (Rows({"image": list(pixels(4)), "label": [31.5, 40.0, 2.5, 1.0]}), "regression targets"),
    ],
)
def test_unusable_data_set_of_hugging_face_is_refused(rows, message):
    with pytest.raises(InputError, match=message):
        load_images(rows)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([[1, 1], [1, 0], [0, 0], [0, 1]] * 6),
        np.array([[True, True], [True, False], [False, False], [False, True]] * 6),
        [[1, 1], [1, 0], [0, 0], [0, 1]] * 6,
        [["0", "1"], ["0"], [], ["1"]] * 6,
        [(0, 1), (0,), (), (1,)] * 6,
        [{0, 1}, {0}, set(), {1}] * 6,
    ],
)
def test_rows_and_lists_of_labels_are_several_labels(labels):
    images = load_images(pixels(24), labels=labels, image_size=8, near_duplicates=False)
    assert images.class_names == ("0", "1") and images.multilabel
    expected = [[1, 1], [1, 0], [0, 0], [0, 1]] * 6
    for split in everything(images):
        assert split.labels.tolist() == [expected[int(path.removeprefix("image "))] for path in split.paths]


def test_rows_with_one_1_each_are_classes_and_classes_names_their_columns():
    images = load_images(pixels(24), labels=np.eye(3)[[0, 1, 2] * 8], classes=["x", "c", "a"], near_duplicates=False)
    assert images.class_names == ("x", "c", "a") and not images.multilabel
    assert images.test.labels.tolist() == [int(path.removeprefix("image ")) % 3 for path in images.test.paths]


def test_unlabeled_arrays_are_left_out_with_their_groups():
    labels = np.where(np.arange(40) % 4 == 3, np.nan, np.arange(40) % 2)
    with pytest.warns(UserWarning, match=r"10 of 40 images have no label \(nan\)"):
        images = load_images(pixels(40), labels=labels, groups=np.arange(40) // 4, near_duplicates=False)
    assert images.class_names == ("0", "1")
    side = {int(path.split()[1]): name for path, name in side_of(images).items()}
    assert sorted(side) == [index for index in range(40) if index % 4 != 3]
    assert all(side[index] == side[index + 1] == side[index + 2] for index in range(0, 40, 4))


def test_labels_of_pandas_and_masked_arrays_are_taken_as_they_are():
    pd = pytest.importorskip("pandas")
    words = ["cat", "dog", None, "cat", "dog", "cat"] * 5
    numbers = np.ma.masked_equal([0, 1, 7, 0, 1, 0] * 5, 7)
    for labels in (pd.Series(words), pd.Series(words, dtype="category"), pd.Series(words, dtype="string"), numbers):
        with pytest.warns(UserWarning, match="5 of 30 images have no label"):
            images = load_images(pixels(30), labels=labels, near_duplicates=False)
        assert sum(split.counts() for split in everything(images)).tolist() == [15, 10]
    frame = pd.DataFrame({"sun": [0, 1, 1], "sea": [1, 1, 1]}).loc[[0, 1, 2] * 10]
    for classes, names, counts in ((None, ("sea", "sun"), [30, 20]), (["sun", "sea"], ("sun", "sea"), [20, 30])):
        images = load_images(pixels(30), labels=frame, classes=classes, near_duplicates=False)
        assert images.class_names == names and images.multilabel
        assert sum(split.counts() for split in everything(images)).tolist() == counts


def test_near_duplicates_may_be_treated_as_different_images():
    alike = np.repeat(pixels(1), 40, axis=0)
    with pytest.raises(InputError, match="If all images look alike, pass near_duplicates=False"):
        load_images(alike, labels=np.arange(40) % 2)
    images = load_images(alike, labels=np.arange(40) % 2, near_duplicates=False)
    assert [split.counts().tolist() for split in everything(images)] == [[12, 12], [4, 4], [4, 4]]


def test_small_samples_of_several_labels_are_part_of_larger_ones():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 3)) < [0.05, 0.3, 0.3]).astype(int)
    train = load_images(pixels(300, (8, 8)), labels=labels, image_size=8, near_duplicates=False).train
    samples = [train.sample(count) for count in (2, 5, 1000)]
    paths = [set(sample.paths) for sample in samples]
    assert paths[0] < paths[1] < paths[2] == set(train.paths)
    assert (samples[1].counts() >= 5).all() and samples[1].counts()[0] == 5
    folds = load_images(pixels(300, (8, 8)), labels=labels, image_size=8, near_duplicates=False).folds(3)
    assert all((validation.counts() > 0).all() for _, validation in folds)


def test_the_examples_of_the_page_on_data_run(clipart10, monkeypatch):
    root = clipart10.parents[1]
    monkeypatch.chdir(root)
    failed, tried = doctest.testfile(str(root / "docs" / "data.md"), module_relative=False)
    assert not failed and tried > 10


def test_one_name_of_emoji4_lies_on_one_side_of_a_split(clipart10):
    images = load_images(
        clipart10.parent / "emoji4",
        label_of=lambda path: path.split("/")[-2] if path.endswith(".jpg") else None,
        groups=r"([^/]+)\.jpg$",
        classes=["tool", "bug"],
        image_size=32,
        near_duplicates=False,
    )
    names = [{Path(path).stem for path in split.paths} for split in everything(images)]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    assert all(len(split) == 4 * len(one) for split, one in zip(everything(images), names, strict=True))


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_hugging_face_data_set():
    datasets = pytest.importorskip("datasets")
    given = pixels(20)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    columns = {"image": [{"bytes": png(image), "path": None} for image in given], "label": [0, 1] * 10}
    table = datasets.table.InMemoryTable.from_pydict(columns, schema=features.arrow_schema)
    rows = datasets.Dataset(table, info=datasets.DatasetInfo(features=features), fingerprint="test")
    images = load_images(rows, image_size=(20, 24))
    assert images.class_names == ("cat", "dog")
    for split in everything(images):
        indices = [int(path.split()[1]) for path in split.paths]
        np.testing.assert_array_equal(split.read(), given[indices])
        assert split.labels.tolist() == [index % 2 for index in indices]
