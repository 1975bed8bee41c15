"""The block map of a model: the unit in which freezing, learning rates, taps and cuts are spoken of.

A block is what the field calls a stage or a block: `block3` of an EfficientNet, `conv4_x` of a ResNet, one encoder
layer of a ViT. Families are known by how they name their layers; any other model is divided where its resolution
changes or, where it never does, at its repeated structure.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

import keras

from tlkeras.errors import InputError
from tlkeras.graph import Unit, has_kernel, own_weights, units

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
    "CSPDarkNet": ((r"stem_", "stem"), (r"(dark\d+)_", r"\1")),
}

#: A family is recognised when its patterns name this share of the layers.
_RECOGNISED = 0.6

#: Nested models are mapped each on its own when together they hold this share of the layers.
_NESTED = 0.9

#: Tokens, position and patch embeddings come first, wherever in the code they were made.
_EMBEDDING = re.compile(r"embed|patching|patchify|(cls|class|dist\w*|register)_?token", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Block:
    """Layers that are frozen, thawed and trained together.

    Attributes:
        name: Unique in its model.
        layers: The weighted leaf layers, in graph order. A composite layer that also holds weights of its own (a class
            token, say) is listed for those; its sublayers are listed themselves.
        role: `"stem"`, `"body"` or `"head"`.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    role: str

    @property
    def weights(self) -> list[keras.Variable]:
        """The variables of the block, in layer order."""
        return [weight for layer in self.layers for weight in own_weights(layer)]

    def count_params(self) -> int:
        """Number of values in the block's weights."""
        return sum(math.prod(weight.shape) for weight in self.weights)

    def __repr__(self) -> str:
        return f"Block({self.name!r}, {len(self.layers)} layers, {self.role})"


class BlockMap(Sequence):
    """The blocks of a model from stem to head. Immutable; `str()` prints it as a table.

    Index it by number or name. `stem` and `head` are blocks or None, `body` is a tuple of blocks.

    Example:

    >>> import tlkeras
    >>> found = tlkeras.blocks(tlkeras.backbone("efficientnet_lite0", weights=None))
    >>> found.stem, found["block7"], found.head
    (Block('stem', 2 layers, stem), Block('block7', 6 layers, body), None)
    """

    def __init__(self, blocks: Sequence[Block]):
        self._blocks = tuple(blocks)
        self._by_name = {block.name: block for block in self._blocks}
        self._by_id = {id(layer): block for block in self._blocks for layer in block.layers}
        for block in reversed(self._blocks):  # a tied weight belongs to the first block that holds it
            self._by_id.update((id(weight), block) for weight in block.weights)

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, key: int | slice | str):
        if not isinstance(key, str):
            return self._blocks[key]
        if key not in self._by_name:
            raise InputError(f"No block is called {key!r}{_did_you_mean(key, self.names)}")
        return self._by_name[key]

    def __contains__(self, item) -> bool:
        return item in self._by_name if isinstance(item, str) else item in self._blocks

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks, from stem to head."""
        return tuple(block.name for block in self._blocks)

    @property
    def stem(self) -> Block | None:
        """What comes before the body; None where the first block is as good as any other (VGG)."""
        return next((block for block in self._blocks if block.role == "stem"), None)

    @property
    def body(self) -> tuple[Block, ...]:
        """Blocks between stem and head."""
        return tuple(block for block in self._blocks if block.role == "body")

    @property
    def head(self) -> Block | None:
        """What comes after the last spatial or token dimension; None for a backbone without a head."""
        return next((block for block in self._blocks if block.role == "head"), None)

    @property
    def layers(self) -> tuple[keras.Layer, ...]:
        """All weighted leaf layers, from stem to head."""
        return tuple(layer for block in self._blocks for layer in block.layers)

    def block_of(self, item) -> Block:
        """The block that a layer or variable belongs to.

        Raises:
            InputError: It is not a weighted layer or a weight of this model.
        """
        if id(item) not in self._by_id:
            name = getattr(item, "path", getattr(item, "name", item))
            raise InputError(
                f"{name!r} belongs to no block: give a weighted leaf layer or a weight of this very model."
            )
        return self._by_id[id(item)]

    def top(self, selection: int | float | str) -> tuple[keras.Layer, ...]:
        """The layers from a point upward, head included: what trains when only the top of a model trains.

        Args:
            selection: An integer n for the last n blocks below the head; a fraction (0 < f <= 1) of them, rounded up;
                or the name of the first block or layer to count in. The beginning of layer names will do, so
                `"block6b"` starts in the middle of `block6`.

        Returns:
            Weighted leaf layers in graph order.

        Raises:
            InputError: The model has fewer blocks, or no block or layer of that name.
        """
        if isinstance(selection, str):
            return self.layers[self._positions(selection)[0] :]
        trunk = self._trunk
        kept = trunk[: len(trunk) - self._count(selection)]
        return self.layers[sum(len(block.layers) for block in kept) :]

    def bottom(self, selection: int | float | str) -> tuple[keras.Layer, ...]:
        """The layers from the input up to a point: what is frozen when only the bottom of a model is.

        Args:
            selection: An integer n for the first n blocks; a fraction (0 < f <= 1) of those below the head, rounded
                up; or the name of the last block or layer to count in, or the beginning of layer names.

        Returns:
            Weighted leaf layers in graph order.

        Raises:
            InputError: The model has fewer blocks, or no block or layer of that name.
        """
        if isinstance(selection, str):
            return self.layers[: self._positions(selection)[-1] + 1]
        return tuple(layer for block in self._trunk[: self._count(selection)] for layer in block.layers)

    @property
    def _trunk(self) -> tuple[Block, ...]:
        return tuple(block for block in self._blocks if block.role != "head")

    def _count(self, selection: int | float) -> int:
        """Number of blocks meant by a number or fraction of the blocks below the head."""
        trunk = self._trunk
        if isinstance(selection, bool) or not isinstance(selection, Integral | float):
            raise InputError(
                f"Which blocks is an integer, a fraction, or the name of a block or layer. Received: {selection!r}"
            )
        if isinstance(selection, float):
            if not 0 < selection <= 1:
                raise InputError(f"A fraction of the blocks lies in (0, 1]. Received: {selection}")
            return math.ceil(round(selection * len(trunk), 9))
        if not 0 <= selection <= len(trunk):
            names = ", ".join(block.name for block in trunk)
            raise InputError(
                f"The model has {len(trunk)} blocks below the head ({names}): ask for 0 to {len(trunk)} of them. "
                f"Received: {selection}"
            )
        return int(selection)

    def _positions(self, name: str) -> list[int]:
        """Where in `layers` those of a block, a layer, a composite layer, or a common beginning of names are."""
        layers = self.layers
        named = self._by_name[name].layers if name in self._by_name else ()
        for matches in (
            lambda layer: layer in named,
            lambda layer: name in (layer.name, layer.path),
            lambda layer: f"/{name}/" in f"/{layer.path}/",
            lambda layer: layer.name.startswith(name),
        ):
            if found := [i for i, layer in enumerate(layers) if matches(layer)]:
                return found
        raise InputError(f"No block or layer is called {name!r}{_did_you_mean(name, [*self.names, *_names(layers)])}")

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._blocks))}]"

    def __str__(self) -> str:
        rows = [(block.name, block.role, str(len(block.layers)), f"{block.count_params():,}") for block in self]
        return table(("block", "role", "layers", "parameters"), rows)


def blocks(model: keras.Model) -> BlockMap:
    """The blocks of a model, from stem to head, with every weight in exactly one of them.

    Works for functional, Sequential, nested and subclassed models, after a save and reload too: everything is read
    from the layers' names and the graph. Known families (`keras.applications`, KerasHub, KerasCV) get the names their
    layers carry; others are divided where the resolution changes or, like a transformer, at the repeated layer. The
    head is what comes after the last spatial or token dimension (global pooling, flatten, class token); of a model of
    dense layers only, or of a convolutional one that ends in a softmax or sigmoid without a dense layer, it is the last
    layer. Subclassed models without a graph are read in layer order.

    Args:
        model: A built Keras model.

    Returns:
        The map.

    Raises:
        InputError: `model` is not a Keras model, or has no weights yet.

    Example:

    >>> import keras
    >>> import tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=10, input_shape=(32, 32, 3))
    >>> found = tlkeras.blocks(model)
    >>> found.names[:3], found.names[-3:]
    (('stem', 'expanded_conv', 'block_1'), ('block_16', 'top', 'head'))
    >>> found.block_of(model.get_layer("block_5_project"))
    Block('block_5', 6 layers, body)
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"blocks() reads a keras.Model. Received: {type(model).__name__}")
    if not model.built or not model.weights:
        raise InputError(
            f"The model {model.name!r} has no weights to map: build it first, with model.build(input_shape) "
            "or by calling it on one batch."
        )
    found = units(model)
    trunk = [unit for unit in found if not unit.head]
    head = [unit for unit in found if unit.head]
    groups = [(name, "stem" if name.rpartition("/")[2] == "stem" else "body", group) for name, group in _divide(trunk)]
    if head:
        groups.append(("head", "head", head))
    groups = _unique(groups)
    result = BlockMap(
        [Block(name, tuple(layer for unit in group for layer in unit.layers), role) for name, role, group in groups]
    )
    missing = [weight.path for weight in model.weights if id(weight) not in result._by_id]
    if missing:
        raise InputError(f"The model {model.name!r} has weights that no layer of it holds: {', '.join(missing)}")
    return result


_Groups = list[tuple[str, list[Unit]]]


def _divide(trunk: list[Unit], depth: int = 0) -> _Groups:
    """Blocks of what lies below the head. Nested models that make up most of it are divided each on its own."""
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
        inner = _divide(members, depth + 1)
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
    if _named_share(named) < _RECOGNISED or len(set(named)) < 2:
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
    """A block for each segment with a kernel; normalisation and scale join the block before them."""
    groups: list[list] = []
    for segment in segments:
        if groups and not (_has_kernel(segment) and any(map(_has_kernel, groups[-1]))):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _has_kernel(segment: list[Unit]) -> bool:
    return any(has_kernel(layer) for unit in segment for layer in unit.layers)


def _unique(groups: list[tuple[str, str, list[Unit]]]) -> Iterator[tuple[str, str, list[Unit]]]:
    taken: Counter = Counter()
    for name, role, group in groups:
        taken[name] += 1
        yield (name if taken[name] == 1 else f"{name}_{taken[name]}"), role, group


def _names(layers: Sequence[keras.Layer]) -> list[str]:
    return [layer.name for layer in layers]


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f". Did you mean {' or '.join(map(repr, close))}?" if close else f"; there are: {', '.join(known[:20])}."


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text: words to the left, numbers to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [any(cell[:1].isdigit() for cell in column) for column in columns]
    lines = []
    for row in (header, *rows):
        cells = (f"{c:>{w}}" if right else f"{c:<{w}}" for c, w, right in zip(row, widths, numeric, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
