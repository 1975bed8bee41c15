"""Run a learning-rate range test: one short run in which the rate increases until the loss diverges."""

import math
import os
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tlkeras.data.dataset import ImageSplits
from tlkeras.errors import InputError
from tlkeras.models.layer_tree import check_model
from tlkeras.models.optimizer_copying import fresh_copy, unwrapped
from tlkeras.models.recompile import strategy_scope
from tlkeras.training.steps.random_state import random_state_kept
from tlkeras.utils.validation import check_integer, check_number, invalid, shown

#: Momentum of the running loss that is used to detect divergence.
_MOMENTUM = 0.9

#: Width of the Gaussian that smooths the curve, as a fraction of the number of points.
_WIDTH = 1 / 25


@dataclass(frozen=True)
class LearningRateCurve:
    """The loss of a model as a function of the learning rate.

    Attributes:
        learning_rates: The rates that were tried, in ascending order: float64 of shape `(steps,)`. For a differential
            optimizer, these are its base rates.
        losses: Loss of the batch on which each rate was tried, as an array with the same shape as `learning_rates`. All
            losses are finite.
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
        """The losses after a Gaussian filter, which, unlike a running mean, does not shift the curve to the right."""
        positions = np.arange(len(self.losses))
        width = max(1.0, _WIDTH * len(positions))
        weights = np.exp(-(((positions[:, None] - positions) / width) ** 2) / 2)
        return weights @ self.losses / weights.sum(axis=1)

    @property
    def suggestion(self) -> float | None:
        """The rate, below that of the minimum, at which the smoothed loss falls most steeply on a logarithmic axis.

        None if the loss never falls. In this case, all rates are too high, or the model does not learn at all.
        """
        smoothed = self.smoothed
        lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
        if lowest < 2:
            return None
        slopes = np.gradient(smoothed[: lowest + 1], np.log(self.learning_rates[: lowest + 1]))
        return float(self.learning_rates[np.argmin(slopes)])

    def plot(self, ax: Any = None) -> Any:
        """Plot the curve and the suggestion.

        Args:
            ax: A matplotlib `Axes` to draw on. Defaults to a new `Axes`.

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
    """Run a learning-rate range test, and restore the model afterwards.

    This is the range test of Smith (2015, https://arxiv.org/abs/1506.01186) with the exponential sweep and the defaults
    of fastai: one batch per rate, each followed by an update, even if the model's own optimizer accumulates gradients
    or Keras runs several steps per execution. The test trains the model's trainable variables with a new optimizer that
    has the same settings as the model's own (including the multipliers of a differential optimizer), so the suggested
    rate is valid for the next phase of training. Afterwards, the weights, the BatchNorm statistics, the layers' seeds,
    the model's own optimizer and rate, and the random states of Python, NumPy, Keras and the backend are bit-identical
    to what they were before the call, even after an exception or Ctrl-C.

    Args:
        model: A compiled Keras model.
        data: A tuple `(x, y)` or `(x, y, sample_weight)` of arrays, a split of `tlkeras.load_images`, or any other data
            that `fit` accepts: a `Dataset`, a `PyDataset` or a torch `DataLoader`. Shuffled data gives a better curve;
            arrays and splits are shuffled automatically. If the data has fewer batches than `steps`, it is iterated
            over again. Items taken from a generator cannot be put back.
        start: Lowest rate to try. The default is too low for any model, so the curve begins below the useful range.
        stop: Highest rate to try. The default is too high for any model, so the curve ends above the useful range.
        steps: Number of rates to try; each is `(stop / start)**(1 / (steps - 1))` times the previous one. Defaults to
            100, as in fastai.
        batch_size: Number of images per batch, for arrays and splits. Defaults to 32, as in `fit`.
        divergence: The run ends early when the running loss exceeds its minimum by this factor. It also ends at a loss
            that is not finite. Defaults to 4, as in fastai.

    Returns:
        A `LearningRateCurve`, with `learning_rates`, `losses`, `suggestion` and `plot()`.

    Raises:
        InputError: `model` is not a Keras model, is not compiled or has no trainable variables; its optimizer has no
            single learning rate; the data is empty or of an unsupported kind; or an argument is out of range.

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
        raise InputError(f"The model {model.name!r} is not compiled. Call `model.compile(optimizer, loss)` first.")
    if not model.built or not model.trainable_variables:
        raise InputError(f"The model {model.name!r} has no trainable variables yet. Build it, or unfreeze a block.")
    if hasattr(unwrapped(model.optimizer), "optimizers"):
        raise InputError("A MultiOptimizer has no single learning rate to sweep. Use tlkeras.differential_optimizer.")
    check_number("start", start, "(0, inf)")
    check_number("stop", stop, "(0, inf)")
    if not start < stop < math.inf:
        raise invalid("stop", stop, f"be finite and above `start` ({start:g})")
    check_integer("steps", steps, 10)
    check_number("divergence", divergence, "(1, inf)")
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1)
    _check_data(data)

    sweep = _Sweep(np.geomspace(start, stop, steps), divergence)
    if hasattr(data, "batches"):
        data, batch_size = data.batches(batch_size or 32, shuffle=True), None
    inputs = dict(zip(("x", "y", "sample_weight"), data, strict=False)) if _is_arrays(data) else {"x": data}
    names = ("optimizer", "train_function", "stop_training", "history", "steps_per_execution")
    kept = {name: getattr(model, name, None) for name in names}
    values = [(variable, keras.ops.convert_to_numpy(variable).copy()) for variable in model.variables]
    with random_state_kept():
        try:
            model.optimizer, model.train_function = _plain_copy(model.optimizer, start), None
            with strategy_scope(model):
                model.optimizer.build(model.trainable_variables)  # otherwise, TensorFlow traces the step twice
            model.steps_per_execution = 1  # otherwise, several rates would share one loss
            for variable, value in values:  # JAX donates buffers, and moving averages may share those of the weights
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


def _plain_copy(optimizer, rate):
    """Copy an optimizer, with a constant learning rate and without gradient accumulation."""
    return fresh_copy(optimizer, learning_rate=float(rate), gradient_accumulation_steps=None)


def _is_arrays(data):
    return isinstance(data, tuple | list)


def _check_data(data):
    """Reject data for which `fit` would raise an error that does not say what data is accepted."""
    if _is_arrays(data):
        wrong = len(data) not in (2, 3) or any(part is None for part in data[:2])
    else:  # a single array has no labels, and `ImageSplits` is more than one split
        refused = str | bytes | os.PathLike | dict | np.ndarray | ImageSplits | None
        wrong = isinstance(data, refused) or keras.ops.is_tensor(data)
    if wrong:
        received = f"({', '.join(type(part).__name__ for part in data)})" if _is_arrays(data) else shown(data)
        raise InputError(
            "`data` must be a pair of arrays (x, y), a split of `load_images`, a PyDataset, a tf.data.Dataset or a "
            f"DataLoader. Received: data={received}."
        )
    if _is_arrays(data) and (0,) in [np.shape(part)[:1] for part in keras.tree.flatten(data[:2])]:
        raise InputError("`data` must contain at least one image. Received: an empty array.")


class _Sweep(keras.callbacks.Callback):
    """Record the loss of each batch on its own, and set the next rate after each batch."""

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
            self.model.jax_state_sync()  # on JAX, Keras does not update variables during an epoch unless asked to
        self.model.reset_metrics()  # the logged loss is a mean since the last reset
        self.model.optimizer.learning_rate = self.rates[len(self.losses)]

    def _diverges(self, loss):
        self._running = _MOMENTUM * self._running + (1 - _MOMENTUM) * loss
        mean = self._running / (1 - _MOMENTUM ** len(self.losses))
        self._lowest = min(self._lowest, mean)
        return mean > self.divergence * self._lowest
