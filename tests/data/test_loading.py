import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkeras.data import loading
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError


def noise(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), "uint8"))


def make_folder(root, classes=("cat", "dog"), count=10):
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise(1000 * label + index).save(root / name / f"{index}.png")
    return root


def names(split, root):
    return {os.path.relpath(path, root) for path in split.paths}


def parts(images, root):
    return [names(split, root) for split in (images.train, images.validation, images.test)]


def test_clipart10_is_read_whole(drawings):
    images = drawings
    assert images.class_names == (
        "bird", "boat", "bug", "clothing", "flower", "fruit", "house", "mammal", "music", "vehicle",
    )  # fmt: skip
    assert [len(images.train), len(images.validation), len(images.test)] == [257, 85, 85]
    assert images.skipped == ()
    for split in (images.train, images.validation, images.test):
        assert split.class_names == images.class_names
        assert [split.class_names[label] for label in split.labels] == [Path(path).parent.name for path in split.paths]


def test_near_duplicates_of_clipart10_never_straddle_a_split(clipart10):
    for seed in range(5):
        images = load_images(clipart10, seed=seed, classes=["flower", "clothing"])
        sides = [{Path(path).name for path in split.paths} for split in (images.train, images.validation, images.test)]
        for twins in ({"flower-01.jpg", "flower-02.jpg"}, {"hat-01.jpg", "hat-02.jpg"}):
            assert any(twins <= side for side in sides)


def test_near_duplicates_across_classes_stay_together(tmp_path):
    root = make_folder(tmp_path / "data")
    for seed in range(4):
        noise(seed).resize((96, 96)).save(root / "dog" / f"copy-{seed}.png")  # of cat/<seed>.png
    for seed in range(5):
        for side in parts(load_images(root, seed=seed), root):
            for copy in range(4):
                assert (f"cat/{copy}.png" in side) == (f"dog/copy-{copy}.png" in side)


def test_split_depends_neither_on_the_place_nor_on_the_order_of_writing(tmp_path):
    root = make_folder(tmp_path / "one")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    moved = tmp_path / "deep" / "er" / "two"
    for path in sorted(root.rglob("*.png"), reverse=True):
        (moved / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name)
    assert parts(load_images(root), root) == parts(load_images(moved), moved)


def test_paths_are_relative_if_the_directory_is(tmp_path, monkeypatch):
    make_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert load_images("data").train.paths[0].startswith(str(Path("data", "cat")))


def test_bad_files_are_skipped_listed_and_change_nothing_else(tmp_path):
    root = make_folder(tmp_path / "data")
    before = load_images(root)
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / "dog" / "cut.png").write_bytes((root / "dog" / "0.png").read_bytes()[:200])
    after = load_images(root)
    assert parts(after, root) == parts(before, root)
    assert {Path(one.path).name: one.reason[:10] for one in after.skipped} == {
        "empty.jpg": "it is empt",
        "notes.txt": "its conten",
        "cut.png": "it is dama",
    }


def test_images_that_were_loaded_before_are_not_decoded_again(tmp_path, monkeypatch):
    root, decoded = make_folder(tmp_path / "data"), []
    (root / "cat" / "0_copy.jpg").write_bytes((root / "cat" / "0.png").read_bytes())
    (root / "dog" / "empty.jpg").write_bytes(b"")
    without_cache = load_images(root)
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "cache"))
    open_rgb = loading.open_rgb
    monkeypatch.setattr(loading, "open_rgb", lambda path, *size: decoded.append(path) or open_rgb(path, *size))
    for expected in (22, 1):  # the second time, only the empty file, to report why it cannot be read
        images = load_images(root)
        assert parts(images, root) == parts(without_cache, root)
        assert images.skipped == without_cache.skipped
        np.testing.assert_array_equal(images.train.groups, without_cache.train.groups)
        assert len(decoded) == expected
        decoded.clear()
    (root / "dog" / "0.png").write_bytes((root / "cat" / "1.png").read_bytes())
    changed = load_images(root)
    assert len(decoded) == 22
    whole = changed.train.join(changed.validation, changed.test)
    groups = dict(zip([os.path.relpath(path, root) for path in whole.paths], whole.groups, strict=True))
    assert groups[str(Path("dog", "0.png"))] == groups[str(Path("cat", "1.png"))]


def test_strict_refuses_bad_files_by_name(tmp_path):
    root = make_folder(tmp_path / "data")
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "dog" / "also-empty.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.jpg.*1 more"):
        load_images(root, strict=True)


def test_hidden_files_and_files_beside_the_class_folders_are_ignored(tmp_path):
    root = make_folder(tmp_path / "data")
    (root / "SOURCES.csv").write_text("file,label")
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / ".git").mkdir()
    images = load_images(root, strict=True)
    assert images.class_names == ("cat", "dog") and images.skipped == ()


def test_images_in_folders_below_a_class_belong_to_it(tmp_path):
    root = make_folder(tmp_path / "data")
    (root / "cat" / "more").mkdir()
    noise(77).save(root / "cat" / "more" / "77.png")
    assert "cat/more/77.png" in set.union(*parts(load_images(root), root))


@pytest.mark.parametrize("name", ["with space", 'it\'s "quoted"', "-rf", "größe-日本"])
def test_any_class_and_file_name_works(tmp_path, monkeypatch, name):
    make_folder(tmp_path / name, classes=(name, "other"))
    for path in sorted((tmp_path / name / name).iterdir()):
        path.rename(path.with_name(f"{name} {path.name}"))
    monkeypatch.chdir(tmp_path)
    images = load_images(name, image_size=(8, 8))
    assert name in images.class_names
    assert images.train.read().shape == (12, 8, 8, 3)


def test_size_and_resize_are_kept_and_used(clipart10):
    images = load_images(clipart10, image_size=(32, 48), resize="pad", classes=["boat", "fruit"])
    assert (images.image_size, images.resize) == ((32, 48), "pad")
    assert (images.test.image_size, images.test.resize) == ((32, 48), "pad")
    assert images.test.read().shape == (len(images.test), 32, 48, 3)
    assert images.test.batches(5)[0][0].shape == (5, 32, 48, 3)


def test_take_gives_the_chosen_images_in_order(drawings):
    train = drawings.train
    chosen = train.take([5, 0])
    assert chosen.paths.tolist() == [train.paths[5], train.paths[0]]
    assert chosen.labels.tolist() == [train.labels[5], train.labels[0]]
    assert train.take(train.labels == 3).paths.tolist() == train.paths[train.labels == 3].tolist()
    assert train.take(7).paths.tolist() == [train.paths[7]] and not len(train.take([]))
    with pytest.raises(IndexError):
        train.take([True, False])
    for wrong in (1.5, "boat", None):
        with pytest.raises(InputError, match="`indices` must be integers, or one boolean per image"):
            train.take(wrong)


def one_class(root):
    make_folder(root, classes=("cat",))


def small_class(root):
    make_folder(root)
    for index in range(8):
        (root / "cat" / f"{index}.png").unlink()


def empty_class(root):
    make_folder(root)
    (root / "empty").mkdir()


def class_in_test_alone(root):
    make_folder(root / "train")
    make_folder(root / "test", classes=("cat", "dog", "extra"))


def only_texts(root):
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "a.txt").write_text("a")


def flat(root):
    root.mkdir()
    noise(0).save(root / "0.png")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda root: None, "no directory"),
        (lambda root: root.write_text("x"), "not a directory"),
        (lambda root: root.mkdir(), "No images"),
        (only_texts, "No images"),
        (flat, "No images"),
        (one_class, "only one class, 'cat'"),
        (small_class, "'cat' has 2 readable images"),
        (class_in_test_alone, "'extra' has test images but no training images"),
        (empty_class, "'empty' has 0 readable images"),
    ],
)
def test_unusable_directory_is_refused_in_one_sentence_that_names_it(tmp_path, make, message):
    root = tmp_path / "data"
    make(root)
    with pytest.raises(InputError, match=message) as caught:
        load_images(root)
    assert "\n" not in str(caught.value)
