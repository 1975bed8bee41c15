"""Penalize the distance of weights from their starting values (L2-SP)."""

from contextlib import contextmanager

import keras
from keras import ops


@contextmanager
def pulled_to_start(start, strength):
    """Penalize the distance of weights from their starting values in a `with` block, in addition to any regularizers.

    Args:
        start: List of pairs of a variable and its starting value, as a NumPy array.
        strength: Factor that multiplies the squared distance; 0 for no penalty.

    Reference: Li et al., 2018, https://arxiv.org/abs/1802.01483
    """
    own = [weight.regularizer for weight, _ in start]
    if strength:
        for (weight, before), regularizer in zip(start, own, strict=True):
            weight.regularizer = _SquaredDistance(before, strength, regularizer)
    try:
        yield
    finally:
        for (weight, _), regularizer in zip(start, own, strict=True):
            weight.regularizer = regularizer


class _SquaredDistance(keras.regularizers.Regularizer):
    def __init__(self, start, strength, own):
        self._start, self._strength, self._own = start, strength, own

    def __call__(self, weight):
        penalty = self._strength * ops.sum(ops.square(weight - ops.convert_to_tensor(self._start, weight.dtype)))
        return penalty if self._own is None else penalty + self._own(weight)
