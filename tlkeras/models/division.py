"""How a model is divided into blocks: by the names of its layers, or else by its graph.

Families are known by how they name their layers; any other model is divided where its resolution changes or, where it
never does, at its repeated structure.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from tlkeras.models.tracing import Unit, has_kernel, own_weights

#: How families name their layers: a pattern for the beginning of a layer's name, and the block's name. Layers that no
#: pattern names (`post_bn`, a shortcut called `conv2d_94`) belong to the block before them.
FAMILIES: dict[str, tuple[tuple[str, str], ...]] = {
    "EfficientNet": ((r"stem_", "stem"), (r"block(\d+)[^_\d]+_", r"block\1"), (r"top_", "top")),
    "VGG, Xception": ((r"block(\d+)_", r"block\1"),),
    "ResNet, DenseNet": ((r"conv1_", "stem"), (r"conv(\d+)_block", r"conv\1_x"), (r"pool(\d+)_", r"conv\1_x")),
    "ResNet, DenseNet of KerasHub and KerasCV": ((r"conv1_|stem_", "stem"), (r"(?:.*_)?stack_?(\d+)_", r"stack\1")),
    "MobileNet": ((r"conv1(_bn)?$", "stem"), (r"conv_[dp]w_(\d+)", r"block\1")),
    "MobileNetV2": (
        (r"(bn_)?Conv1", "stem"),
        (r"(expanded_conv)_", r"\1"),
        (r"(block_\d+)_", r"\1"),
        (r"Conv_1", "top"),
    ),
    "MobileNetV3": (
        (r"[Cc]onv(_bn|_BatchNorm)?$", "stem"),
        (r"(expanded_conv(?:_\d+)?)_", r"\1"),
        (r"[Cc]onv_1", "top"),
    ),
    "ConvNeXt": (
        (r".*_stem", "stem"),
        (r".*_stage_(\d+)_", r"stage_\1"),
        (r".*_downsampling_block_0", "stage_1"),
        (r".*_downsampling_block_1", "stage_2"),
        (r".*_downsampling_block_2", "stage_3"),
    ),
    "NASNet": (
        (r"stem_|.*_stem_\d+$", "stem"),
        (r"(?:separable|adjust|reduction)_.*_reduce_(\d+)$", r"reduce_\1"),
        (r"(?:separable|adjust|normal)_.*_(\d+)$", r"cell_\1"),
    ),
    "Swin": ((r"patch_embedding", "stem"), (r"stage_(\d+)(?:_blocks_|_downsample_|$)", r"stage_\1")),
    "CSPDarkNet": ((r"stem_", "stem"), (r"(dark\d+)_", r"\1")),
}

#: A family is recognized when its patterns name this share of the layers.
_RECOGNIZED = 0.6

#: Nested models are mapped each on its own when together they hold this share of the layers.
_NESTED = 0.9

#: Tokens, position and patch embeddings come first, wherever in the code they were made.
_EMBEDDING = re.compile(r"embed|patching|patchify|(cls|class|dist\w*|register)_?token", re.IGNORECASE)

_Groups = list[tuple[str, list[Unit]]]


def divide(trunk: list[Unit], depth: int = 0) -> _Groups:
    """Divides what lies below the head into blocks; nested models that make up most of it, each on its own.

    Args:
        trunk: The weighted parts of a model below its head, in graph order; see `tlkeras.graph.units`.
        depth: How many models are around those that `trunk` is the whole of.

    Returns:
        A list of pairs of a block's name, which need not be unique, and its units.

    Example:

    >>> import keras
    >>> from tlkeras.models.tracing import units
    >>> layers = keras.layers
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3, strides=2)])
    >>> [(name, len(members)) for name, members in divide(units(model))]
    [('block1', 1), ('block2', 1)]
    """
    nested: dict[str, list[Unit]] = {}
    outside = []
    for unit in trunk:
        (nested.setdefault(unit.models[depth], []) if len(unit.models) > depth else outside).append(unit)
    if not nested or _size(trunk) * _NESTED > _size(trunk) - _size(outside):
        return _divide_flat(trunk)
    first = min(trunk.index(members[0]) for members in nested.values())
    before, after = trunk[:first], [unit for unit in outside if unit not in trunk[:first]]
    groups: _Groups = []
    for name, members in nested.items():
        inner = divide(members, depth + 1)
        if len(inner) == 1 and len(nested) > 1:
            inner = [(name, members)]
        groups += [(f"{name}/{block}" if len(nested) > 1 and block != name else block, g) for block, g in inner]
    if len(nested) > 1:  # the short name, where it is no other tower's
        short = Counter(name.rpartition("/")[2] for name, _ in groups)
        groups = [(s if short[s := name.rpartition("/")[2]] == 1 else name, group) for name, group in groups]
    if before:
        name, group = groups[0]
        groups[:1] = [(name, before + group)] if name.endswith("stem") else [("stem", before), (name, group)]
    return groups + ([("neck", after)] if after else [])


def _size(members: Sequence[Unit]) -> int:
    return sum(len(unit.layers) for unit in members)


def _divide_flat(trunk: list[Unit]) -> _Groups:
    if not trunk:
        return []
    named = max(([_named_by(rules, unit) for unit in trunk] for rules in FAMILIES.values()), key=_named_share)
    if _named_share(named) < _RECOGNIZED or len(set(named)) < 2:
        return _divide_graph(trunk)
    current = next(filter(None, named))
    groups: dict[str, list[Unit]] = {}
    for unit, name in zip(trunk, named, strict=True):
        current = name or current
        groups.setdefault(current, []).append(unit)
    return list(groups.items())


def _named_by(rules, unit: Unit) -> str | None:
    """The block that a family's patterns name for a unit: its own name counts first, then what it lies in."""
    for part in reversed(unit.path):
        for pattern, name in rules:
            if match := re.match(pattern, part):
                return match.expand(name)
    return None


def _named_share(named: list[str | None]) -> float:
    return sum(name is not None for name in named) / len(named)


def _divide_graph(trunk: list[Unit]) -> _Groups:
    """Blocks of an unknown model: by resolution, else by repeated structure, else a block for each kernel."""
    embeddings = [unit for unit in trunk if _is_embedding(unit)]
    if embeddings:  # a later "patch embedding" of a hierarchical model begins a stage
        lowest = min(unit.level for unit in embeddings)
        embeddings = [unit for unit in embeddings if unit.level == lowest]
    rest = [unit for unit in trunk if unit not in embeddings]
    segments = _runs(rest, lambda unit: unit.segment)
    branching = [i for i, segment in enumerate(segments) if _has_parts(segment)]
    start = branching[0] if branching else 0
    body = _runs([unit for segment in segments[start:] for unit in segment], lambda unit: unit.level)
    if len(body) == 1:
        before, stages = _repetitions(segments[start:]) if branching else ([], _kernels(segments))
        body = [[unit for segment in stage for unit in segment] for stage in stages]
        start += len(before)
    below = [unit for segment in segments[:start] for unit in segment]
    stem = [unit for unit in trunk if unit in embeddings or unit in below]
    groups = [(f"block{i}", group) for i, group in enumerate(body, 1)]
    return [("stem", stem), *groups] if stem else groups


def _is_embedding(unit: Unit) -> bool:
    names = [*unit.path[-1:], *(type(layer).__name__ for layer in unit.layers)]
    if len(unit.layers) == 1:
        names += [weight.name for weight in own_weights(unit.layers[0])]
    return any(_EMBEDDING.search(name) for name in names)


def _has_parts(segment: list[Unit]) -> bool:
    return len(segment) > 1 or len(segment[0].layers) > 1


def _runs(items: list, key: Callable) -> list[list]:
    """Consecutive items with equal keys."""
    runs: list[list] = []
    for item in items:
        if runs and key(runs[-1][-1]) == key(item):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _repetitions(segments: list[list[Unit]]) -> tuple[list, list[list]]:
    """What comes before the longest repetition, and its periods; what follows joins the last of them."""
    kinds = [tuple(type(layer).__name__ for unit in segment for layer in unit.layers) for segment in segments]
    best = (0, 0, 0)  # length of the run, minus the period, minus the start: the longest, then finest, then first
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
    """A block for each segment with a kernel; normalization and scale join the block before them."""
    groups: list[list] = []
    for segment in segments:
        if groups and not (_has_kernel(segment) and any(map(_has_kernel, groups[-1]))):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _has_kernel(segment: list[Unit]) -> bool:
    return any(has_kernel(layer) for unit in segment for layer in unit.layers)
