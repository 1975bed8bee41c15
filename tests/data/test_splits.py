import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlkeras.data.splits import split
from tlkeras.errors import InputError

NAMES = ["a", "b", "c"]


def keys(count):
    return [f"image-{index}" for index in range(count)]


def alone(count):
    return np.arange(count)


def test_every_class_has_its_share_in_every_part():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    parts = split(keys(160), labels, alone(160), NAMES, test_size=0.2, validation_size=0.1)
    assert np.bincount(labels[parts["test"]]).tolist() == [20, 10, 2]
    assert np.bincount(labels[parts["validation"]]).tolist() == [10, 5, 1]
    assert np.bincount(labels[parts["train"]]).tolist() == [70, 35, 7]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_parts_cover_everything_once_and_keep_groups_whole(data):
    count = data.draw(st.integers(12, 80))
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    labels = np.concatenate([labels, np.repeat([0, 1, 2], 3)])  # three images of each class that are alone
    count = len(labels)
    groups = np.array(data.draw(st.lists(st.integers(0, 30), min_size=count - 9, max_size=count - 9)))
    groups = np.concatenate([groups, 1000 + np.arange(9)])
    parts = split(keys(count), labels, groups, NAMES, seed=data.draw(st.integers(0, 5)))
    assert sorted(np.concatenate(list(parts.values()))) == list(range(count))
    owners = [set(groups[indices]) for indices in parts.values()]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert all(set(labels[indices]) == {0, 1, 2} for indices in parts.values())


def test_three_groups_of_one_class_are_enough_whatever_their_sizes():
    labels = np.repeat([0, 1], [9, 9])
    groups = np.concatenate([[0, 0, 0, 0, 0, 1, 1, 2, 2], 10 + np.arange(9)])
    parts = split(keys(18), labels, groups, NAMES[:2])
    assert all((labels[indices] == 0).any() for indices in parts.values())


def test_split_does_not_depend_on_the_order_of_the_images():
    labels, names = np.arange(60) % 3, keys(60)
    order = np.random.default_rng(0).permutation(60)
    parts = split(names, labels, alone(60), NAMES)
    shuffled = split([names[index] for index in order], labels[order], alone(60), NAMES)
    for part, indices in parts.items():
        assert {names[index] for index in indices} == {names[order[index]] for index in shuffled[part]}


def test_seeds_give_different_splits_of_the_same_sizes():
    labels = np.arange(60) % 3
    one, other = (split(keys(60), labels, alone(60), NAMES, seed=seed) for seed in (0, 1))
    assert any(set(one[part]) != set(other[part]) for part in one)
    assert [len(indices) for indices in one.values()] == [len(indices) for indices in other.values()]


def test_one_image_less_moves_at_most_a_few_others():
    labels, names = np.arange(300) % 3, keys(300)
    before = split(names, labels, alone(300), NAMES)
    after = split(names[1:], labels[1:], alone(299), NAMES)
    for part in before:
        assert len({names[i] for i in before[part]} ^ {names[i + 1] for i in after[part]}) <= 4


def test_share_of_zero_leaves_the_part_empty():
    parts = split(keys(8), np.arange(8) % 2, alone(8), NAMES[:2], test_size=0, validation_size=0.25)
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [6, 2, 0]


def test_large_group_does_not_land_in_a_part_that_has_no_room_for_it():
    groups = np.concatenate([np.zeros(30), np.arange(1, 71)])
    for seed in range(10):
        parts = split(keys(100), np.zeros(100, int), groups, ["a"], seed=seed)
        assert [len(indices) for indices in parts.values()] == [60, 20, 20]
        assert 0 in groups[parts["train"]]


def test_class_with_fewer_images_than_parts_is_named():
    with pytest.raises(InputError, match="'b' has 2 readable images"):
        split(keys(12), np.repeat([0, 1], [10, 2]), alone(12), NAMES[:2])


def test_class_whose_images_are_all_alike_is_named():
    with pytest.raises(InputError, match="Class 'b' has too few distinct images"):
        split(keys(15), np.repeat([0, 1], [10, 5]), np.r_[np.arange(10), np.full(5, 99)], NAMES[:2])


@pytest.mark.parametrize("shares", [(1.0, 0.1), (-0.1, 0.1), (0.5, 0.5), (0.2, 1), ("0.2", 0.1)])
def test_unusable_shares_are_refused(shares):
    with pytest.raises(InputError):
        split(keys(30), np.arange(30) % 3, alone(30), NAMES, test_size=shares[0], validation_size=shares[1])
