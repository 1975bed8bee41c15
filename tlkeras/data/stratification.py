"""Split multi-label images by iterative stratification, so that every label is equally frequent in all parts."""

from collections.abc import Sequence

import numpy as np


def deal(labels: np.ndarray, groups: np.ndarray, quotas: np.ndarray, draws: Sequence[float]) -> np.ndarray:
    """Assign each image to a part without splitting groups, starting with the rarest label.

    The rarest label is the hardest to balance, so its images are assigned first. Each group goes to the part that still
    needs the most images with this label. The next rarest label among the remaining images follows. Images without
    labels come last.

    Args:
        labels: Array of 0s and 1s of shape `(images, classes)`.
        groups: Int array of shape `(images,)`; images with the same number stay together.
        quotas: Array of shape `(parts, classes + 1)`: the number of images of each class that each part should have
            and, in the last column, the total.
        draws: One random number in [0, 1) per image. The random number of a group's first image decides the order of
            the groups within a label and breaks ties between parts.

    Returns:
        Int array of shape `(images,)`: the index of each image's part.

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
    draws, cells = np.asarray(draws)[first], _cells(needs)
    usable = [part for part, quota in enumerate(quotas) if quota[-1] > 0]
    room, scale = np.array(quotas, float).tolist(), np.maximum(quotas, 1).tolist()
    parts, waiting, left = np.empty(len(first), int), np.ones(len(first), bool), needs.sum(axis=0)
    while waiting.any():
        rare = np.flatnonzero(left[:-1] > 0)
        label = int(rare[np.argmin(left[rare])]) if len(rare) else labels.shape[1]
        chosen = np.flatnonzero(waiting & (needs[:, label] > 0))
        for group in chosen[np.lexsort((draws[chosen], -needs[chosen, label]))].tolist():
            turn = int(draws[group] * len(usable))
            order = usable[turn:] + usable[:turn]
            # Number of images that each part lacks: first for this label, then for all labels of the group, then in
            # total.
            lacks = [
                (
                    room[part][label],
                    sum(count * room[part][one] / scale[part][one] for one, count in cells[group]),
                    room[part][-1],
                )
                for part in order
            ]
            part = order[lacks.index(max(lacks))]
            parts[group] = part
            for one, count in cells[group]:
                room[part][one] -= count
        waiting[chosen] = False
        left = left - needs[chosen].sum(axis=0)
    return parts[members]


def _cells(needs: np.ndarray) -> list[list[tuple[int, float]]]:
    """Return the nonzero columns and values of each row, as plain lists, which are faster than arrays when short."""
    rows, columns = np.nonzero(needs)
    cells: list[list[tuple[int, float]]] = [[] for _ in needs]
    for row, column, count in zip(rows.tolist(), columns.tolist(), needs[rows, columns].tolist(), strict=True):
        cells[row].append((column, count))
    return cells
