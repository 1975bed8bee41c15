"""A table of the trainable parts of a model, to check before training."""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras

from tlkeras.models.block_map import Block
from tlkeras.models.blocks import blocks
from tlkeras.models.layer_tree import is_batchnorm
from tlkeras.models.optimizer_copying import unwrapped
from tlkeras.utils.tables import Table, table


class TrainableRow(NamedTuple):
    """One row of a trainable table: a block's layers, parameters and learning rate.

    Attributes:
        block: Name of the block.
        layers: Number of the block's layers that have weights.
        parameters: Number of values in the block's weights.
        trainable: Number of values in the block's trainable weights.
        batchnorm: `"frozen"`, `"train"`, `"mixed"`, or `"-"` if the block has no BatchNormalization.
        learning_rate: The block's current learning rate; the highest one if its layers have different rates. None if
            the block is frozen or the model is not compiled.
        lowest_rate: The block's lowest learning rate, which differs from `learning_rate` if multipliers name only some
            of its layers.
    """

    block: str
    layers: int
    parameters: int
    trainable: int
    batchnorm: str
    learning_rate: float | None
    lowest_rate: float | None


class TrainableTable(Table):
    """A tuple of `TrainableRow` from stem to head that prints as a table."""

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
    """List the trainable parameters and the learning rate of each block of a model, to check before training.

    Args:
        model: A built Keras model.

    Returns:
        A tuple of `TrainableRow` from stem to head. It prints as a table, with `a to b` for a block whose variables
        have different learning rates.

    Raises:
        InputError: `model` is not a Keras model, or has no weights.

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
    block_map = blocks(model)
    trainable = {id(weight) for weight in model.trainable_weights}
    return TrainableTable(_row(block, trainable, model) for block in block_map)


def _row(block: Block, trainable: set[int], model: keras.Model) -> TrainableRow:
    training = [weight for weight in block.weights if id(weight) in trainable]
    rates = _rates(model, training)
    modes = {"train" if layer.trainable else "frozen" for layer in block.layers if is_batchnorm(layer)}
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
    base, multiplier = read_rates(optimizer)
    return [base * multiplier(variable) for variable in training]


def read_rates(optimizer: keras.Optimizer) -> tuple[float, Callable[[keras.Variable], float]]:
    """Return the current learning rate of an optimizer, and a function that returns the multiplier of a variable."""
    base = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    multiplier = getattr(optimizer, "multiplier", None)
    return base, multiplier if callable(multiplier) else lambda variable: 1.0
