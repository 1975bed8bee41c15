"""Iterative stratification: deal out images with several labels each, so that every label has its share everywhere."""

from collections.abc import Sequence

import numpy as np


def deal(labels: np.ndarray, groups: np.ndarray, quotas: np.ndarray, draws: Sequence[float]) -> np.ndarray:
    """Assign each image to a part, groups whole, the rarest label first.

    The rarest label is the hardest to balance, so its images are dealt first, each group to the part that lacks most
    images of this label; then the next rarest among the rest. Images without labels come last.

    Args:
        labels: Array of 0 and 1 of shape `(images, classes)`.
        groups: Int array of shape `(images,)`; images with equal numbers stay together.
        quotas: Array of shape `(parts, classes + 1)`: how many images of each class, and in all, a part should have.
        draws: Per image, a random number in [0, 1). That of a group's first image decides the order within a label,
            and between equal parts.

    Returns:
        Int array of shape `(images,)`: the number of the part.

    References: Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011
    (https://doi.org/10.1007/978-3-642-23808-6_10).

    Example:

    >>> labels = np.array([[1, 0]] * 4 + [[1, 1]] * 2)
    >>> parts = deal(labels, np.arange(6), np.array([[3, 1, 3], [3, 1, 3]]), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    >>> labels[parts == 0].sum(axis=0), labels[parts == 1].sum(axis=0)
    (array([3, 1]), array([3, 1]))
    """
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    needs = np.zeros((len(first), labels.shape[1] + 1))
    np.add.at(needs, members, np.column_stack([labels, np.ones(len(labels))]))
    draws, room = np.asarray(draws)[first], np.array(quotas, float)
    scale = np.maximum(room, 1)
    usable = np.flatnonzero(room[:, -1] > 0)
    parts, waiting, left = np.empty(len(first), int), np.ones(len(first), bool), needs.sum(axis=0)
    while waiting.any():
        rare = np.flatnonzero(left[:-1] > 0)
        label = rare[np.argmin(left[rare])] if len(rare) else -1
        chosen = np.flatnonzero(waiting & (needs[:, label] > 0))
        for group in chosen[np.lexsort((draws[chosen], -needs[chosen, label]))]:
            candidates = np.roll(usable, -int(draws[group] * len(usable)))
            # Where two parts lack as many images of this label, the other labels decide, then the number of images.
            others = (room[candidates] / scale[candidates]) @ needs[group]
            part = candidates[np.lexsort((-room[candidates, -1], -others, -room[candidates, label]))[0]]
            parts[group] = part
            room[part] -= needs[group]
        waiting[chosen] = False
        left = left - needs[chosen].sum(axis=0)
    return parts[members]
