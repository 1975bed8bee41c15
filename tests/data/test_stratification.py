import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlkeras.data.splits import deal_folds, split
from tlkeras.errors import InputError


def rare_and_common(images=600, seed=0):
    """Ten labels, from one in fifty images to one in two, that often occur together."""
    rng = np.random.default_rng(seed)
    common = rng.random((images, 1)) < 0.5
    return (rng.random((images, 10)) < np.geomspace(0.02, 0.5, 10) * (0.4 + 1.2 * common)).astype("float32")


def dealt(labels, groups=None, **options):
    keys = [f"image-{index}" for index in range(len(labels))]
    groups = np.arange(len(labels)) if groups is None else groups
    return split(keys, labels, groups, [str(number) for number in range(labels.shape[1])], **options)


def error(labels, parts, shares):
    """Mean difference between the share of each label that a part has and the share that it should have."""
    return np.mean(
        [np.abs(labels[part].sum(axis=0) / labels.sum(axis=0) - shares[name]) for name, part in parts.items()]
    )


SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def test_every_label_has_its_share_in_every_part_and_far_closer_than_by_chance():
    labels = rare_and_common()
    ours = [error(labels, dealt(labels, seed=seed), SHARES) for seed in range(5)]
    rng = np.random.default_rng(0)
    chance = [
        error(labels, dict(zip(SHARES, np.split(rng.permutation(600), [360, 480]), strict=True)), SHARES)
        for _ in range(20)
    ]
    assert max(ours) < 0.02 < 0.5 * np.mean(chance)
    parts = dealt(labels)
    assert [len(parts[part]) for part in SHARES] == pytest.approx([360, 120, 120], abs=6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(1, 6))
def test_groups_stay_whole_and_every_image_is_dealt_once(seed, size):
    labels, groups = rare_and_common(300, seed), np.arange(300) // size
    labels = labels[:, 3:]
    parts = dealt(labels, groups, seed=seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(300))
    owners = [set(groups[part]) for part in parts.values()]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert all(labels[part].any(axis=0).all() for part in parts.values())


def test_three_images_of_a_label_are_one_per_part():
    for seed in range(10):
        labels = rare_and_common(200, seed)
        labels = np.column_stack([labels[:, 4:], np.arange(200) % 67 == 0]).astype("float32")
        parts = dealt(labels, seed=seed)
        assert [labels[part, -1].sum() for part in parts.values()] == [1, 1, 1]


def test_split_depends_on_keys_and_seed_and_not_on_the_order():
    labels = rare_and_common(200)[:, 3:]
    keys, names = [f"image-{index}" for index in range(200)], [str(number) for number in range(7)]
    order = np.random.default_rng(0).permutation(200)
    one = split(keys, labels, np.arange(200), names)
    other = split([keys[index] for index in order], labels[order], np.arange(200), names)
    for part in one:
        assert {keys[index] for index in one[part]} == {keys[order[index]] for index in other[part]}
    assert set(dealt(labels, seed=1)["test"]) != set(one["test"])


def test_images_without_labels_are_shared_out_too():
    labels = np.zeros((100, 2), "float32")
    labels[:10, 0] = labels[5:20, 1] = 1
    parts = dealt(labels)
    empty = {name: int((~labels[part].any(axis=1)).sum()) for name, part in parts.items()}
    assert empty == {
        "train": pytest.approx(48, abs=3),
        "validation": pytest.approx(16, abs=3),
        "test": pytest.approx(16, abs=3),
    }
    assert [len(dealt(labels, test_size=0)[part]) for part in ("train", "validation", "test")][2] == 0


def test_folds_of_several_labels_are_stratified_and_keep_groups_whole():
    labels, groups = rare_and_common(300)[:, 3:], np.arange(300) // 2
    parts = deal_folds(labels, groups, 5)
    assert sorted(np.concatenate(parts)) == list(range(300))
    assert sum(len(set(groups[part])) for part in parts) == 150
    shares = np.array([labels[part].sum(axis=0) / labels.sum(axis=0) for part in parts])
    assert np.abs(shares - 0.2).max() < 0.08


def test_label_with_fewer_images_than_parts_is_named():
    labels = np.ones((20, 2), "float32")
    labels[2:, 1] = 0
    with pytest.raises(InputError, match="'1' has 2 readable images"):
        dealt(labels)
