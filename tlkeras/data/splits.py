"""Dealing images out to train, validation and test: stratified, seeded, groups kept whole."""

from hashlib import blake2b
from numbers import Real

import numpy as np

from tlkeras.errors import InputError

PARTS = ("train", "validation", "test")


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
    """Splits so that each class has its share in each part and no group lies in two parts.

    The order in which images are dealt out comes from a hash of the seed and each image's key. So the split does
    not depend on the order of the images, and one image more or less moves few others.

    Args:
        keys: a stable, unique name for each image, such as its path within the data set.
        labels: int array of shape `(images,)`.
        groups: int array of shape `(images,)`; images with equal numbers stay together.
        class_names: for error messages.
        test_size: share of each class, in [0, 1). With a share of 0 the part stays empty; otherwise it gets at
            least one image of every class.
        validation_size: share of each class, likewise; together the two are less than 1.
        seed: another seed gives another split.

    Returns:
        `{"train": indices, "validation": indices, "test": indices}`, each in ascending order.

    Raises:
        InputError: a class has fewer images, or fewer groups, than there are parts.
    """
    shares = _shares(test_size, validation_size)
    wanted = [part for part in PARTS if shares[part] > 0]
    room = np.zeros((len(class_names), len(PARTS)), int)
    for label, name in enumerate(class_names):
        count = int((labels == label).sum())
        if count < len(wanted):
            raise InputError(
                f"Class {name!r} has {count} readable image{'s' * (count != 1)}; a split into {', '.join(wanted)} "
                f"needs at least {len(wanted)}. Add images or leave the class out."
            )
        room[label] = _quotas(count, shares)

    members: dict[int, list[int]] = {}
    for index in sorted(range(len(keys)), key=keys.__getitem__):
        members.setdefault(int(groups[index]), []).append(index)
    draw = {group: _draw(seed, keys[images[0]]) for group, images in members.items()}
    needs = {group: np.bincount(labels[images], minlength=len(class_names)) for group, images in members.items()}
    groups_left = sum(need > 0 for need in needs.values())
    lacking = room > 0  # (class, part): still without an image

    parts: list[list[int]] = [[] for _ in PARTS]
    # Large groups first, while there is room for them; single images then fill each quota exactly.
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
        parts[part] += members[group]

    result = {part: np.array(sorted(chosen), "int64") for part, chosen in zip(PARTS, parts, strict=True)}
    for part in wanted:
        missing = np.setdiff1d(labels, labels[result[part]])
        if len(missing):
            raise InputError(
                f"The images of class {class_names[missing[0]]!r} are too few that differ: near-duplicates and groups "
                f"stay together, so none is left for {part}. Add images or leave the class out."
            )
    return result


def _shares(test_size: float, validation_size: float) -> dict[str, float]:
    for name, share in (("test_size", test_size), ("validation_size", validation_size)):
        if not (isinstance(share, Real) and 0 <= share < 1):
            raise InputError(f"{name} is a share of the images, from 0 to below 1. Received: {name}={share!r}.")
    train = 1 - test_size - validation_size
    if train <= 1e-9:
        raise InputError(
            f"test_size and validation_size leave nothing to train on. Received: {test_size!r} and {validation_size!r}."
        )
    return {"train": train, "validation": validation_size, "test": test_size}


def _quotas(count: int, shares: dict[str, float]) -> list[int]:
    validation, test = (max(1, round(count * shares[part])) if shares[part] else 0 for part in PARTS[1:])
    while count - validation - test < 1:
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return [count - validation - test, validation, test]


def _preference(draw: float, count: int, shares: dict[str, float]) -> tuple[int, ...]:
    """The parts by preference: single images fill test, validation, train in turn, larger groups fall by lot."""
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
    """A number in [0, 1) that depends on nothing but the seed and the key."""
    digest = blake2b(f"{seed}:{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
