"""Divide a model into blocks: divide each nested model and parallel tower separately, then align them at the head.

A network of a known family is divided by the names of its layers. Any other network is divided where its resolution
changes or, if the resolution never changes, where its structure repeats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tlkeras.models.families import divide_by_names
from tlkeras.models.layer_tree import has_kernel
from tlkeras.models.structure import consecutive, divide_by_structure
from tlkeras.models.tracing import Unit

#: Nested models are stages of the model if together they contain at least this fraction of its layers below the head.
_STAGES_SHARE = 0.9

#: One nested model, or several parallel ones, are the base of the model if they contain at least this fraction of its
#: layers below the head. The other layers were added to the base.
_BASE_SHARE = 0.5

#: From this fraction on, the layers above a nested model are reported as outside it, though they keep their own blocks.
_NOTICED_SHARE = 0.1


@dataclass
class Group:
    """The units of one block.

    Attributes:
        name: Name of the block, which need not be unique. If None, the block is named "block" plus a number.
        units: The units, in graph order.
        parallel: Whether the units come from parallel towers.
    """

    name: str | None
    units: list[Unit]
    parallel: bool = False


@dataclass
class Division:
    """The blocks of a model below its head.

    Attributes:
        groups: The blocks, from the input up.
        added: Units on top of a base that are not part of the base; usually new layers.
        outside: Units elsewhere that are not part of a base, such as a convolution in front of it that turns one
            channel into three.
    """

    groups: list[Group]
    added: list[Unit] = field(default_factory=list)
    outside: list[Unit] = field(default_factory=list)


@dataclass
class _Part:
    """One part of a network: a nested model, a tower, or the units between other parts."""

    name: str
    units: list[Unit]
    groups: list[Group]


def divide(trunk: list[Unit], depth: int = 0) -> Division:
    """Divide the part of a model below its head into blocks.

    Nested models that make up most of this part are divided separately. Parallel nested models are aligned at their
    upper ends: the last block contains the last layers of all these models, regardless of the order of the models.

    Args:
        trunk: The units of a model below its head, in graph order; see `tlkeras.models.tracing.units`.
        depth: Nesting depth of `trunk`: the number of nested models that contain all of it.

    Returns:
        A `Division`.

    Example:

    >>> import keras
    >>> from tlkeras.models.tracing import units
    >>> layers = keras.layers
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3, strides=2)])
    >>> [(group.name, len(group.units)) for group in divide(units(model)).groups]
    [(None, 1), (None, 1)]
    """
    nested: dict[str, list[Unit]] = {}
    outside = []
    for unit in trunk:
        (nested.setdefault(unit.models[depth], []) if len(unit.models) > depth else outside).append(unit)
    below = {name: _upstream(members, trunk) for name, members in nested.items()}
    parallel = not any(name != other and below[name] & _numbers(nested[other]) for name in nested for other in nested)
    share = 1 - _size(outside) / max(_size(trunk), 1)
    before, shared, after = _sorted_out(outside, nested, below)
    if not nested or share < (_BASE_SHARE if parallel else _STAGES_SHARE):
        division = _divide_flat(trunk)
        if parallel and share >= _NOTICED_SHARE:
            division.outside += after
        return division
    divisions = {name: divide(members, depth + 1) for name, members in nested.items()}
    parts = [_Part("stem", shared, [Group("stem", shared)])] if shared else []
    for name, members in nested.items():
        groups = divisions[name].groups
        if not parallel:
            groups = _stage(name, divisions[name])
        parts.append(_Part(name, before[name] + members, _with_stem(before[name], groups)))
    if not parallel:  # stages of one network, with layers in between
        parts += [_Part("neck", after, [Group("neck", after)])] if after else []
        return Division(_lined_up(parts, trunk))
    outside = [*shared, *(unit for units in before.values() for unit in units)]
    outside += [unit for division in divisions.values() for unit in division.outside]
    added = [unit for division in divisions.values() for unit in division.added]
    return Division(_lined_up(parts, trunk), added + after, outside)


def _stage(name: str, division: Division) -> list[Group]:
    """Return the blocks of one nested model, in a network that is a sequence of nested models."""
    groups = [*division.groups, *([Group("neck", division.added)] if division.added else [])]
    return number(groups) if len(groups) > 1 else [Group(name, groups[0].units)]


def number(groups: Sequence[Group]) -> list[Group]:
    """Name the unnamed groups block1, block2 and so on.

    Example:

    >>> [group.name for group in number([Group("stem", []), Group(None, []), Group(None, [])])]
    ['stem', 'block1', 'block2']
    """
    numbers = iter(range(1, len(groups) + 1))
    return [replace(group, name=group.name or f"block{next(numbers)}") for group in groups]


def _sorted_out(outside: list[Unit], nested: dict[str, list[Unit]], below: dict[str, set[int]]):
    """Sort units outside nested models into those before one nested model, those before several, and the rest."""
    before: dict[str, list[Unit]] = {name: [] for name in nested}
    shared, after = [], []
    for unit in outside:
        fed = [name for name in nested if unit.number in below[name]]
        first = [
            name for name in fed if not any(below[name] & _numbers(nested[other]) for other in fed if other != name)
        ]
        if not fed:
            after.append(unit)
        elif len(first) == 1:
            before[first[0]].append(unit)
        else:
            shared.append(unit)
    return before, shared, after


def _with_stem(before: list[Unit], groups: list[Group]) -> list[Group]:
    """Add units that precede the first block to the stem, or create a stem from them if there is none."""
    if not before or not groups:
        return [Group("stem", before)] if before else groups
    if (groups[0].name or "").endswith("stem"):
        return [Group(groups[0].name, before + groups[0].units, groups[0].parallel), *groups[1:]]
    return [Group("stem", before), *groups]


def _lined_up(parts: list[_Part], trunk: list[Unit]) -> list[Group]:
    """Merge blocks of different parts that are the same number of blocks from the top of the trunk."""
    numbers = [_numbers(part.units) for part in parts]
    below = [_upstream(part.units, trunk) for part in parts]
    above = [0] * len(parts)  # number of blocks on the longest path from a part to the top
    for i in reversed(range(len(parts))):
        users = [j for j in range(i + 1, len(parts)) if below[j] & numbers[i]]
        above[i] = max((above[j] + len(parts[j].groups) for j in users), default=0)
    height = max(above[i] + len(part.groups) for i, part in enumerate(parts))
    slots: list[list[tuple[str, Group]]] = [[] for _ in range(height)]
    for i, part in enumerate(parts):
        for k, group in enumerate(part.groups):
            slots[height - above[i] - len(part.groups) + k].append((part.name, group))
    short = [_joined(group.name for _, group in slot) for slot in slots]
    long = [_joined(_full(name, group.name) for name, group in slot) for slot in slots]
    names = [s if s is None or short.count(s) == 1 else name for s, name in zip(short, long, strict=True)]
    return [
        Group(name, [unit for _, group in slot for unit in group.units], len(slot) > 1 or slot[0][1].parallel)
        for name, slot in zip(names, slots, strict=True)
    ]


def _full(part: str, name: str | None) -> str | None:
    return name if name in (None, part) else f"{part}/{name}"


def _joined(names: Iterable[str | None]) -> str | None:
    """Join the unique names of parallel blocks in alphabetical order."""
    known = sorted({name for name in names if name is not None})
    return "+".join(known) or None


def _numbers(members: Sequence[Unit]) -> set[int]:
    return {unit.number for unit in members}


def _size(members: Sequence[Unit]) -> int:
    return sum(len(unit.layers) for unit in members)


def _upstream(members: Sequence[Unit], trunk: list[Unit]) -> set[int]:
    """Return the numbers of the given units and of all units in the trunk that feed into them."""
    reached = _numbers(members)
    for unit in reversed(trunk):  # sources come before what is computed from them
        if unit.number in reached:
            reached |= unit.sources
    return reached


def _divide_flat(trunk: list[Unit]) -> Division:
    """Divide a model without nested models, treating its parallel towers separately."""
    if not trunk:
        return Division([])
    towers = _towers(trunk)
    if not towers:
        division = _divide_tower(trunk)
    else:
        first, last = min(map(min, map(_numbers, towers))), max(map(max, map(_numbers, towers)))
        pieces = [[u for u in trunk if u.number < first], *towers, [u for u in trunk if u.number > last]]
        pieces = [piece for piece in pieces if piece]
        divisions = [_divide_tower(piece) for piece in pieces]
        parts = [
            _Part(piece[0].layers[0].name, piece, division.groups)
            for piece, division in zip(pieces, divisions, strict=True)
        ]
        division = Division(_lined_up(parts, trunk), [unit for division in divisions for unit in division.added])
    return division


def _divide_tower(trunk: list[Unit]) -> Division:
    """Divide a network without nested models or parallel towers."""
    groups, added = divide_by_names(trunk) or (divide_by_structure(trunk), [])
    return Division([Group(name, units) for name, units in groups], added)


def _towers(trunk: list[Unit]) -> list[list[Unit]]:
    """Find parallel branches that start at the input and change the resolution more than once.

    Branches that start later, or change the resolution at most once, are parts of a single block, as in Inception. If
    there are no towers, the list is empty.
    """
    for segment in consecutive(trunk, lambda unit: unit.segment):
        branches = _branches(segment)
        if len(branches) > 1 and any(len({unit.level for unit in branch}) > 1 for branch in branches):
            return branches
        if any(has_kernel(layer) for unit in segment for layer in unit.layers):
            break
    return []


def _branches(segment: list[Unit]) -> list[list[Unit]]:
    """Divide the units of a segment into branches that share no data with each other."""
    branches: list[list[Unit]] = []
    for unit in segment:
        joined = [branch for branch in branches if unit.sources & _numbers(branch)]
        branches = [branch for branch in branches if branch not in joined]
        branches.append([member for branch in joined for member in branch] + [unit])
    return [sorted(branch, key=lambda unit: unit.number) for branch in branches]
