"""Freeze and unfreeze by blocks, so that what is frozen does not move and the next `fit` sees what trains."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.blocks import Block
from tlkeras.models.blocks import blocks as map_blocks
from tlkeras.models.optimizer_copying import unwrapped
from tlkeras.models.recompile import is_stale, recompile, sharing
from tlkeras.models.tracing import descendants, own_weights, sublayers
from tlkeras.utils.tables import Table, table

_BATCHNORM = ("frozen", "train")


def freeze(model: keras.Model, blocks: int | float | str | None = None, *, batchnorm: str = "frozen") -> keras.Model:
    """Freezes a model from the input up; everything above trains.

    Without `blocks`, all but the head is frozen: the first phase of transfer learning. The frozen weights and moving
    statistics are bit-identical after `fit`, and cost no gradient.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        blocks: How much to freeze, counted from the stem: an integer n for the first n blocks, a fraction of the
            blocks below the head, or the name of the last block or layer to freeze. None for all below the head.
        batchnorm: What BatchNormalization above does, as in `unfreeze`.

    Returns:
        The same model. If it was compiled, it is compiled anew with its optimizer's state carried (see
        `tlkeras.recompile`), so `fit` may follow at once; so is every other compiled model that shares its layers.

    Raises:
        InputError: An unknown name, more blocks than there are, or a model without weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> [weight.path for weight in tlkeras.freeze(model).trainable_weights]
    ['predictions/kernel', 'predictions/bias']
    """
    found = map_blocks(model)
    if blocks is not None:
        frozen = len(found.bottom(blocks))
    else:
        frozen = sum(len(block.layers) for block in found if block.role != "head")
    return _train_only(model, found, found.layers[frozen:], batchnorm)


def unfreeze(model: keras.Model, blocks: int | float | str | None = None, *, batchnorm: str = "frozen") -> keras.Model:
    """Makes the top of a model trainable and leaves all below it frozen.

    A saved model keeps what trains, with one exception that lies in Keras: what is inside of a composite layer
    (`MultiHeadAttention`, say, or a KerasHub backbone) comes back trainable, though the layer itself was frozen.
    Where that would happen a warning says so, and to call this again after `load_model`.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        blocks: How much to train, counted from the head, which always trains: an integer n for the last n blocks
            below the head, a fraction of them (rounded up), or the name of the first block or layer to train; the
            beginning of layer names will do (`"block6b"`). None for the whole model.
        batchnorm: `"frozen"` keeps BatchNormalization below the head as it is, scale, offset and moving statistics:
            with the small batches and few images of fine-tuning they would drift. `"train"` trains it in the unfrozen
            blocks. The head's own was never trained, so it trains with the head.

    Returns:
        The same model. If it was compiled, it is compiled anew with its optimizer's state carried (see
        `tlkeras.recompile`), so `fit` may follow at once; so is every other compiled model that shares its layers.

    Raises:
        InputError: An unknown name, more blocks than there are, or a model without weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> sorted({weight.path.split("/")[0] for weight in tlkeras.unfreeze(model, blocks=1).trainable_weights})
    ['Conv_1', 'predictions']
    """
    found = map_blocks(model)
    return _train_only(model, found, found.layers if blocks is None else found.top(blocks), batchnorm)


class TrainableRow(NamedTuple):
    """What of one block trains, and how.

    Attributes:
        block: Name of the block.
        layers: Number of its weighted layers.
        parameters: Number of values in its weights.
        trainable: How many of these train.
        batchnorm: `"frozen"`, `"train"`, `"mixed"`, or `"-"` where there is none.
        learning_rate: The present one; of several the highest. None if the block is frozen or the model not compiled.
        lowest_rate: The lowest, which is the same but where layers of the block have multipliers of their own.
    """

    block: str
    layers: int
    parameters: int
    trainable: int
    batchnorm: str
    learning_rate: float | None
    lowest_rate: float | None


class TrainableTable(Table):
    """A tuple of `TrainableRow` from stem to head, which prints as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        header = ("block", "layers", "parameters", "trainable", "BatchNorm", "learning rate")
        total = ("total", *(f"{sum(row[i] for row in self):,}" for i in (1, 2, 3)), "", "")
        rows = [(row[0], *(f"{count:,}" for count in row[1:4]), row.batchnorm, _rate_text(row)) for row in self]
        return table(header, [*rows, total])


def _rate_text(row: TrainableRow) -> str:
    if row.learning_rate is None:
        return "-"
    return " to ".join(dict.fromkeys(f"{rate:.3g}" for rate in (row.lowest_rate, row.learning_rate)))


def trainable_table(model: keras.Model) -> TrainableTable:
    """Shows what of a model trains, block by block: to look at before training, not after.

    Args:
        model: A built Keras model.

    Returns:
        A tuple of `TrainableRow` from stem to head. It prints as a table, with the learning rate as `a to b` where the
        variables of a block have different ones.

    Raises:
        InputError: The model has no weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> tlkeras.trainable_table(tlkeras.freeze(model))
    block   layers  parameters  trainable  BatchNorm  learning rate
    block1       1          40          0  -                      -
    head         1          18         18  -                    0.1
    total        2          58         18
    """
    found = map_blocks(model)
    trainable = {id(weight) for weight in model.trainable_weights}
    return TrainableTable(_row(block, trainable, model) for block in found)


def _row(block: Block, trainable: set[int], model: keras.Model) -> TrainableRow:
    training = [weight for weight in block.weights if id(weight) in trainable]
    rates = _rates(model, training)
    modes = {"train" if layer.trainable else "frozen" for layer in block.layers if _is_batchnorm(layer)}
    return TrainableRow(
        block.name,
        len(block.layers),
        block.count_params(),
        sum(math.prod(weight.shape) for weight in training),
        modes.pop() if len(modes) == 1 else "mixed" if modes else "-",
        max(rates, default=None),
        min(rates, default=None),
    )


def _rates(model: keras.Model, training: list) -> list[float]:
    optimizer = unwrapped(getattr(model, "optimizer", None))
    if optimizer is None or hasattr(optimizer, "optimizers") or not training:
        return []
    base = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    multiplier = getattr(optimizer, "multiplier", lambda variable: 1.0)
    return [base * multiplier(variable) for variable in training]


def _is_batchnorm(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _train_only(model, found, layers, batchnorm) -> keras.Model:
    """Makes `layers` the trainable ones, and sees to it that the next `fit` knows."""
    if batchnorm not in _BATCHNORM:
        raise InputError(f"batchnorm is one of {', '.join(map(repr, _BATCHNORM))}. Received: batchnorm={batchnorm!r}")
    head = {id(layer) for layer in found.head.layers} if found.head else set()
    training = {id(layer) for layer in layers if batchnorm == "train" or id(layer) in head or not _is_batchnorm(layer)}
    before = [layer.trainable for layer in descendants(model)]
    _set_flags(model, training)
    _warn_of_lost_flags(model)
    if before != [layer.trainable for layer in descendants(model)]:
        for other in sharing(model):
            if is_stale(other):
                recompile(other)
    return recompile(model) if is_stale(model) else model


def _warn_of_lost_flags(model):
    lost = ", ".join(dict.fromkeys(_lost_in_a_file(model)))
    if lost:
        warn(
            f"Keras does not save what is frozen inside of {lost}: after keras.models.load_model, call tlkeras.freeze "
            "or tlkeras.unfreeze again as here."
        )


def _lost_in_a_file(layer: keras.Layer) -> Iterator[str]:
    """Names of the layers in which something is frozen that a file would bring back otherwise."""
    if type(layer).__module__.startswith("keras.src.models"):
        for part in sublayers(layer):  # each is saved with its own configuration
            yield from _lost_in_a_file(part)
    elif sublayers(layer):
        flags = list(_flags(layer))
        if not all(flags) and _flags_in_a_file(layer) not in (flags, None):
            yield layer.name


def _flags_in_a_file(layer: keras.Layer) -> list[bool] | None:
    """The flags of the layer made anew from its configuration, as from a file; None if that cannot be had."""
    with keras.StatelessScope(initialize_variables=False):  # no weight is allocated
        try:
            copy = type(layer).from_config(layer.get_config())
            if not copy.built and (shapes := layer.get_build_config()):
                copy.build_from_config(shapes)
        except (TypeError, ValueError, NotImplementedError):  # of a class that cannot be read from a file at all
            return None
    return list(_flags(copy))


def _flags(layer: keras.Layer) -> Iterator[bool]:
    """Of a layer and all inside it: the flag of each that holds no other, and of each weight of the others' own."""
    for part in descendants(layer):
        if sublayers(part):
            yield from (weight.trainable for weight in part._trainable_variables)
        elif own_weights(part):
            yield part.trainable


def _set_flags(layer: keras.Layer, training: set[int]) -> None:
    """Sets the flags of a layer and all inside it: a container is on if anything in it trains.

    Outer before inner, since setting a container's flag sets all flags inside.
    """
    inner = sublayers(layer)
    layer.trainable = _trains(layer, training) or not layer.weights
    if inner and own_weights(layer):
        for weight in layer._trainable_variables:
            weight.trainable = id(layer) in training
    if getattr(layer, "lora_enabled", False):  # the flag would unfreeze the kernel that the adapter stands in for
        kernel = layer._embeddings if isinstance(layer, keras.layers.Embedding) else layer._kernel
        kernel.trainable = False
    for part in inner:
        _set_flags(part, training)


def _trains(layer: keras.Layer, training: set[int]) -> bool:
    return id(layer) in training or any(_trains(part, training) for part in sublayers(layer))
