"""Optimizers whose learning rate falls with depth, and a table of the rates they use."""

from tlkeras.optimizers.differential import differential_class
from tlkeras.optimizers.multipliers import differential_optimizer
from tlkeras.optimizers.table import learning_rate_table

__all__ = ["differential_class", "differential_optimizer", "learning_rate_table"]
