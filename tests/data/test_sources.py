import io
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

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
    with pytest.raises(InputError, match=r"none of 40 can be read.*image 0"):
        load_images(pixels(40).transpose(0, 3, 1, 2), labels=np.arange(40) % 2)


def test_paths_with_labels(clipart10):
    paths = [path for name in ("boat", "bird") for path in sorted((clipart10 / name).iterdir())]
    images = load_images(paths, labels=[path.parent.name for path in paths])
    assert set(side_of(images)) == {str(path) for path in paths}


def test_as_many_labels_as_images_are_wanted():
    with pytest.raises(InputError, match="4 images, 3 labels"):
        load_images(pixels(4), labels=[0, 1, 0])
    with pytest.raises(InputError, match="without labels"):
        load_images(pixels(4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": np.eye(2)[[0, 1] * 10]}, "one-hot rows"),
        ({"source": pixels(20) / 255}, "multiply by 255"),
        ({"source": list(pixels(20) / 255)}, "multiply by 255"),
        ({"source": pixels(20) / 127.5 - 1}, "from -1 to 1: give them as they were read.$"),
        ({"source": list(range(20))}, "it is no path"),
        ({"labels": 3}, "Received: ndarray and int"),
        ({"groups": 3}, "groups are a value for each image.* Received: 3"),
        ({"classes": []}, r"classes are some of 0, 1. Received: \[\]"),
        ({"classes": 1}, "Received: 1"),
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
    with pytest.raises(InputError, match="labels="):
        load_images(clipart10, labels=[0, 1])


def test_table_of_clipart10_gives_the_same_images_as_its_folders(clipart10):
    table, folders = load_images(clipart10 / "SOURCES.csv"), load_images(clipart10)
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


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,color\na.png,red", "no column for the label"),
        ("path,label\na.png,", "line 2"),
        ("path,label,split\na.png,x,holdout", "'holdout'"),
    ],
)
def test_unusable_table_is_refused_with_the_place(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        load_images(tmp_path / "table.csv")


def test_table_that_is_missing_or_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        load_images(tmp_path / "none.csv")
    (tmp_path / "old.csv").write_bytes("path,label\na.png,Käfer".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        load_images(tmp_path / "old.csv")


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
    with pytest.raises(InputError, match="'masks' lies beside"):
        load_images(root)


@pytest.mark.parametrize(("seen", "side"), [("train", "train"), ("val", "validation")])
def test_leaks_between_given_splits_are_warned_of(tmp_path, seen, side):
    root = make_split_folder(tmp_path, "train", "val", "test")
    shutil.copy(root / seen / "cat" / "0.png", root / "test" / "cat" / "copy.png")
    with pytest.warns(UserWarning) as caught:
        load_images(root)
    (warning,) = caught
    assert f"1 of 25 test images, as given, are near-duplicates of {side} images" in str(warning.message)


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


def test_a_group_for_each_image_is_wanted():
    with pytest.raises(InputError, match="2 for 4"):
        load_images(pixels(4), labels=[0, 1, 0, 1], groups=[1, 2])


def test_classes_are_loaded_as_chosen(clipart10):
    images = load_images(clipart10, classes=["vehicle", "boat"])
    assert images.class_names == ("boat", "vehicle")
    assert sum(len(split) for split in everything(images)) == 25 + 41
    with pytest.raises(InputError, match=r"boat.*'ship'"):
        load_images(clipart10, classes=["ship", "bird"])


def test_per_class_limits_training_only(clipart10):
    whole, few = load_images(clipart10), load_images(clipart10, per_class=4)
    assert np.bincount(few.train.labels).tolist() == [4] * 10
    assert few.test.paths.tolist() == whole.test.paths.tolist()
    assert few.validation.paths.tolist() == whole.validation.paths.tolist()


def test_small_samples_are_part_of_larger_ones(clipart10):
    train = load_images(clipart10).train
    samples = [set(train.sample(count).paths) for count in (1, 5, 100)]
    assert samples[0] < samples[1] < samples[2] == set(train.paths)
    assert samples[1] != set(train.sample(5, seed=1).paths)
    with pytest.raises(InputError, match="1 or more"):
        train.sample(0)


def test_folds_cover_training_and_validation_and_keep_groups_whole(clipart10):
    images = load_images(clipart10)
    folds = images.folds(4)
    held_out = np.concatenate([validation.paths for _, validation in folds])
    assert sorted(held_out) == sorted([*images.train.paths, *images.validation.paths])
    for train, validation in folds:
        assert not set(train.groups) & set(validation.groups)
        assert set(train.labels) == set(validation.labels) == set(range(10))
    with pytest.raises(InputError, match="smallest class"):
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


def test_tfds_that_is_not_on_this_machine_says_how_to_fetch_it(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match="network"):
        load_images("tfds:tf_flowers")
    with pytest.raises(InputError, match="no data set 'tf_flwrs'") as refused:
        load_images("tfds:tf_flwrs")
    assert "'tf_flowers'" in str(refused.value) and len(str(refused.value)) < 200
    assert refused.value.__suppress_context__  # TensorFlow Datasets' own error lists hundreds


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
