"""A table of each block's learning rate, to check before training."""

import math
from typing import NamedTuple

import keras

from tlkeras.errors import InputError
from tlkeras.models.blocks import blocks
from tlkeras.models.layer_tree import check_model
from tlkeras.models.optimizer_copying import unwrapped
from tlkeras.models.table import read_rates
from tlkeras.utils.tables import Table, table
from tlkeras.utils.validation import invalid


class BlockRate(NamedTuple):
    """One row of a learning-rate table: the variables of a block that train at the same rate.

    Attributes:
        block: Name of the block.
        variables: Number of the block's trainable variables with this rate.
        parameters: Number of values in these variables.
        multiplier: Factor on the optimizer's learning rate; 0 if the block is frozen.
        learning_rate: Current learning rate of the block; 0 if it is frozen.
    """

    block: str
    variables: int
    parameters: int
    multiplier: float
    learning_rate: float


class LearningRateTable(Table):
    """A tuple of `BlockRate` that prints as a table."""

    __slots__ = ()

    def __repr__(self):
        header = ("block", "variables", "parameters", "multiplier", "learning rate")
        rates = ((f"{row.multiplier:.3g}", f"{row.learning_rate:.3g}") if row.variables else ("-", "-") for row in self)
        counts = ((row.block, str(row.variables), f"{row.parameters:,}") for row in self)
        return table(header, [count + rate for count, rate in zip(counts, rates, strict=True)])


def learning_rate_table(model: keras.Model, optimizer: keras.Optimizer | None = None) -> LearningRateTable:
    """List the current learning rate of each block of a model; a schedule is evaluated at its current step.

    Args:
        model: A built Keras model.
        optimizer: A differential optimizer for this model, or any other optimizer. Defaults to the optimizer that the
            model is compiled with.

    Returns:
        A tuple of rows `(block, variables, parameters, multiplier, learning_rate)` from stem to head, counting only
        trainable variables. A block whose layers have different rates has one row for each rate.

    Raises:
        InputError: `model` is not a Keras model, the model is not compiled and no optimizer was given, or the optimizer
            is a `keras.optimizers.MultiOptimizer`.

    Example:

    >>> import keras, tlkeras
    >>> layers = keras.layers
    >>> model = keras.Sequential([
    ...     keras.Input((4,)), layers.Dense(8, name="stem"), layers.Dense(2, name="predictions"),
    ... ])
    >>> optimizer = tlkeras.differential_optimizer(model, keras.optimizers.SGD(0.1), layer_decay=0.5)
    >>> [row.multiplier for row in tlkeras.learning_rate_table(model, optimizer)]
    [0.5, 1.0]
    """
    check_model(model)
    optimizer = getattr(model, "optimizer", None) if optimizer is None else optimizer
    if optimizer is None:
        raise InputError(
            f"The model {model.name!r} is not compiled. Pass an `optimizer`, or call `model.compile(optimizer, loss)`."
        )
    if not isinstance(optimizer, keras.Optimizer):
        raise invalid("optimizer", optimizer, "be a Keras optimizer", "Pass one such as keras.optimizers.AdamW(1e-3).")
    optimizer = unwrapped(optimizer)
    if hasattr(optimizer, "optimizers"):
        raise InputError(
            "A MultiOptimizer has no single learning rate to list. `tlkeras.differential_optimizer` returns an "
            "optimizer that has one."
        )
    base, multiplier = read_rates(optimizer)
    trainable = {id(variable) for variable in model.trainable_variables}
    rows = []
    for block in blocks(model):
        groups = {}
        for variable in block.weights:
            if id(variable) in trainable:
                groups.setdefault(multiplier(variable), []).append(math.prod(variable.shape))
        for factor, sizes in (groups or {0.0: []}).items():
            rows.append(BlockRate(block.name, len(sizes), sum(sizes), factor, base * factor))
    return LearningRateTable(rows)
