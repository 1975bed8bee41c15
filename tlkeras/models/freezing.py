"""Freeze and unfreeze by blocks, so that what is frozen does not move and the next `fit` sees what trains."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.blocks import Block, blocks
from tlkeras.models.optimizer_copying import unwrapped
from tlkeras.models.recompile import is_stale, recompile, sharing
from tlkeras.models.tracing import descendants, own_weights, sublayers
from tlkeras.utils.tables import Table, table
from tlkeras.utils.validation import check_choice, invalid


def freeze(
    model: keras.Model,
    *,
    first: int | float | None = None,
    end: str | None = None,
    batchnorm: str = "frozen",
) -> keras.Model:
    """Freeze a model from the input up to a point, and let everything above train.

    Without `first` or `end`, everything below the head is frozen: the first phase of transfer learning. Frozen weights
    and moving statistics are bit-identical after `fit` and cost no gradient.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        first: How many blocks to freeze, counted from the input: an integer, or a fraction in (0, 1] of the blocks
            below the head, rounded up. Defaults to all below the head.
        end: Instead of `first`, the name of the last block or layer to freeze. The beginning of layer names will do:
            `"block6b"`.
        batchnorm: What BatchNormalization above that point does, as in `unfreeze`. Defaults to `"frozen"`.

    Returns:
        The same model. If it was compiled, it is compiled anew with its optimizer's state carried (see
        `tlkeras.recompile`), so `fit` may follow at once; so is every other compiled model that shares its layers.

    Raises:
        InputError: An unknown name, more blocks than there are, both `first` and `end`, or a model without weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> [weight.path for weight in tlkeras.freeze(model).trainable_weights]
    ['predictions/kernel', 'predictions/bias']
    """
    block_map = blocks(model)
    selection = _one_of("first", first, "end", end)
    bottom = block_map.bottom(1.0 if selection is None else selection, argument="first")
    return _train_only(model, block_map, block_map.layers[len(bottom) :], batchnorm)


def unfreeze(
    model: keras.Model,
    *,
    last: int | float | None = None,
    start: str | None = None,
    batchnorm: str = "frozen",
) -> keras.Model:
    """Unfreeze the top of a model, and freeze everything below it.

    Without `last` or `start`, the whole model trains.

    A saved model keeps what trains, with one exception that lies in Keras: what is inside of a composite layer
    (`MultiHeadAttention`, say, or a KerasHub backbone) comes back trainable, though the layer itself was frozen.
    Where that would happen a warning says so, and to call this again after `load_model`.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        last: How many blocks to train, counted from the head, which always trains and is not counted: an integer, or a
            fraction in (0, 1] of the blocks below the head, rounded up. Defaults to the whole model.
        start: Instead of `last`, the name of the first block or layer to train. The beginning of layer names will do:
            `"block6b"`.
        batchnorm: `"frozen"` keeps BatchNormalization below the head as it is, scale, offset and moving statistics:
            with the small batches and few images of fine-tuning they would drift. `"train"` trains it in the unfrozen
            blocks. The head's own was never trained, so it trains with the head.

    Returns:
        The same model. If it was compiled, it is compiled anew with its optimizer's state carried (see
        `tlkeras.recompile`), so `fit` may follow at once; so is every other compiled model that shares its layers.

    Raises:
        InputError: An unknown name, more blocks than there are, both `last` and `start`, or a model without weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> sorted({weight.path.split("/")[0] for weight in tlkeras.unfreeze(model, last=1).trainable_weights})
    ['Conv_1', 'predictions']
    """
    return unfreeze_top(model, _one_of("last", last, "start", start), batchnorm=batchnorm, argument="last")


def unfreeze_top(
    model: keras.Model, selection: int | float | str | None, *, batchnorm: str = "frozen", argument: str = "selection"
) -> keras.Model:
    """Unfreeze the top of a model, for callers that accept a number, a fraction or a name in one argument.

    Args:
        model: A built Keras model.
        selection: As in `BlockMap.top`; None for the whole model.
        batchnorm: As in `unfreeze`.
        argument: Name of the caller's argument, for error messages.

    Returns:
        The same model, as from `unfreeze`.
    """
    block_map = blocks(model)
    top = block_map.layers if selection is None else block_map.top(selection, argument=argument)
    return _train_only(model, block_map, top, batchnorm)


def _one_of(count_name: str, count: int | float | None, label_name: str, label: str | None) -> int | float | str | None:
    """Return the one selection that was given, by count or by name, or None."""
    if count is not None and label is not None:
        raise InputError(
            f"`{count_name}` and `{label_name}` exclude each other. Received: {count_name}={count!r}, "
            f"{label_name}={label!r}. Keep one of them."
        )
    if isinstance(count, str):
        raise invalid(count_name, count, "be a number or a fraction of blocks", f"For a name, pass `{label_name}`.")
    if label is not None and not isinstance(label, str):
        raise invalid(label_name, label, "be the name of a block or layer", f"For a number, pass `{count_name}`.")
    return count if label is None else label


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
    found = blocks(model)
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
    check_choice("batchnorm", batchnorm, ("frozen", "train"))
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
