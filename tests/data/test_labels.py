import unicodedata

import numpy as np
import pytest

from tlkeras.data.classes import name_classes
from tlkeras.data.groups import check_given_splits, group_numbers, with_groups
from tlkeras.data.labels import is_missing, name_of, ordered
from tlkeras.data.listing import ImageFile
from tlkeras.errors import InputError

pd = pytest.importorskip("pandas")


def files(labels, keys=None):
    keys = keys or [f"{index}.png" for index in range(len(labels))]
    return [ImageFile(key, key, label) for key, label in zip(keys, labels, strict=True)]


def named(labels, **options):
    names, kept, several = name_classes(files(labels), **options)
    return names, [file.label for file in kept], several


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT, "", "  ", "NA", "NaN", b"nan"]
)
def test_missing_values_of_any_library_are_missing(value):
    assert is_missing(value)
    with pytest.warns(UserWarning, match="1 of 5 images have no label"):
        names, labels, _ = named(["a", "b", value, "a", "b"])
    assert (names, labels) == (("a", "b"), ["a", "b", "a", "b"])


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "none of these", "nano", np.int64(0), b"x"])
def test_values_are_not_missing(value):
    assert not is_missing(value)


def test_minus_one_is_unlabeled_beside_whole_numbers_only():
    with pytest.warns(UserWarning, match=r"2 of 6 images have no label \(-1\)"):
        assert named([0, 1, -1, 1, 0, -1]) == (("0", "1"), ["0", "1", "1", "0"], False)
    with pytest.warns(UserWarning, match="1 of 3 images have no label .* If one of these values is a class"):
        assert named(["0", "1", "-1"], known=["-1", "0", "1"])[0] == ("0", "1")  # folders
    assert named([-1, 1, -2])[0] == ("-2", "-1", "1")  # a scale, not codes
    assert named(["-1", "up", "down"])[0] == ("-1", "down", "up")
    assert named([-1, 1, -1], classes=[-1, 1])[:2] == (("-1", "1"), ["-1", "1", "-1"])


def test_a_class_called_like_a_missing_value_is_one_where_classes_names_it():
    assert named(["NA", "EU", "NA"], classes=["NA", "EU"])[1] == ["NA", "EU", "NA"]


def test_only_unlabeled_images_are_refused():
    with pytest.raises(InputError, match="None of the 2 images has a label"):
        named([None, float("nan")])


@pytest.mark.parametrize("kind", [int, float, str, np.int8, np.float16, lambda number: f"{number}.5"])
def test_classes_are_in_order_of_their_values(kind):
    numbers = [kind(number) for number in (10, 9, 1, 2, 100)]
    if isinstance(numbers[0], str):
        assert ordered(numbers) == tuple(sorted(numbers, key=float))
    else:
        assert ordered(map(name_of, numbers)) == ("1", "2", "9", "10", "100")


def test_names_are_compared_in_composed_form():
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    assert named([*forms, "thé"])[0] == (forms[0], "thé")
    assert named([forms[0], "thé"], classes=["thé", forms[1]])[0] == ("thé", forms[0])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["cat", "dgo"], r"be classes of the data set \(cat, dog\).*Did you mean 'dog'"),
        (["cat,dog"], "repeat `--classes` for each class"),
        ([], "sequence of class names"),
        ("cat", "sequence of class names"),
        (["cat", "cat"], "'cat' is repeated"),
    ],
)
def test_unusable_choice_of_classes_is_refused(classes, message):
    with pytest.raises(InputError, match=message):
        named(["cat", "dog"], classes=classes)


@pytest.mark.parametrize("labels", [[34.5, 12.0, 71.2], np.array([0.25, 0.5]), [np.float32(1.5), 1]])
def test_quantities_are_refused_with_the_reason(labels):
    with pytest.raises(InputError, match="regression targets"):
        named(list(labels))


def test_several_labels_are_kept_in_the_order_of_the_classes():
    names, labels, several = named([["b", "a"], ["a"], [], ("c",), {"c", "b"}])
    assert several and names == ("a", "b", "c")
    assert labels == [("a", "b"), ("a",), (), ("c",), ("b", "c")]
    assert named([["b"], ["a"]])[1:] == (["b", "a"], False)
    assert named([["b"], ["a"]], multilabel=True)[1:] == ([("b",), ("a",)], True)
    with pytest.raises(InputError, match=r"`multilabel` must be True .*\['a', 'b'\]"):
        named([["a", "b"], ["a"]], multilabel=False)


def test_missing_values_among_several_labels_are_left_out():
    with pytest.warns(UserWarning, match="1 of 4 images"):
        names, labels, _ = named([[0, 2, -1], [-1, -1], [1, 0], []])  # padded to one length, as some tables are
    assert (names, labels) == (("0", "1", "2"), [("0", "2"), ("0", "1"), ()])


def test_images_without_the_chosen_labels_are_examples_of_none():
    assert named([["a", "b"], ["c"], ["a"]], classes=["b", "a"])[:2] == (("b", "a"), [("b", "a"), (), ("a",)])


def test_labels_joined_in_one_cell_are_refused_and_not_made_into_classes():
    with pytest.raises(InputError, match=r"label_separator='\|'"):
        named(["cat", "dog", "cat|dog"])
    for multilabel in (None, True):
        with pytest.raises(InputError, match="label_separator=';'"):  # 'old' is never alone
            named(["cat", "dog", "cat;old", "dog; old"], multilabel=multilabel)
    assert named(["cat", "cat, wild", "dog"])[0] == ("cat", "cat, wild", "dog")
    assert named(["cat", "dog", "cat|dog"], classes=["cat", "cat|dog", "dog"])[0] == ("cat", "cat|dog", "dog")
    assert named(["a, b", "c"])[0] == ("a, b", "c")


def test_missing_groups_are_each_a_group_of_their_own():
    given = ["p", None, float("nan"), pd.NA, "", -1, "p", -1, 7, 7.0]
    numbers = group_numbers(with_groups(files("a" * 10), given))
    assert numbers[0] == numbers[6] and numbers[8] == numbers[9]
    assert len(set(numbers)) == 8
    assert group_numbers(with_groups(files("aa"), None)) is None


def test_groups_of_a_regular_expression():
    keys = ["x/p1_a.png", "y/p1_b.png", "y/p2_c.png", "odd.png", "even.png"]
    with pytest.warns(UserWarning, match=r"does not match 2 of 5 paths, such as 'odd.png'"):
        grouped = with_groups(files("abcde", keys), r"(p\d+)_")
    assert [file.group for file in grouped] == ["p1", "p1", "p2", None, None]
    assert len(set(group_numbers(grouped))) == 4


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (r"p\d+", "one capture group"),
        (r"(p)(\d+)", "one capture group"),
        ("(p", "This expression is invalid"),
        (r"(q\d+)", "matches none of the 2 paths, such as 'p1.png'"),
        ([1], "1 groups for 2 images"),
        (3, "one value per image"),
    ],
)
def test_unusable_groups_are_refused(groups, message):
    with pytest.raises(InputError, match=message):
        with_groups(files("ab", ["p1.png", "p2.png"]), groups)


def test_group_that_straddles_given_splits_is_refused_by_name():
    given = [ImageFile(f"{part}.png", f"{part}.png", "a", part, "p1") for part in ("train", "test")]
    with pytest.raises(InputError, match=r"'p1' has images in train \('train.png'\) and in test"):
        check_given_splits(given)
    check_given_splits([ImageFile("a", "a", "x", None, "p1"), ImageFile("b", "b", "x", "train", "p1")])
    check_given_splits([ImageFile("a", "a", "x", "test"), ImageFile("b", "b", "x", "train")])
