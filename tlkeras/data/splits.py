"""Split images into train, validation and test, or into folds: stratified, seeded, and without splitting groups."""

import warnings
from hashlib import blake2b

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tlkeras.data.stratification import deal
from tlkeras.errors import InputError
from tlkeras.utils.validation import check_number

PARTS = ("train", "validation", "test")


class TooFewGroups(InputError):
    """Error for a class that has enough images, but too few groups for every part to get one."""


def split(
    keys: list[str],
    labels: np.ndarray,
    groups: np.ndarray,
    class_names: list[str],
    *,
    test_size: float = 0.2,
    validation_size: float = 0.2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Split images so that each part has the same mix of classes and no group is in two parts.

    Images are assigned in an order that comes from a hash of the seed and each image's key. Therefore, the split does
    not depend on the order of the images, and adding or removing one image moves few other images to a different part.

    Args:
        keys: A stable, unique name for each image, such as its path within the data set.
        labels: Int array of shape `(images,)`, or array of 0s and 1s of shape `(images, classes)`, which is split by
            iterative stratification.
        groups: Int array of shape `(images,)`; images with the same number stay together.
        class_names: Names of the classes, for error messages.
        test_size: Fraction of each class for testing, in [0, 1). If it is 0, the test part stays empty; otherwise the
            part gets at least one image of every class. Defaults to 0.2.
        validation_size: Fraction of each class for validation, in [0, 1). The sum with `test_size` must be less than 1.
            Defaults to 0.2.
        seed: Seed for the split. A different seed gives a different split. Defaults to 0.

    Returns:
        `{"train": indices, "validation": indices, "test": indices}`, each in ascending order.

    Raises:
        InputError: A class has fewer images than there are parts, or fewer groups (`TooFewGroups`).
    """
    shares = _shares(test_size, validation_size)
    used = [part for part in PARTS if shares[part] > 0]
    counts = np.bincount(labels, minlength=len(class_names)) if labels.ndim == 1 else labels.sum(axis=0).astype(int)
    for name, count in zip(class_names, counts, strict=True):
        if count < len(used):
            images = "image" if count == 1 else "images"
            raise InputError(
                f"Class {name!r} has {count} readable {images}; a split into {', '.join(used)} "
                f"needs at least {len(used)}. Add images or leave the class out.{_quantities(class_names)}"
            )
    assign = _deal_classes if labels.ndim == 1 else _deal_labels
    parts = assign(keys, labels, groups, np.array([_quotas(count, shares) for count in counts]), shares, seed)
    result = {part: np.flatnonzero(parts == number) for number, part in enumerate(PARTS)}
    for part in used:
        present = labels[result[part]]
        lacking = np.setdiff1d(labels, present) if labels.ndim == 1 else np.flatnonzero(~present.any(axis=0))
        if len(lacking):
            name = class_names[lacking[0]]
            if labels.ndim == 2:
                raise TooFewGroups(
                    f"No image of class {name!r} is left for {part}: near-duplicates and groups stay together, and "
                    "images with several labels are in one part only. Add images, leave the class out, or try another "
                    "seed."
                )
            raise TooFewGroups(
                f"Class {name!r} has too few distinct images: near-duplicates and groups stay together, so "
                f"none is left for {part}. Add images or leave the class out. If all images look alike, pass "
                "near_duplicates=False, and use `groups` to keep related images together."
            )
    return result


def deal_folds(labels: np.ndarray, groups: np.ndarray, count: int, seed: int = 0) -> list[np.ndarray]:
    """Assign images to folds, stratified as evenly as possible without splitting a group.

    Args:
        labels: Int array of shape `(images,)`, or array of 0s and 1s of shape `(images, classes)`.
        groups: Int array of shape `(images,)`; images with the same number stay together.
        count: Number of folds, at least 2.
        seed: Seed for the folds. A different seed gives different folds. Defaults to 0.

    Returns:
        `count` arrays of indices, each in ascending order. Every image is in exactly one fold.
    """
    if labels.ndim == 1:
        alone = len(np.unique(groups)) == len(groups)
        splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(count, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # a fold may lack classes
            return [held_out for _, held_out in splitter.split(labels, labels, None if alone else groups)]
    totals = np.append(labels.sum(axis=0), len(labels)) / count
    parts = deal(labels, groups, np.tile(totals, (count, 1)), np.random.default_rng(seed).random(len(labels)))
    return [np.flatnonzero(parts == number) for number in range(count)]


def _deal_labels(
    keys: list[str], labels: np.ndarray, groups: np.ndarray, quotas: np.ndarray, shares: dict[str, float], seed: int
) -> np.ndarray:
    """Assign images with several labels to parts."""
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), int)
    totals = _quotas(len(keys), shares)
    draws = [_draw(seed, keys[index]) for index in order]
    parts = np.empty(len(keys), int)
    parts[order] = deal(labels[order], groups[order], np.column_stack([quotas.T, totals]), draws)
    return parts


def _deal_classes(
    keys: list[str], labels: np.ndarray, groups: np.ndarray, quotas: np.ndarray, shares: dict[str, float], seed: int
) -> np.ndarray:
    """Assign images to parts if each image has one class: large groups first, while there is room for them.

    Single images then fill the rest of each quota.
    """
    room = quotas.copy()
    members: dict[int, list[int]] = {}
    for index in sorted(range(len(keys)), key=keys.__getitem__):
        members.setdefault(int(groups[index]), []).append(index)
    draw = {group: _draw(seed, keys[images[0]]) for group, images in members.items()}
    needs = {group: np.bincount(labels[images], minlength=len(quotas)) for group, images in members.items()}
    groups_left = sum(need > 0 for need in needs.values())
    lacking = room > 0  # (class, part): whether the part still has no image of the class

    parts = np.empty(len(keys), int)
    for group in sorted(members, key=lambda group: (-len(members[group]), draw[group])):
        need = needs[group]
        present = need > 0
        part = _choose(room[present] - need[present, None], _preference(draw[group], len(members[group]), shares))
        for label in np.flatnonzero(present & (groups_left <= lacking.sum(axis=1)) & ~lacking[:, part]):
            if lacking[label].any():
                part = int(np.argmax(lacking[label]))
        room[:, part] -= need
        lacking[present, part] = False
        groups_left -= present
        parts[members[group]] = part
    return parts


def _quantities(class_names: list[str]) -> str:
    """Return a hint if there are so many numeric labels that they may be quantities."""
    many = len(class_names) > 20 and all(name.lstrip("+-").isdecimal() for name in class_names)
    return " If the labels are quantities, such as ages, bin them into classes first." if many else ""


def _shares(test_size: float, validation_size: float) -> dict[str, float]:
    for name, share in (("test_size", test_size), ("validation_size", validation_size)):
        check_number(name, share, "[0, 1)")
    train = 1 - test_size - validation_size
    if train <= 1e-9:
        raise InputError(
            f"`test_size` and `validation_size` must leave images for training. Received: {test_size!r} and "
            f"{validation_size!r}."
        )
    return {"train": train, "validation": validation_size, "test": test_size}


def _quotas(count: int, shares: dict[str, float]) -> list[int]:
    validation, test = (max(1, round(count * shares[part])) if shares[part] else 0 for part in PARTS[1:])
    while count - validation - test < 1:
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return [count - validation - test, validation, test]


def _preference(draw: float, count: int, shares: dict[str, float]) -> tuple[int, ...]:
    """Return the parts in order of preference: test, validation, train for single images; random order for groups."""
    train, validation, test = range(len(PARTS))
    if count == 1 or draw < shares["test"]:
        return test, validation, train
    if draw < shares["test"] + shares["validation"]:
        return validation, train, test
    return train, validation, test


def _choose(room_left: np.ndarray, preference: tuple[int, ...]) -> int:
    for part in preference:
        if (room_left[:, part] >= 0).all():
            return part
    return max(preference, key=lambda part: np.minimum(room_left[:, part], 0).sum())


def _draw(seed: int, key: str) -> float:
    """Return a number in [0, 1) that depends only on the seed and the key."""
    digest = blake2b(f"{seed}:{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
