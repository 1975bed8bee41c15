"""What an operation does to the positions (pixels, tokens) of a map: halves them, pools them, or leaves them alone."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import keras

#: Operations after which no spatial or token dimension is left, whatever the shape says: a 1x1 feature map of a
#: small image has the same shape as a pooled one.
_POOLING = ("GlobalAveragePooling", "GlobalMaxPooling", "Flatten", "Mean", "Max")

#: A map that shrinks or grows by less than this has changed its padding, not its resolution.
_RESOLUTION_CHANGE = 1.5


@dataclass(eq=False)
class Tensor:
    """What a walk along a graph knows of one tensor.

    Attributes:
        shape: With the batch; None if unknown.
        pooled: Whether no spatial or token dimension is left.
        positions: Number of pixels or tokens, by default what `shape` says; None if unknown.
        level: How often the resolution has changed between the model's input and here.
        ancestors: One bit for each step that it depends on.
    """

    shape: tuple | None
    pooled: bool = False
    positions: float | None = None
    level: int = 0
    ancestors: int = 0

    def __post_init__(self):
        if self.positions is None:
            self.positions = _count(self.shape)


def after(layer, before: Sequence[Tensor], shape: tuple | None, pooled: bool, ancestors: int = 0) -> Tensor:
    """The output of `shape` that a layer or operation makes of the tensors `before`.

    Where several are joined, the largest tells the resolution: tokens that are cut off and put back, or rows of a
    table that are put in front, do not.

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
        return Tensor(shape, pooled, level=max((tensor.level for tensor in before), default=0), ancestors=ancestors)
    known = [tensor for tensor in spatial if tensor.positions]
    if len(known) < len(spatial):
        known = [max(spatial, key=lambda tensor: tensor.level)]
    largest = max(known, key=lambda tensor: (tensor.positions, tensor.level))
    positions = _positions(layer, largest, shape)
    changed = _has_strides(layer)
    if largest.positions and positions:
        changed |= not 1 / _RESOLUTION_CHANGE < largest.positions / positions < _RESOLUTION_CHANGE
    return Tensor(shape, pooled, positions, largest.level + changed, ancestors)


def _has_strides(layer) -> bool:
    """Whether a layer strides, which maps that are 1x1 already, or of unknown size, do not tell."""
    strides = getattr(layer, "strides", 1)
    return max(strides) > 1 if isinstance(strides, list | tuple) and strides else strides not in (None, 1, ())


def _count(shape) -> int | None:
    """Number of positions in a map of this shape, batch and channels left out."""
    if shape is None or len(shape) < 3:
        return None
    channels_first = len(shape) > 3 and keras.config.image_data_format() == "channels_first"
    positions = shape[2:] if channels_first else shape[1:-1]
    return None if None in positions else math.prod(positions)


def _positions(layer, tensor, shape) -> float | None:
    """Number of positions after an operation on `tensor`.

    Where a mere operation splits axes, as attention does into heads and windows, there are as many as before, and as
    many as are kept of them from then on.
    """
    count, former = _count(shape), _count(tensor.shape)
    if not count or not former or not tensor.positions:
        return count
    rise = len(shape) - len(tensor.shape)
    if not getattr(layer, "weights", ()) and (rise > 0 or Counter(shape) == Counter(tensor.shape)):
        return tensor.positions
    return count if rise else tensor.positions * count / former


def is_pooled(layer, before: Sequence[Tensor], shape: tuple | None) -> bool:
    """Whether no spatial or token dimension is left in an output of `shape`.

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
    """Whether the layer was built on rank-2 input; None if it does not tell.

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
