"""What `fine_tune` reports, while it runs and in the end."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import keras

from tlkeras.optimizers.table import LearningRateTable


@dataclass
class FineTuning:
    """What `fine_tune` did; `print` shows a line a phase.

    Attributes:
        history: Dict of lists, one value an epoch of fine-tuning, as in `keras.callbacks.History`; of a soup all runs
            one after another.
        phases: List of dicts: the `name` of a phase, its `seconds`, and what was chosen in it.
        learning_rates: Table of the peak rates, from `tlkeras.learning_rate_table`.
        best_epoch: Number of the epoch whose weights the model has, from 1; 0 for those that training began with. Of a
            soup the epoch with the lowest loss on validation data.
        runs: Number of runs whose weights were averaged; 1 where one was alone, or its loss the lowest.
        average_with_probe: Share, in the model's weights, of those that fine-tuning began with; the rest are these.
        stopped: `None`, or why it ended early: `"no improvement"`, `"not a number"` or `"interrupted"`.

    Example:

    >>> FineTuning({"val_loss": [0.7, 0.5, 0.6]}, [{"name": "fine-tune", "seconds": 12.3, "epochs": 3}], best_epoch=2)
    FineTuning(fine-tune 12.3 s, best_epoch=2, val_loss=0.500)
    """

    history: dict = field(default_factory=dict)
    phases: list = field(default_factory=list)
    learning_rates: LearningRateTable | None = None
    best_epoch: int = 0
    runs: int = 1
    average_with_probe: float = 0.0
    stopped: str | None = None

    def __repr__(self):
        parts = [f"{phase['name']} {phase['seconds']:.1f} s" for phase in self.phases]
        parts += [f"best_epoch={self.best_epoch}"] + ([f"runs={self.runs}"] if self.runs != 1 else [])
        parts += [f"average_with_probe={self.average_with_probe:g}"] if self.average_with_probe else []
        parts += [
            f"{name}={values[self.best_epoch - 1]:.3f}"
            for name, values in self.history.items()
            if name.startswith("val_")
            and 0 < self.best_epoch <= len(values)
            and not self.average_with_probe
            and self.runs == 1
        ]
        parts += [f"stopped={self.stopped!r}"] if self.stopped else []
        return f"FineTuning({', '.join(parts)})"

    def __str__(self):
        end = self.kept + (f"; stopped: {self.stopped}" if self.stopped else "")
        return "\n".join([*map(_phase_line, self.phases), end])

    @property
    def kept(self) -> str:
        """Whose weights the model has, in words."""
        words = f"the weights of epoch {0 if self.average_with_probe == 1 else self.best_epoch}"
        if self.runs > 1 and self.average_with_probe < 1:
            words = f"the mean weights of {self.runs} runs"
        if self.average_with_probe in (0, 1):
            return words
        return f"a mean of {1 - self.average_with_probe:.0%} {words} and {self.average_with_probe:.0%} of those before"


class Progress:
    """Notes in `result`, a `FineTuning`, what is being done, and says it.

    Args:
        verbose: Whether to say it, on stderr.
    """

    def __init__(self, verbose=True):
        self.result, self.verbose = FineTuning(), verbose

    def say(self, text):
        if self.verbose:
            print(text, file=sys.stderr)

    @contextmanager
    def phase(self, name):
        """Times a phase that ends without an exception, and notes and says what came of it."""
        phase, start = {"name": name}, perf_counter()
        yield phase
        phase["seconds"] = perf_counter() - start
        self.result.phases.append(phase)
        self.say(_phase_line(phase))

    def each_epoch(self, epochs):
        """A callback that says a line an epoch."""
        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.say(_epoch_line(epoch, epochs, logs))
        )


def _phase_line(phase):
    rest = ", ".join(f"{key} {value}" for key, value in phase.items() if key not in ("name", "seconds"))
    return f"{phase['name']:<12} {phase['seconds']:7.1f} s  {rest}"


def _epoch_line(epoch, epochs, logs):
    return f"epoch {epoch + 1}/{epochs}  " + "  ".join(f"{name} {value:.3f}" for name, value in logs.items())
