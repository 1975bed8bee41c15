"""A block of a model, and a map of all blocks of a model, with methods to look them up."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import keras

from tlkeras.errors import InputError
from tlkeras.models.layer_tree import own_weights
from tlkeras.models.tracing import Unit
from tlkeras.utils.tables import table
from tlkeras.utils.validation import invalid


@dataclass(frozen=True, eq=False)
class Block:
    """Layers that are frozen, unfrozen and trained together.

    Attributes:
        name: Name of the block, unique within the model.
        layers: The leaf layers that have weights, in graph order. A composite layer is listed only if it has weights of
            its own, such as a class token, and then represents only those weights; its sublayers are listed separately.
        role: Part of the model that the block belongs to: `"stem"`, `"body"` or `"head"`.
        parallel: Whether the block contains layers of parallel towers, which are always frozen and unfrozen together.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    role: str
    parallel: bool = False

    @property
    def weights(self) -> list[keras.Variable]:
        """Variables of the block, in layer order."""
        return [weight for layer in self.layers for weight in own_weights(layer)]

    def count_params(self) -> int:
        """Count the values in the block's weights."""
        return sum(math.prod(weight.shape) for weight in self.weights)

    def __repr__(self) -> str:
        return f"Block({self.name!r}, {len(self.layers)} layers, {self.role})"


class BlockMap(Sequence):
    """The blocks of a model from stem to head, as an immutable sequence that prints as a table.

    The sequence can be indexed by number or by name. `stem` and `head` are blocks or None; `body` is a tuple of blocks.
    `tlkeras.blocks` returns a block map.

    Example:

    >>> import tlkeras
    >>> block_map = tlkeras.blocks(tlkeras.backbone("efficientnet_lite0", weights=None))
    >>> block_map.stem, block_map["block7"], block_map.head
    (Block('stem', 2 layers, stem), Block('block7', 6 layers, body), None)
    """

    def __init__(self, blocks: Sequence[Block], units: Sequence[Unit] = (), outside: Sequence[Unit] = ()):
        self._blocks = tuple(blocks)
        self._paths = {id(layer): unit.path for unit in units for layer in unit.layers}
        self._outside = tuple(layer for unit in outside for layer in unit.layers)
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
            raise InputError(f"There is no block named {key!r}.{_did_you_mean(key, self.names)}")
        return self._by_name[key]

    def __contains__(self, item) -> bool:
        return item in self._by_name if isinstance(item, str) else item in self._blocks

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks, from stem to head."""
        return tuple(block.name for block in self._blocks)

    @property
    def stem(self) -> Block | None:
        """The stem, or None if the first block has the same structure as the later blocks (VGG)."""
        return next((block for block in self._blocks if block.role == "stem"), None)

    @property
    def body(self) -> tuple[Block, ...]:
        """Blocks between stem and head."""
        return tuple(block for block in self._blocks if block.role == "body")

    @property
    def head(self) -> Block | None:
        """The head, or None for a backbone, which has no head."""
        return next((block for block in self._blocks if block.role == "head"), None)

    @property
    def layers(self) -> tuple[keras.Layer, ...]:
        """All leaf layers that have weights, from stem to head."""
        return tuple(layer for block in self._blocks for layer in block.layers)

    @property
    def outside(self) -> tuple[keras.Layer, ...]:
        """Layers below the head that have weights but are not part of the nested base; usually new layers."""
        return self._outside

    def path_of(self, layer: keras.Layer) -> str:
        """Return the path of a layer: the names of its enclosing models and layers, then its own name, joined by `/`.

        Raises:
            InputError: The layer does not belong to this model, or has no weights.
        """
        self.block_of(layer)
        return "/".join((*self._paths.get(id(layer), ())[:-1], layer.name))

    def block_of(self, item: keras.Layer | keras.Variable) -> Block:
        """Return the block that a layer or variable belongs to.

        Raises:
            InputError: The item is neither a layer with weights nor a weight of this model.
        """
        if id(item) not in self._by_id:
            name = getattr(item, "path", getattr(item, "name", item))
            raise InputError(
                f"{name!r} does not belong to any block. Pass a weight of this model, or a leaf layer that has weights."
            )
        return self._by_id[id(item)]

    def top(self, selection: int | float | str, *, argument: str = "selection") -> tuple[keras.Layer, ...]:
        """Return the layers from a given block or layer up to the head: those to train when only the top trains.

        Args:
            selection: An integer n for the last n blocks below the head; a fraction in (0, 1] of the blocks below the
                head, rounded up; or the name of the first block or layer. A prefix of layer names also works, so
                `"block6b"` starts in the middle of `block6`.
            argument: Name of `selection` in error messages, for callers whose argument has a different name.

        Returns:
            Leaf layers with weights, in graph order.

        Raises:
            InputError: The model has fewer blocks than `selection`, or no block or layer with that name.
        """
        if isinstance(selection, str):
            return self.layers[self._positions(selection)[0] :]
        trunk = self._trunk
        kept = trunk[: len(trunk) - self._count(selection, argument)]
        return self.layers[sum(len(block.layers) for block in kept) :]

    def bottom(self, selection: int | float | str, *, argument: str = "selection") -> tuple[keras.Layer, ...]:
        """Return the layers from the input up to a given block or layer: those to freeze when only the top trains.

        Args:
            selection: An integer n for the first n blocks; a fraction in (0, 1] of the blocks below the head, rounded
                up; or the name of the last block or layer, or a prefix of layer names.
            argument: Name of `selection` in error messages, for callers whose argument has a different name.

        Returns:
            Leaf layers with weights, in graph order.

        Raises:
            InputError: The model has fewer blocks than `selection`, or no block or layer with that name.
        """
        if isinstance(selection, str):
            return self.layers[: self._positions(selection)[-1] + 1]
        return tuple(layer for block in self._trunk[: self._count(selection, argument)] for layer in block.layers)

    @property
    def _trunk(self) -> tuple[Block, ...]:
        return tuple(block for block in self._blocks if block.role != "head")

    def _count(self, selection: int | float, argument: str) -> int:
        """Convert `selection`, a number or a fraction of the blocks below the head, to a number of blocks."""
        trunk = self._trunk
        if isinstance(selection, bool) or not isinstance(selection, Real):
            raise invalid(argument, selection, "be an integer, a fraction in (0, 1], or the name of a block or layer")
        if not isinstance(selection, Integral):
            if not 0 < selection <= 1:
                raise invalid(argument, selection, "be a fraction in (0, 1], or an integer number of blocks")
            return math.ceil(round(float(selection) * len(trunk), 5))
        if not 0 <= selection <= len(trunk):
            names = ", ".join(block.name for block in trunk)
            requirement = f"be between 0 and {len(trunk)} for this model, whose blocks are {names}"
            raise invalid(argument, selection, requirement)
        return int(selection)

    def _positions(self, name: str) -> list[int]:
        """Return the positions in `layers` of a block, a layer, a nested model, or all layers that a prefix matches."""
        layers = self.layers
        named = self._by_name[name].layers if name in self._by_name else ()
        for matches in (
            lambda layer: layer in named,
            lambda layer: name in (layer.name, layer.path),
            lambda layer: f"/{name}/" in f"/{layer.path}/" or f"/{name}/" in f"/{self.path_of(layer)}/",
            lambda layer: layer.name.startswith(name),
        ):
            if name and (positions := [i for i, layer in enumerate(layers) if matches(layer)]):
                return self._with_whole_parallel_blocks(positions)
        around = dict.fromkeys(name for path in self._paths.values() for name in path[:-1])
        raise InputError(
            f"No block or layer is called {name!r}.{_did_you_mean(name, [*self.names, *around, *_names(layers)])}"
        )

    def _with_whole_parallel_blocks(self, positions: list[int]) -> list[int]:
        """Select the rest of any partly selected block of parallel towers, since the towers have no order."""
        result = set(positions)
        start = 0
        for block in self._blocks:
            members = range(start, start + len(block.layers))
            if block.parallel and not result.isdisjoint(members):
                result.update(members)
            start += len(block.layers)
        return sorted(result)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._blocks))}]"

    def __str__(self) -> str:
        rows = [(block.name, block.role, str(len(block.layers)), f"{block.count_params():,}") for block in self]
        return table(("block", "role", "layers", "parameters"), rows)


def _names(layers: Sequence[keras.Layer]) -> list[str]:
    return [layer.name for layer in layers]


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else f" Known names: {', '.join(known[:20])}."
