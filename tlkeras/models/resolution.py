"""Track the number of positions (pixels or tokens) of a feature map, and how operations change it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import keras

#: Operations after which no spatial or token dimension is left. The shape is not enough to tell, since a 1x1 feature
#: map of a small image has the same shape as a pooled one.
_POOLING = ("GlobalAveragePooling", "GlobalMaxPooling", "Flatten", "Mean", "Max")

#: A map that shrinks or grows by a smaller factor has changed its padding, not its resolution.
_RESOLUTION_CHANGE = 1.5


@dataclass(eq=False)
class Tensor:
    """One tensor in a traversal of a graph.

    Attributes:
        shape: Shape of the tensor, including the batch dimension; None if unknown.
        pooled: True if no spatial or token dimensions are left.
        positions: Number of pixels or tokens; None if unknown. Defaults to the number that `shape` implies.
        rank: Lowest rank among this tensor and all tensors before it. A tensor with more axes than this has its
            positions or channels split across several axes.
        level: Number of resolution changes between the model's input and this tensor.
        sources: Indices of the nearest upstream steps that have weights. Empty for the input of the model.
    """

    shape: tuple | None
    pooled: bool = False
    positions: float | None = None
    rank: int | None = None
    level: int = 0
    sources: frozenset[int] = frozenset()

    def __post_init__(self):
        if self.positions is None:
            self.positions = _count(self.shape)
        if self.rank is None and self.shape is not None:
            self.rank = len(self.shape)


def after(
    layer, before: Sequence[Tensor], shape: tuple | None, pooled: bool, sources: frozenset[int] = frozenset()
) -> Tensor:
    """Describe the output, of shape `shape`, that a layer or operation computes from the tensors in `before`.

    If the layer joins several tensors, the input whose size is closest to that of the output determines the resolution.
    Cutting off tokens and putting them back therefore does not change the resolution. The same is true of rows from a
    table, such as class tokens or position embeddings, that are prepended or added to the tokens.

    Example:

    >>> tokens = Tensor((None, 16, 8), positions=16)
    >>> heads = after(keras.ops.reshape, [tokens], (None, 16, 2, 4), pooled=False)
    >>> heads.positions, heads.level
    (16, 0)
    >>> merged = after(keras.layers.Conv1D(8, 4, strides=4), [tokens], (None, 4, 8), pooled=False)
    >>> merged.positions, merged.level
    (4.0, 1)
    """
    spatial = [tensor for tensor in before if not tensor.pooled]
    if pooled or not spatial:
        return Tensor(shape, pooled, level=max((tensor.level for tensor in before), default=0), sources=sources)
    changes = [(_change(layer, tensor, shape), tensor) for tensor in spatial]
    change, nearest = min(changes, key=lambda pair: (pair[0], -pair[1].level))
    level = nearest.level + (change > _RESOLUTION_CHANGE or _has_strides(layer))
    return Tensor(shape, pooled, _positions(layer, nearest, shape), _rank(nearest, shape), level, sources)


def _change(layer, tensor, shape) -> float:
    """Return the factor by which the number of positions changes, up or down.

    The factor is 1 if the change is unknown, or if the operation only turns each value into a vector.
    """
    if shape is not None and shape[:-1] == tensor.shape:
        return 1.0
    positions = _positions(layer, tensor, shape)
    if not tensor.positions or not positions:
        return 1.0
    return max(tensor.positions / positions, positions / tensor.positions)


def _rank(tensor, shape) -> int | None:
    return tensor.rank if shape is None or tensor.rank is None else min(tensor.rank, len(shape))


def _has_strides(layer) -> bool:
    """Check whether a layer has strides, since the shapes of 1x1 maps and maps of unknown size do not show them."""
    strides = getattr(layer, "strides", 1)
    return max(strides) > 1 if isinstance(strides, list | tuple) and strides else strides not in (None, 1, ())


def _count(shape) -> int | None:
    """Count the positions in a map of this shape, excluding the batch and channel dimensions."""
    if shape is None or len(shape) < 3:
        return None
    channels_first = len(shape) > 3 and keras.config.image_data_format() == "channels_first"
    positions = shape[2:] if channels_first else shape[1:-1]
    return None if None in positions else math.prod(positions)


def _positions(layer, tensor, shape) -> float | None:
    """Count the positions after an operation on `tensor`.

    An operation without weights that splits axes, as attention does into heads, or swaps axes does not change the
    number of positions.
    """
    count, former = _count(shape), _count(tensor.shape)
    if shape is None or tensor.shape is None:
        return count
    same_rank = len(shape) == len(tensor.shape)
    split = len(shape) > tensor.rank and not same_rank
    if not getattr(layer, "weights", ()) and (split or Counter(shape) == Counter(tensor.shape)):
        return tensor.positions
    return tensor.positions * count / former if same_rank and count and former and tensor.positions else count


def is_pooled(layer, before: Sequence[Tensor], shape: tuple | None) -> bool:
    """Check whether an output of shape `shape` has no spatial or token dimensions left.

    Example:

    >>> feature_map = Tensor((None, 1, 1, 8))
    >>> pool, scale = keras.layers.GlobalAveragePooling2D(keepdims=True), keras.layers.Rescaling(2.0)
    >>> [is_pooled(layer, [feature_map], (None, 1, 1, 8)) for layer in (pool, scale)]
    [True, False]
    """
    if shape is None:
        return all(tensor.pooled for tensor in before)
    if len(shape) <= 2:
        return True
    kept = [size for size in shape[1:] if size != 1]
    pools = type(layer).__name__.startswith(_POOLING)
    return len(kept) <= 1 and (pools or all(tensor.pooled for tensor in before))


def built_on_vectors(layer) -> bool | None:
    """Check whether the layer was built on rank-2 input; return None if that is unknown.

    Example:

    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> built_on_vectors(layer)
    True
    """
    config = layer.get_build_config() if isinstance(layer, keras.Layer) and layer.built else None
    shape = (config or {}).get("input_shape")
    if not isinstance(shape, list | tuple) or not all(size is None or isinstance(size, int) for size in shape):
        return None
    return len(shape) <= 2
