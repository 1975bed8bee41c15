"""WiSE-FT: the mean of the weights before and after fine-tuning."""

import numpy as np
from keras import ops

from tlkeras.training.batchnorm import recompute_statistics


def share_of(wise, probe):
    """The share of the fine-tuned weights in the mean that `tlkeras.fine_tune` is asked for; `None` for no mean."""
    if wise == "auto":
        return 0.5 if probe else None
    return wise


class WeightMean:
    """Mixes the weights of a fine-tuned model with those it had before.

    Weights that train are averaged. BatchNorm statistics that train are computed anew, since those of a mean of two
    networks are not the mean of theirs.

    Args:
        model: `keras.Model`, before it is fine-tuned; its weights are copied.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    >>> mean = WeightMean(model)
    >>> model.set_weights([np.ones((1, 1)), np.ones(1)])
    >>> mean.put(0.25)
    >>> model.get_weights()[0].tolist()
    [[0.25]]

    Reference: Wortsman et al., 2022, https://arxiv.org/abs/2109.01903
    """

    def __init__(self, model):
        self.model, self.before = model, _copy(model)

    @property
    def trained(self):
        """Pairs of a variable that trains and its value before, a NumPy array."""
        return [(weight, self.before[id(weight)]) for weight in self.model.trainable_weights]

    def put(self, share, batches=None):
        """Puts the mean in place.

        Args:
            share: Of the weights that the model has now, in [0, 1].
            batches: Training batches, where BatchNorm statistics train; see `tlkeras.training.data.as_batches`.
        """
        for weight, before in self.trained:
            weight.assign((1 - share) * before + share * ops.convert_to_numpy(weight))
        if batches is not None:
            recompute_statistics(self.model, batches)

    def put_best(self, share, loss, before, tuned, batches=None):
        """Puts in place what has the lowest loss: the mean, the weights that the model has now, or those before.

        Args:
            share: As in `put`.
            loss: Function without arguments that gives the loss of the weights in place.
            before: The loss of the weights before.
            tuned: The loss of those that the model has now.
            batches: As in `put`.

        Returns:
            The share of the fine-tuned weights in what was kept: `share`, 1.0 or 0.0.
        """
        now = _copy(self.model)
        self.put(share, batches)
        if loss() < min(before, tuned):
            return share
        values, kept = (now, 1.0) if tuned < before else (self.before, 0.0)
        for weight in self.model.weights:
            weight.assign(values[id(weight)])
        return kept


def _copy(model):
    # JAX hands out views of buffers that the next step writes over.
    return {id(weight): np.array(ops.convert_to_numpy(weight)) for weight in model.weights}
