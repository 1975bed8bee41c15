"""The settings of one call to `fine_tune`, checked when the object is created."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras

from tlkeras.errors import InputError
from tlkeras.utils.validation import check_choice, check_integer, check_number, invalid, shown

#: Callbacks that set the learning rate, which is not possible for an optimizer with a schedule.
_SETTING_RATES = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)

_INTEGERS = {"epochs": 0, "batch_size": 1, "patience": 1, "runs": 1, "cached_views": 1, "seed": 0}

_NUMBERS = {
    "learning_rate": "(0, inf)",
    "layer_decay": "(0, 1]",
    "warmup": "[0, 1)",
    "weight_decay": "[0, inf)",
    "label_smoothing": "[0, 1)",
    "l2_sp": "[0, inf)",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The settings of one call to `tlkeras.fine_tune`; see that function for their meaning.

    Raises:
        InputError: A setting is out of range, or a callback cannot be used.
    """

    epochs: int
    steps: int | None
    batch_size: int
    learning_rate: float
    layer_decay: float
    blocks: int | float | str | None
    batchnorm: str
    probe: bool
    C: float | Sequence | None
    warmup: float
    weight_decay: float
    label_smoothing: float
    patience: int
    mix: keras.Layer | None
    ema_momentum: float | None
    l2_sp: float
    average_with_probe: float | str | None
    runs: int
    class_weight: dict | str | None
    cache: bool | str
    cached_views: int
    seed: int
    callbacks: tuple

    def __post_init__(self):
        for name, minimum in _INTEGERS.items():
            check_integer(name, getattr(self, name), minimum)
        for name, interval in _NUMBERS.items():
            check_number(name, getattr(self, name), interval)
        if self.steps is not None:
            check_integer("steps", self.steps, 0)
        if self.ema_momentum is not None:
            check_number("ema_momentum", self.ema_momentum, "(0, 1)")
        if self.average_with_probe not in (None, "auto"):
            check_number("average_with_probe", self.average_with_probe, "[0, 1]", "'auto' and None are accepted too.")
        for C in self.C if isinstance(self.C, list | tuple) else [self.C]:
            if C is not None:
                check_number("C", C, "(0, inf)", "For a multi-label head, pass a list with one number per label.")
        check_choice("cache", self.cache, ("auto", True, False))
        check_choice("batchnorm", self.batchnorm, ("frozen", "train"))
        for callback in self.callbacks:
            _check_callback(callback)

    def with_plan(self, plan, function) -> "Options":
        """Return a copy of these settings, updated with the settings of a plan.

        Args:
            plan: A `tlkeras.selection.plan.Plan`, a class that this module must not import.
            function: The public function that was called; a setting that differs from that function's default was
                passed by the user.

        Raises:
            InputError: A setting in the plan was also passed, or `plan` is not a plan.
        """
        planned = getattr(plan, "fine_tune_options", None)
        if not isinstance(planned, dict):
            raise invalid("plan", plan, "be a plan returned by `tlkeras.advise`")
        parameters = inspect.signature(function).parameters
        for name in planned:
            if getattr(self, name) != parameters[name].default:
                advice = "The plan sets this argument. Pass only one of the two."
                raise invalid(name, getattr(self, name), "not be passed together with `plan`", advice)
        return replace(self, **planned)

    @property
    def trains(self) -> bool:
        """Whether any training follows the probe."""
        return self.epochs > 0 if self.steps is None else self.steps > 0

    def count_steps(self, steps_per_epoch: int) -> int:
        """Return the number of training steps in one run."""
        return self.epochs * steps_per_epoch if self.steps is None else self.steps

    def count_epochs(self, steps_per_epoch: int) -> int:
        """Return the number of epochs in one run. The last epoch may be cut short."""
        return math.ceil(self.count_steps(steps_per_epoch) / steps_per_epoch)

    @property
    def probe_share(self) -> float | None:
        """Fraction of the final average that comes from the probe; None for no average."""
        if self.average_with_probe == "auto":
            return 0.5 if self.probe else None
        return self.average_with_probe

    @property
    def keeps_lowest_loss(self) -> bool:
        """Whether the validation loss decides which weights to keep: false if the user fixed the probe's fraction."""
        return self.average_with_probe in (None, "auto")


def as_callbacks(callbacks):
    """Convert one callback or a nested sequence of callbacks to a tuple, without entries that are None."""
    return tuple(callback for callback in keras.tree.flatten(callbacks) if callback is not None)


def _check_callback(callback):
    """Reject objects that are not callbacks, and callbacks that would fail in the middle of training."""
    if not isinstance(callback, keras.callbacks.Callback):
        raise invalid("callbacks", callback, "be Keras callbacks")
    if isinstance(callback, _SETTING_RATES):
        raise InputError(
            f"`callbacks` must not set the learning rate. Received: callbacks={shown(callback)}. `fine_tune` has "
            "its own schedule, with warm-up and cosine decay. Pass `learning_rate` and `warmup` to `fine_tune` instead."
        )
    if isinstance(callback, keras.callbacks.SwapEMAWeights):
        raise InputError(
            f"`callbacks` must not swap weights. Received: callbacks={shown(callback)}. Pass `ema_momentum` instead."
        )
