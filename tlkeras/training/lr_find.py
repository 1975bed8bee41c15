"""The learning rate range test: one short run in which the rate grows until the loss diverges, and no trace of it."""

import math
import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np

from tlkeras.data.dataset import ImageSplits
from tlkeras.errors import InputError
from tlkeras.models.layer_tree import check_model
from tlkeras.models.optimizer_copying import fresh_copy, unwrapped
from tlkeras.training.steps.random_state import random_state_kept
from tlkeras.utils.validation import shown

#: Weight of the past in the running loss by which divergence is told.
_MOMENTUM = 0.9

#: Width of the Gaussian that smooths the curve, as a share of its points.
_WIDTH = 1 / 25


@dataclass(frozen=True)
class LearningRateCurve:
    """Loss against learning rate.

    Attributes:
        learning_rates: The rates, ascending, float64 of shape `(steps,)`. Of a differential optimizer, the base rate.
        losses: The loss of the batch that each rate was tried on, of the same shape, all finite.
    """

    learning_rates: np.ndarray
    losses: np.ndarray

    def __repr__(self) -> str:
        tried = f"{len(self.losses)} rates"
        if len(self.losses):
            tried += f" from {self.learning_rates[0]:.2g} to {self.learning_rates[-1]:.2g}"
        suggestion = None if self.suggestion is None else float(f"{self.suggestion:.2g}")
        return f"LearningRateCurve({tried}, suggestion={suggestion})"

    @property
    def smoothed(self) -> np.ndarray:
        """The losses after a Gaussian filter, which unlike a running mean does not shift the curve to the right."""
        positions = np.arange(len(self.losses))
        width = max(1.0, _WIDTH * len(positions))
        weights = np.exp(-(((positions[:, None] - positions) / width) ** 2) / 2)
        return weights @ self.losses / weights.sum(axis=1)

    @property
    def suggestion(self) -> float | None:
        """Where the smoothed loss falls most steeply against the logarithm of the rate, left of its minimum.

        None if the loss never falls: then the rates are too high already, or the model does not learn at all.
        """
        smoothed = self.smoothed
        lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
        if lowest < 2:
            return None
        slopes = np.gradient(smoothed[: lowest + 1], np.log(self.learning_rates[: lowest + 1]))
        return float(self.learning_rates[np.argmin(slopes)])

    def plot(self, ax: Any = None) -> Any:
        """Draws the curve and the suggestion.

        Args:
            ax: A matplotlib `Axes`; by default a new one.

        Returns:
            The `Axes`.
        """
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots()
        ax.semilogx(self.learning_rates, self.losses, color="0.8", label="loss of a batch")
        ax.semilogx(self.learning_rates, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            ax.axvline(self.suggestion, color="C1", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        ax.set(xlabel="learning rate", ylabel="loss")
        ax.legend()
        return ax


def lr_find(
    model: keras.Model,
    data: Any,
    *,
    start: float = 1e-7,
    stop: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    divergence: float = 4.0,
) -> LearningRateCurve:
    """Tries out learning rates, from far too low to far too high, and puts everything back.

    The range test of Smith (2015, https://arxiv.org/abs/1506.01186) with the exponential sweep and the defaults of
    fastai: one batch a rate. It trains the model's trainable variables with a fresh optimizer of the same settings (a
    differential one keeps its multipliers), so the rate it finds is for the phase that comes next. Afterwards weights,
    BatchNorm statistics, the layers' seeds, the model's own optimizer and rate, and the random states of Python, NumPy,
    Keras and the backend are bit for bit what they were, also after an exception or Ctrl-C.

    Args:
        model: A compiled Keras model.
        data: A tuple `(x, y)` or `(x, y, sample_weight)` of arrays, a split of `tlkeras.load_images`, or whatever else
            `fit` takes: a `Dataset`, a `PyDataset`, a torch `DataLoader`. Shuffled data give a better curve; arrays
            and splits are shuffled here. It is gone through again if it has fewer batches than `steps`. What a
            generator has yielded cannot be put back.
        start: Lowest rate.
        stop: Highest rate.
        steps: Number of rates, each `(stop / start)**(1 / (steps - 1))` times the one before.
        batch_size: Images a batch, for arrays and splits; 32 by default, as in `fit`.
        divergence: The run ends early once the running loss is this many times its lowest value, or not finite.

    Returns:
        The curve, with `learning_rates`, `losses`, `suggestion` and `plot()`.

    Raises:
        InputError: If `model` is not a Keras model, is not compiled or trains nothing, its optimizer has no one
            learning rate, the data are of another kind or empty, or the rates, their number or another option
            cannot be.

    Example:

    >>> import keras, numpy as np, tlkeras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> curve = tlkeras.lr_find(model, (x, x.sum(axis=1)), steps=60)
    >>> 1e-3 < curve.suggestion < 1
    True
    """
    check_model(model)
    if not model.compiled or getattr(model, "optimizer", None) is None:
        raise InputError(f"The model {model.name!r} is not compiled: call `model.compile(optimizer, loss)` first.")
    if not model.built or not model.trainable_variables:
        raise InputError(f"The model {model.name!r} has no trainable variable yet: build it, or unfreeze a block.")
    if hasattr(unwrapped(model.optimizer), "optimizers"):
        raise InputError("A MultiOptimizer has no one learning rate to sweep: use tlkeras.differential_optimizer.")
    if not (isinstance(start, Real) and isinstance(stop, Real) and 0 < start < stop < math.inf):
        raise InputError(f"Received start={start!r} and stop={stop!r}: rates rise from above 0.")
    if not isinstance(steps, Integral) or steps < 10:
        raise InputError(f"Received steps={steps!r}: a curve takes an integer of at least 10.")
    if not isinstance(divergence, Real) or divergence <= 1:
        raise InputError(f"Received divergence={divergence!r}: it is a number above 1.")
    if batch_size is not None and (not isinstance(batch_size, Integral) or batch_size < 1):
        raise InputError(f"Received batch_size={batch_size!r}: a batch has one image or more.")
    _check_data(data)

    sweep = _Sweep(np.geomspace(start, stop, steps), divergence)
    if hasattr(data, "batches"):
        data, batch_size = data.batches(batch_size or 32, shuffle=True), None
    inputs = dict(zip(("x", "y", "sample_weight"), data, strict=False)) if _is_arrays(data) else {"x": data}
    kept = {name: getattr(model, name, None) for name in ("optimizer", "train_function", "stop_training", "history")}
    values = [(variable, keras.ops.convert_to_numpy(variable).copy()) for variable in model.variables]
    with random_state_kept():
        try:
            model.optimizer, model.train_function = fresh_copy(model.optimizer, learning_rate=float(start)), None
            for variable, value in values:  # JAX gives buffers away, and moving averages may share the weights' own
                variable.assign(value)
            model.fit(**inputs, batch_size=batch_size, epochs=steps, callbacks=[sweep], verbose=0)
        finally:
            for name, value in kept.items():
                setattr(model, name, value)
            for variable, value in values:
                variable.assign(value)
            model.reset_metrics()
    tried = len(sweep.losses)
    return LearningRateCurve(sweep.rates[:tried], np.array(sweep.losses))


def _is_arrays(data):
    return isinstance(data, tuple | list)


def _check_data(data):
    """Refuses what `fit` fails on without saying what would do."""
    if _is_arrays(data):
        wrong = len(data) not in (2, 3) or any(part is None for part in data[:2])
    else:  # an array by itself has no labels, and of splits one is wanted
        refused = str | bytes | os.PathLike | dict | np.ndarray | ImageSplits | None
        wrong = isinstance(data, refused) or keras.ops.is_tensor(data)
    if wrong:
        received = f"({', '.join(type(part).__name__ for part in data)})" if _is_arrays(data) else shown(data)
        raise InputError(
            "data must be a pair of arrays (x, y), a split of load_images, a PyDataset, a tf.data.Dataset or a "
            f"DataLoader. Received: {received}"
        )
    if _is_arrays(data) and (0,) in [np.shape(part)[:1] for part in keras.tree.flatten(data[:2])]:
        raise InputError("data is empty: there is nothing to try a rate on.")


class _Sweep(keras.callbacks.Callback):
    """Sets the next rate after each batch and notes the loss of that batch alone."""

    def __init__(self, rates, divergence):
        super().__init__()
        self.rates, self.divergence = rates, divergence
        self.losses = []
        self._running, self._lowest = 0.0, math.inf

    def on_train_begin(self, logs=None):
        self.model.optimizer.learning_rate = self.rates[0]

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if math.isfinite(loss):
            self.losses.append(loss)
        if not math.isfinite(loss) or self._diverges(loss) or len(self.losses) == len(self.rates):
            self.model.stop_training = True
            return
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # JAX keeps the state out of the variables until told
        self.model.reset_metrics()  # the logged loss is a mean since the last reset
        self.model.optimizer.learning_rate = self.rates[len(self.losses)]

    def _diverges(self, loss):
        self._running = _MOMENTUM * self._running + (1 - _MOMENTUM) * loss
        mean = self._running / (1 - _MOMENTUM ** len(self.losses))
        self._lowest = min(self._lowest, mean)
        return mean > self.divergence * self._lowest
