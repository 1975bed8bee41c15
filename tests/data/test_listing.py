import numpy as np
import pytest
from PIL import Image

from tlkeras.data.listing import list_folder
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError


def make(root, *keys):
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"")
    return root


def listed(root):
    names, files = list_folder(root)
    return names, [(file.key, file.label, file.part) for file in files]


def test_each_folder_is_a_class(tmp_path):
    names, files = listed(make(tmp_path, "dog/b.png", "cat/a.png", "dog/a.png", "README.md"))
    assert names == ("cat", "dog")
    assert files == [("cat/a.png", "cat", None), ("dog/a.png", "dog", None), ("dog/b.png", "dog", None)]


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_given_splits_are_recognized_by_their_usual_names(tmp_path, validation):
    root = make(tmp_path, "train/cat/a.png", f"{validation}/cat/b.png", "test/dog/c.png", "train/dog/d.png")
    names, files = listed(root)
    assert names == ("cat", "dog")
    assert {(key.split("/")[-1], label, part) for key, label, part in files} == {
        ("a.png", "cat", "train"),
        ("b.png", "cat", "validation"),
        ("c.png", "dog", "test"),
        ("d.png", "dog", "train"),
    }


def test_classes_that_happen_to_be_called_like_splits_are_classes(tmp_path):
    assert listed(make(tmp_path, "train/a.png", "tram/b.png"))[0] == ("train", "tram")
    assert listed(make(tmp_path / "x", "train/a.png", "test/b.png"))[0] == ("test", "train")


def test_a_class_called_like_a_split_may_have_folders_of_its_own(tmp_path):
    root = make(tmp_path, "train/steam/a.png", "boat/2019/b.png", "car/2019/c.png")
    assert listed(root)[0] == ("boat", "car", "train")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["Trainn/cat/a.png", "Trainn/dog/b.png", "test/cat/c.png"], "'Trainn' lies beside.* call it train"),
        (["train/cat/a.png", "test/cat/b.png", "notes/c.png"], "'notes' lies beside them; move it elsewhere"),
        (["val/cat/a.png", "test/cat/b.png"], "none of them is called train"),
        (["train/cat/a.png", "train/dog/b.png", "test/c.png"], "'test' has no class folders"),
    ],
)
def test_what_is_nearly_split_is_refused_and_not_trained_on_as_classes(tmp_path, keys, message):
    with pytest.raises(InputError, match=message):
        list_folder(make(tmp_path, *keys))


def test_directory_without_folders_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder for each class"):
        list_folder(make(tmp_path, "a.png"))


def test_splits_that_the_folder_defines_are_told_from_those_that_are_made(tmp_path):
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(4):
                pixels = np.random.default_rng([len(part), ord(name[0]), index]).integers(0, 256, (16, 16, 3), "uint8")
                Image.fromarray(pixels).save(tmp_path / part / name / f"{index}.png")
    images = load_images(tmp_path)
    assert images.given == {"train", "validation"}
    both = images.train.join(images.validation)
    assert both.paths.tolist() == [*images.train.paths, *images.validation.paths]
    assert both.labels.tolist() == [*images.train.labels, *images.validation.labels]
