"""Average the weights before and after fine-tuning (WiSE-FT), and the weights of several runs (model soups)."""

import numpy as np
from keras import ops

from tlkeras.training.steps.batchnorm import recompute_statistics


def values_of(variables):
    """Return copies of the values of variables: a dict that maps each variable's `id` to a NumPy array."""
    # JAX returns views of buffers that the next step overwrites.
    return {id(variable): np.array(ops.convert_to_numpy(variable)) for variable in variables}


def assign_values(variables, values):
    """Assign the values copied by `values_of` back to the variables."""
    for variable in variables:
        variable.assign(values[id(variable)])


def assign_average(model, copies, shares=None, batches=None):
    """Average several copies of a model's weights, and assign the result to the model.

    Trainable weights are averaged. The statistics of trainable BatchNorm layers are recomputed, since the statistics of
    an averaged network are not the average of the copies' statistics. Everything else stays unchanged.

    Args:
        model: The `keras.Model` to which the average is assigned.
        copies: List of copies of the model's weights from `values_of`.
        shares: Fraction of the average that comes from each copy; the fractions sum to 1. Defaults to equal fractions.
        batches: Training batches, if there are BatchNorm statistics to recompute; see
            `tlkeras.training.steps.data.as_batches`.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    >>> before = values_of(model.weights)
    >>> model.set_weights([np.ones((1, 1)), np.ones(1)])
    >>> assign_average(model, [before, values_of(model.weights)], [0.75, 0.25])
    >>> model.get_weights()[0].tolist()
    [[0.25]]

    References: Wortsman et al., 2022, https://arxiv.org/abs/2109.01903 (WiSE-FT: before and after fine-tuning) and
    https://arxiv.org/abs/2203.05482 (model soups: several runs).
    """
    shares = shares or [1 / len(copies)] * len(copies)
    for weight in model.trainable_weights:
        weight.assign(sum(share * copy[id(weight)] for share, copy in zip(shares, copies, strict=True)))
    if batches is not None:
        recompute_statistics(model, batches)
