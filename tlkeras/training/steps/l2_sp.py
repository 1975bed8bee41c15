"""L2-SP: penalize the distance of weights from where they started."""

from contextlib import contextmanager

import keras
from keras import ops


@contextmanager
def pulled_to_start(start, strength):
    """Penalize the distance of weights from their start, within a `with` block.

    Args:
        start: List of pairs of a variable and its value at the start, a NumPy array.
        strength: Factor on the squared distance; 0 for no penalty.

    Reference: Li et al., 2018, https://arxiv.org/abs/1802.01483
    """
    if strength:
        for weight, before in start:
            weight.regularizer = _SquaredDistance(before, strength)
    try:
        yield
    finally:
        if strength:
            for weight, _ in start:
                weight.regularizer = None


class _SquaredDistance(keras.regularizers.Regularizer):
    def __init__(self, start, strength):
        self._start, self._strength = start, strength

    def __call__(self, weight):
        return self._strength * ops.sum(ops.square(weight - ops.convert_to_tensor(self._start, weight.dtype)))
