import unicodedata

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.listing import list_folder, with_normalized_keys
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError


def make(root, *keys):
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"")
    return root


def listed(root):
    names, files = list_folder(root)
    files = with_normalized_keys(files)
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
        (["Trainn/cat/a.png", "Trainn/dog/b.png", "test/cat/c.png"], "also contains 'Trainn'.* rename it to train"),
        (["train/cat/a.png", "test/cat/b.png", "notes/c.png"], "also contains 'notes'. Move it elsewhere"),
        (["val/cat/a.png", "test/cat/b.png"], "none of them is called train"),
        (["train/cat/a.png", "train/dog/b.png", "test/c.png"], "'test' contains no class folders"),
        (["training_set/cat/a.png", "test_set/cat/b.png"], "Rename the outer folders to train, val or test"),
        (
            ["seg_train/cat/a.png", "seg_test/cat/b.png", "seg_pred/c.png"],
            "appears to be split into seg_test, seg_train",
        ),
        (["train_images/cat/a.png", "ValImages/cat/b.png", "testset/cat/b.png"], "ValImages, testset, train_images"),
    ],
)
def test_what_is_nearly_split_is_refused_and_not_trained_on_as_classes(tmp_path, keys, message):
    with pytest.raises(InputError, match=message):
        list_folder(make(tmp_path, *keys))


def test_directory_without_folders_is_refused(tmp_path):
    with pytest.raises(InputError, match="one folder per class"):
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


def test_folders_called_by_numbers_are_in_order_of_their_values(tmp_path):
    assert listed(make(tmp_path, "10/a.png", "9/b.png", "1/c.png"))[0] == ("1", "9", "10")
    assert listed(make(tmp_path, "other/d.png"))[0] == ("1", "10", "9", "other")


def test_folders_in_two_unicode_forms_are_one_class_with_keys_in_one_form(tmp_path):
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    names, files = listed(
        make(tmp_path, f"train/{forms[1]}/é.png", f"test/{forms[0]}/a.png", "train/thé/a.png", "test/thé/b.png")
    )
    assert names == (forms[0], "thé")
    assert [key for key, label, part in files if label == forms[0]] == [
        f"test/{forms[0]}/a.png",
        f"train/{forms[0]}/é.png",
    ]
    here = make(tmp_path / "here", *(f"{form}/a.png" for form in forms), "x/a.png")
    assert len({key for key, _, _ in listed(here)[1]}) == 3


def test_links_to_folders_are_followed_once_and_not_in_circles(tmp_path):
    root = make(tmp_path / "data", "cat/a.png", "dog/b.png")
    store = make(tmp_path / "store", "old/c.png", "old/deep/d.png", ".hidden/e.png")
    (root / "cat" / "linked").symlink_to(store, target_is_directory=True)
    (root / "cat" / "again").symlink_to(store / "old", target_is_directory=True)
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    (store / "old" / "circle").symlink_to(store, target_is_directory=True)
    (root / "bird").symlink_to(store / "old", target_is_directory=True)
    names, files = listed(root)
    assert names == ("bird", "cat", "dog")
    by_class = {name: sorted(key.split("/")[-1] for key, label, _ in files if label == name) for name in names}
    assert by_class["cat"] == ["a.png", "c.png", "d.png"] and by_class["dog"] == ["b.png"]
    assert by_class["bird"][:2] == ["c.png", "d.png"]


def test_domains_that_hold_the_same_folders_are_warned_of(tmp_path):
    root = make(tmp_path, *(f"{top}/{name}/a.png" for top in ("amazon", "webcam") for name in ("bike", "mug")))
    with pytest.warns(UserWarning, match=r"amazon, webcam, .*\(bike, mug, .*label_of"):
        assert listed(root)[0] == ("amazon", "webcam")


def test_folders_of_the_system_are_no_classes_and_hold_no_images(tmp_path):
    root = make(tmp_path, "cat/a.png", "cat/@eaDir/a.png/THUMB.jpg", "dog/b.png", "@eaDir/c.png", "lost+found/d.png")
    make(root, "__MACOSX/cat/._a.png", "$RECYCLE.BIN/e.png", "System Volume Information/f.png")
    assert [key for key, _, _ in listed(root)[1]] == ["cat/a.png", "dog/b.png"]
