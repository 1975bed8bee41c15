"""Divide a network without informative layer names where its resolution changes or its structure repeats."""

import re
from collections.abc import Callable

from tlkeras.models.layer_tree import has_kernel, own_weights
from tlkeras.models.tracing import Unit

#: Special tokens, position embeddings and patch embeddings come first, wherever in the code they were created.
_EMBEDDING = re.compile(r"embed|patching|patchify|(cls|class|dist\w*|register)_?token", re.IGNORECASE)


def divide_by_structure(trunk: list[Unit]) -> list[tuple[str | None, list[Unit]]]:
    """Divide a network of an unknown family by resolution or repetition; failing both, make one block per kernel.

    Args:
        trunk: Units below the head, in graph order.

    Returns:
        Pairs of a block's name and its units. The name is "stem" for the units before the first block with branches,
        and None for all later blocks.

    Example:

    >>> import keras
    >>> from tlkeras.models.tracing import units
    >>> layers = keras.layers
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3, strides=2)])
    >>> [(name, len(members)) for name, members in divide_by_structure(units(model))]
    [(None, 1), (None, 1)]
    """
    embeddings = [unit for unit in trunk if _is_embedding(unit)]
    if embeddings:  # a later "patch embedding" of a hierarchical model begins a stage
        lowest = min(unit.level for unit in embeddings)
        embeddings = [unit for unit in embeddings if unit.level == lowest]
    rest = [unit for unit in trunk if unit not in embeddings]
    segments = consecutive(rest, lambda unit: unit.segment)
    branching = [i for i, segment in enumerate(segments) if _has_parts(segment)]
    start = branching[0] if branching else 0
    body = consecutive([unit for segment in segments[start:] for unit in segment], lambda unit: unit.level)
    if len(body) == 1:
        before, stages = _repetitions(segments[start:]) if branching else ([], _kernels(segments))
        body = [[unit for segment in stage for unit in segment] for stage in stages]
        start += len(before)
    below = [unit for segment in segments[:start] for unit in segment]
    stem = [unit for unit in trunk if unit in embeddings or unit in below]
    groups: list[tuple[str | None, list[Unit]]] = [(None, group) for group in body]
    return [("stem", stem), *groups] if stem else groups


def _is_embedding(unit: Unit) -> bool:
    names = [*unit.path[-1:], *(type(layer).__name__ for layer in unit.layers)]
    if len(unit.layers) == 1:
        names += [weight.name for weight in own_weights(unit.layers[0])]
    return any(_EMBEDDING.search(name) for name in names)


def _has_parts(segment: list[Unit]) -> bool:
    return len(segment) > 1 or len(segment[0].layers) > 1


def consecutive(items: list, key: Callable) -> list[list]:
    """Divide items into runs of consecutive items with equal keys.

    Example:

    >>> consecutive([1, 1, 2, 1], key=lambda item: item)
    [[1, 1], [2], [1]]
    """
    runs: list[list] = []
    for item in items:
        if runs and key(runs[-1][-1]) == key(item):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _repetitions(segments: list[list[Unit]]) -> tuple[list, list[list]]:
    """Return the segments before the longest repetition, and its periods; later segments join the last period."""
    kinds = [tuple(type(layer).__name__ for unit in segment for layer in unit.layers) for segment in segments]
    best = (0, 0, 0)  # (run length, -period, -start): prefer the longest run, then the shortest period, then the first
    for period in range(1, len(kinds) // 2 + 1):
        for start in range(len(kinds) - 2 * period + 1):
            end = start + period
            while end < len(kinds) and kinds[end] == kinds[end - period]:
                end += 1
            length = (end - start) // period * period
            if length >= 2 * period:
                best = max(best, (length, -period, -start))
    length, period, start = best[0], -best[1], -best[2]
    if not length:
        return [], [[segment] for segment in segments]
    cuts = list(range(start, start + length, period))
    return segments[:start], [segments[a:b] for a, b in zip(cuts, [*cuts[1:], len(segments)], strict=True)]


def _kernels(segments: list[list[Unit]]) -> list[list]:
    """Create one block for each segment with a kernel; add segments without a kernel to the block before them."""
    groups: list[list] = []
    for segment in segments:
        if groups and not (_has_kernel(segment) and any(map(_has_kernel, groups[-1]))):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _has_kernel(segment: list[Unit]) -> bool:
    return any(has_kernel(layer) for unit in segment for layer in unit.layers)
