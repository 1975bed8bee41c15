"""What rate each block learns at, to look at before the training and not after it."""

import math
from typing import NamedTuple

import keras

from tlkeras.errors import InputError
from tlkeras.models.blocks import blocks
from tlkeras.models.optimizer_copying import unwrapped
from tlkeras.models.tracing import check_model
from tlkeras.optimizers.differential import Differential
from tlkeras.utils.tables import Table, table


class BlockRate(NamedTuple):
    """One row: the variables of a block that train at one rate (`multiplier` and rate are 0 if it is frozen)."""

    block: str
    variables: int
    parameters: int
    multiplier: float
    learning_rate: float


class LearningRateTable(Table):
    """A tuple of `BlockRate`, which prints as a table."""

    __slots__ = ()

    def __repr__(self):
        header = ("block", "variables", "parameters", "multiplier", "learning rate")
        rates = ((f"{row.multiplier:.3g}", f"{row.learning_rate:.3g}") if row.variables else ("-", "-") for row in self)
        counts = ((row.block, str(row.variables), f"{row.parameters:,}") for row in self)
        return table(header, [count + rate for count, rate in zip(counts, rates, strict=True)])


def learning_rate_table(model: keras.Model) -> LearningRateTable:
    """Shows at what rate each block of a compiled model learns now.

    Args:
        model: A compiled Keras model, with a differential optimizer or any other.

    Returns:
        A tuple of rows `(block, variables, parameters, multiplier, learning_rate)` from stem to head, counting
        trainable variables alone. A block whose layers have different rates has a row for each.

    Raises:
        InputError: If `model` is not a Keras model, or not compiled, or with a `keras.optimizers.MultiOptimizer`.

    Example:

    >>> import keras, tlkeras
    >>> layers = keras.layers
    >>> model = keras.Sequential([
    ...     keras.Input((4,)), layers.Dense(8, name="stem"), layers.Dense(2, name="predictions"),
    ... ])
    >>> model.compile(tlkeras.differential_optimizer(model, keras.optimizers.SGD(0.1), decay=0.5), "mse")
    >>> [row.multiplier for row in tlkeras.learning_rate_table(model)]
    [0.5, 1.0]
    """
    check_model(model)
    if getattr(model, "optimizer", None) is None:
        raise InputError(f"The model {model.name!r} is not compiled: call `model.compile(optimizer, loss)` first.")
    optimizer = unwrapped(model.optimizer)
    if hasattr(optimizer, "optimizers"):
        raise InputError(
            "A MultiOptimizer has no learning rate of its own: make one that has with `tlkeras.differential_optimizer`."
        )
    base = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    trainable = {id(variable) for variable in model.trainable_variables}
    rows = []
    for block in blocks(model):
        groups = {}
        for variable in block.weights:
            if id(variable) in trainable:
                factor = optimizer.multiplier(variable) if isinstance(optimizer, Differential) else 1.0
                groups.setdefault(factor, []).append(math.prod(variable.shape))
        for factor, sizes in (groups or {0.0: []}).items():
            rows.append(BlockRate(block.name, len(sizes), sum(sizes), factor, base * factor))
    return LearningRateTable(rows)
