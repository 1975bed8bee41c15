import dataclasses
import json
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from tlkeras.checks import suspects
from tlkeras.checks.findings import KINDS, Finding, ImageReport
from tlkeras.checks.images import check_images
from tlkeras.errors import InputError


def noise(seed, size=(40, 40)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), "uint8"))


@pytest.fixture
def folder(tmp_path):
    """Twelve sound images in each of two classes: dark cats and bright dogs."""
    rng = np.random.default_rng(0)
    for name, low in (("cat", 0), ("dog", 128)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(low, low + 127, (40, 40, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{index}.png")
    return tmp_path / "data"


def brightness(images):
    return images.mean(axis=(1, 2))


def found(report):
    return {kind: [one.paths for one in report.of(kind)] for kind in KINDS if report.of(kind)}


def test_nothing_is_found_in_a_sound_folder(folder):
    report = check_images(folder, brightness, image_size=(32, 32))
    assert found(report) == {}
    assert report.ok and report.images == {"cat": 12, "dog": 12}
    assert "nothing found" in str(report)


@pytest.mark.parametrize(
    "kind, write",
    [
        ("unreadable", lambda path: path.write_bytes(b"")),
        ("wrong_extension", lambda path: noise(1).save(path, format="JPEG")),
        ("tiny", lambda path: noise(1, (31, 40)).save(path)),
        ("huge", lambda path: noise(1, (90, 90)).save(path)),
        ("odd_aspect", lambda path: noise(1, (40, 161)).save(path)),
        ("odd_mode", lambda path: noise(1).convert("RGBA").save(path)),
    ],
)
def test_an_odd_file_is_found_and_named(folder, kind, write, monkeypatch):
    monkeypatch.setattr("tlkeras.checks.images.HUGE", 8000)  # pixels; 50 million take their time
    write(folder / "cat" / "odd.png")
    report = check_images(folder, backbone=None)
    assert found(report)[kind] == [("cat/odd.png",)]
    assert report.ok == (kind != "unreadable")


def test_sixteen_bit_image_is_an_odd_mode(folder):
    Image.fromarray(np.arange(1600, dtype="uint16").reshape(40, 40) * 40).save(folder / "cat" / "odd.png")
    assert check_images(folder, None).of("odd_mode")[0].detail == "I;16"


def test_a_file_of_12_bits_is_an_odd_mode_that_says_so(folder):
    Image.fromarray((np.arange(1600, dtype="uint16") * 2).reshape(40, 40)).save(folder / "cat" / "odd.png")
    assert check_images(folder, None).of("odd_mode")[0].detail == "I;16, read as 12 bits"


def test_a_blank_image_is_a_hint_with_a_score(folder):
    Image.new("RGB", (60, 50), "white").save(folder / "cat" / "blank.png")
    report = check_images(folder, None)
    (one,) = report.of("blank")
    assert one.paths == ("cat/blank.png",) and one.severity == "hint" and one.score == 1
    assert report.ok and "1 hint" in str(report).splitlines()[0]


def test_copies_are_told_apart_by_where_they_lie(folder):
    shutil.copy(folder / "cat" / "0.png", folder / "cat" / "copy.png")
    Image.open(folder / "cat" / "1.png").resize((80, 80)).save(folder / "cat" / "larger.png")
    shutil.copy(folder / "dog" / "2.png", folder / "cat" / "dog.png")
    report = check_images(folder, backbone=None)
    assert found(report) == {
        "exact_duplicate": [("cat/0.png", "cat/copy.png")],
        "near_duplicate": [("cat/1.png", "cat/larger.png")],
        "contradiction": [("cat/dog.png", "dog/2.png")],
    }
    assert not report.ok


def test_leaks_between_given_splits_are_found(tmp_path):
    for index in range(30):
        part, name = ("train", "test")[index % 2], ("cat", "dog")[index // 2 % 2]
        (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        noise(index).save(tmp_path / part / name / f"{index}.png")
    shutil.copy(tmp_path / "train" / "cat" / "0.png", tmp_path / "test" / "cat" / "same.png")
    noise(6).resize((90, 90)).save(tmp_path / "test" / "dog" / "alike.png")
    report = check_images(tmp_path, None)
    assert {"/".join(sorted(paths)) for paths in found(report)["leak"]} == {
        "test/cat/same.png/train/cat/0.png",
        "test/dog/alike.png/train/dog/6.png",
    }
    assert not report.ok


def test_small_and_dwarfed_classes_are_named(folder):
    for index in range(9):
        (folder / "few").mkdir(exist_ok=True)
        noise(index).save(folder / "few" / f"{index}.png")
    (one,) = check_images(folder, None).of("imbalance")
    assert "'few' has 9" in one.detail


def test_wrong_labels_are_suspected_with_the_other_class(folder):
    shutil.move(folder / "dog" / "3.png", folder / "cat" / "moved.png")
    (one,) = check_images(folder, brightness, image_size=(32, 32)).of("suspect_label")
    assert one.paths == ("cat/moved.png",)
    assert one.detail.startswith("cat? dog")
    assert 0 < one.score <= 1


def test_classes_of_very_few_images_keep_no_label_of_the_others_from_being_suspected(folder):
    shutil.move(folder / "dog" / "3.png", folder / "cat" / "moved.png")
    for name, count in (("one", 1), ("two", 2)):
        (folder / name).mkdir()
        for index in range(count):
            noise(100 + index + count).save(folder / name / f"{index}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = check_images(folder, brightness, image_size=(32, 32)).of("suspect_label")
    assert ("cat/moved.png",) in [one.paths for one in found]
    assert not [one for one in found if one.paths[0].startswith("one/")]


def test_of_each_fold_two_classes_are_left_to_learn_from():
    labels, pictures = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 2, 3])  # one picture is in both classes
    for seed in range(5):
        folds = suspects.folds_to_judge(labels, pictures, 3, seed)
        assert folds and all(len(set(labels[train])) == 2 for train, _ in folds)


@pytest.fixture(scope="module")
def judged():
    """Labels of five classes drawn from known probabilities, then 6% of them changed to another class."""
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(0, 1, (3000, 5)) + 5 * np.eye(5)[rng.integers(0, 5, 3000)], axis=1)
    truth = (rng.random((3000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    labels = np.where(rng.random(3000) < 0.06, (truth + rng.integers(1, 5, 3000)) % 5, truth)
    return labels, probabilities, labels != truth


def test_probabilities_of_wrong_labels_are_as_often_right_as_they_say(judged):
    labels, probabilities, wrong = judged
    estimated = suspects.wrong_label_probabilities(labels, probabilities)
    assert abs(estimated.mean() - wrong.mean()) < 0.01
    for low, high in ((0.1, 0.4), (0.4, 0.8), (0.8, 1)):
        inside = (estimated >= low) & (estimated <= high)
        assert abs(estimated[inside].mean() - wrong[inside].mean()) < 0.15
    scores = [score for _, score in suspects.find_suspects(labels, probabilities)]
    assert scores == sorted(scores, reverse=True)


def test_a_probe_that_is_too_sure_or_too_modest_accuses_the_same_labels(judged):
    labels, probabilities, _ = judged
    expected = suspects.wrong_label_probabilities(labels, probabilities)
    for power in (0.6, 2):
        bent = probabilities**power / (probabilities**power).sum(axis=1, keepdims=True)
        assert np.abs(suspects.wrong_label_probabilities(labels, bent) - expected).max() < 0.05


def test_a_probe_that_knows_nothing_accuses_nobody():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 15, 400), rng.dirichlet(np.ones(15), 400)
    assert suspects.wrong_label_probabilities(labels, probabilities).max() < suspects._SUSPECT


def test_report_is_plain_json_with_the_strongest_suspects_first(folder):
    shutil.move(folder / "dog" / "3.png", folder / "cat" / "moved.png")
    (folder / "cat" / "empty.png").write_bytes(b"")
    report = check_images(folder, brightness, image_size=(32, 32))
    content = json.loads(json.dumps(report.to_json()))
    assert content["ok"] is False and content["images"] == {"cat": 13, "dog": 11}
    assert content["findings"][0] == {
        "severity": "error", "kind": "unreadable", "paths": ["cat/empty.png"], "detail": "it is empty (zero bytes)",
        "score": None,
    }  # fmt: skip


def test_contact_sheets_show_each_kind_of_suspect(folder, tmp_path):
    shutil.copy(folder / "cat" / "0.png", folder / "cat" / "copy.png")
    (folder / "cat" / "empty.png").write_bytes(b"")
    written = check_images(folder, None).contact_sheets(tmp_path / "sheets")
    assert [path.name for path in written] == ["exact_duplicate.png"]
    assert Image.open(written[0]).width > 200


def many_copies(count):
    """A report of `count` pairs of copies, of one image."""
    pairs = tuple(Finding("exact_duplicate", (f"cat/{index}.png", "cat/0.png"), "") for index in range(count))
    return ImageReport("none", {"cat": count}, pairs)


def test_contact_sheets_go_on_over_pages_and_say_of_how_many(folder, tmp_path, monkeypatch):
    titles = []

    def drawn(pictures, captions, *, title, groups):
        titles.append(title.split(":")[0])
        assert len(pictures) == len(captions) == len(groups) <= 4
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr("tlkeras.checks.findings.contact_sheet", drawn)
    report = dataclasses.replace(many_copies(6), directory=str(folder))
    written = report.contact_sheets(tmp_path, limit=4, pages=2)
    assert [path.name for path in written] == ["exact_duplicate.png", "exact_duplicate-2.png"]
    assert titles == ["exact_duplicate, 1 to 4 of 12 images", "exact_duplicate, 5 to 8 of 12 images"]
    assert len(report.contact_sheets(tmp_path, limit=4)) == 3


def test_table_names_the_first_of_many_findings_and_counts_the_rest():
    lines = str(many_copies(73)).splitlines()
    assert len(lines) == 2 + 10 + 1
    assert lines[-1].strip().startswith("and 63 more")
    one = Finding("exact_duplicate", tuple(f"cat/{index}.png" for index in range(10)), "")
    assert str(ImageReport("none", {"cat": 10}, (one,))).endswith("cat/5.png and 4 more")


def test_quarantine_moves_unreadable_files_and_extra_copies_only(folder, tmp_path):
    shutil.copy(folder / "cat" / "0.png", folder / "cat" / "copy.png")
    shutil.copy(folder / "cat" / "1.png", folder / "dog" / "cat.png")
    (folder / "cat" / "empty.png").write_bytes(b"")
    before = {path.name for path in folder.rglob("*.png")}
    moves = check_images(folder, None).quarantine(tmp_path / "away")
    assert {path.name for path in (tmp_path / "away").rglob("*.png")} == {"copy.png", "empty.png"}
    assert {path.name for path in folder.rglob("*.png")} == before - {"copy.png", "empty.png"}
    assert len(moves) == 2
    assert found(check_images(folder, None)) == {"contradiction": [("cat/1.png", "dog/cat.png")]}


def test_quarantine_leaves_sound_files_of_other_kinds_where_they_are(folder, tmp_path):
    (folder / "cat" / "photo.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(40))
    (folder / "cat" / "scan.png").write_bytes(b"%PDF-1.7")
    report = check_images(folder, None)
    assert {one.paths[0] for one in report.of("unsupported")} <= {"cat/photo.heic", "cat/scan.png"}
    assert ("cat/scan.png",) in found(report)["unsupported"] and not report.ok
    assert report.quarantine(tmp_path / "away") == []


def test_quarantine_overwrites_nothing(folder, tmp_path):
    (folder / "cat" / "empty.png").write_bytes(b"")
    report = check_images(folder, None)
    (tmp_path / "away" / "cat").mkdir(parents=True)
    (tmp_path / "away" / "cat" / "empty.png").write_text("precious")
    with pytest.raises(InputError, match="already exists"):
        report.quarantine(tmp_path / "away")
    assert (folder / "cat" / "empty.png").exists()
    assert (tmp_path / "away" / "cat" / "empty.png").read_text() == "precious"


def test_what_is_no_directory_is_refused():
    with pytest.raises(InputError, match="Received: ndarray"):
        check_images(np.zeros((2, 8, 8, 3)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backbone": 3}, "be the name of a backbone, a Keras model or a function"),
        ({"backbone": lambda pixels: pixels}, r"shape \(\d+, 224, 224, 3\)"),
        ({"image_size": 0}, "image_size=0"),
    ],
)
def test_what_gives_no_features_is_refused(folder, given, message):
    with pytest.raises(InputError, match=message):
        check_images(folder, **given)


def test_missing_directory_is_refused(tmp_path):
    with pytest.raises(InputError, match="no directory"):
        check_images(tmp_path / "none")
