"""The reports of `fine_tune`, both while it runs and at the end."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter

import keras

from tlkeras.optimizers.table import BlockRate, LearningRateTable
from tlkeras.training.losses import PLAIN_LOSS


@dataclass
class Phase:
    """A completed phase of `fine_tune`.

    Attributes:
        name: `"probe"`, `"cache"`, `"fine-tune"`, `"average runs"` or `"average"`.
        seconds: Duration in seconds. In a resumed call, only the time since it resumed.
        details: Dict of values that were chosen or counted in the phase, such as `{"C": 0.01}`.

    Example:

    >>> Phase("probe", 2.5, {"C": 0.01})
    Phase(name='probe', seconds=2.5, details={'C': 0.01})
    """

    name: str
    seconds: float
    details: dict = field(default_factory=dict)

    def __str__(self):
        details = ", ".join(f"{name} {value}" for name, value in self.details.items())
        return f"{self.name:<12} {self.seconds:7.1f} s  {details}"


@dataclass
class FineTuning:
    """The report of `fine_tune`, which prints one line per phase.

    Attributes:
        history: Dict of lists with one value per epoch of fine-tuning, as in `keras.callbacks.History`. The epochs of
            several runs are concatenated. `val_loss`, by which the weights are selected, excludes weight penalties;
            `loss` includes them.
        phases: List of `Phase` objects, in the order in which the phases ended.
        learning_rates: Table of each block's peak learning rate, from `tlkeras.learning_rate_table`.
        C: The inverse of the probe's L2 penalty. A list with one value per label for a multi-label head; `None` without
            a probe.
        steps: Number of training steps that produced the model's weights. If runs were averaged, the mean over these
            runs.
        best_epoch: Number of the epoch from which the model's weights come, starting at 1 and counted through all runs;
            0 for the weights from before fine-tuning. If runs were averaged, the epoch with the lowest validation loss.
        runs: Number of runs whose weights were averaged; 1 if there was only one run, or if a single run had the lowest
            loss.
        average_with_probe: Fraction of the model's final weights that comes from the weights before fine-tuning,
            usually those of the probe; 1 if these were kept unchanged.
        stopped: `None`, or the reason that training ended early: `"no improvement"`, `"not a number"` or
            `"interrupted"`.

    Example:

    >>> FineTuning({"val_loss": [0.7, 0.5, 0.6]}, [Phase("fine-tune", 12.3, {"epochs": 3})], best_epoch=2)
    FineTuning(fine-tune 12.3 s, best_epoch=2, val_loss=0.500)
    """

    history: dict = field(default_factory=dict)
    phases: list = field(default_factory=list)
    learning_rates: LearningRateTable | None = None
    C: float | list | None = None
    steps: int = 0
    best_epoch: int = 0
    runs: int = 1
    average_with_probe: float = 0.0
    stopped: str | None = None

    @property
    def choices(self) -> dict:
        """The choices made on validation data, as arguments for a call that trains on all data without validation.

        Returns:
            A dict with `C`, `steps`, `runs` and `average_with_probe`.

        Example:

        >>> FineTuning(C=0.01, steps=48, average_with_probe=0.5).choices
        {'C': 0.01, 'steps': 48, 'runs': 1, 'average_with_probe': 0.5}
        """
        return {"C": self.C, "steps": self.steps, "runs": self.runs, "average_with_probe": self.average_with_probe}

    def __repr__(self):
        parts = [f"{phase.name} {phase.seconds:.1f} s" for phase in self.phases]
        parts += [f"best_epoch={self.best_epoch}"] + ([f"runs={self.runs}"] if self.runs != 1 else [])
        parts += [f"average_with_probe={self.average_with_probe:g}"] if self.average_with_probe else []
        parts += [
            f"{name}={values[self.best_epoch - 1]:.3f}"
            for name, values in self.history.items()
            if name.startswith("val_") and 0 < self.best_epoch <= len(values) and self._one_epoch
        ]
        parts += [f"stopped={self.stopped!r}"] if self.stopped else []
        return f"FineTuning({', '.join(parts)})"

    def __str__(self):
        end = self.kept + (f"; stopped: {self.stopped}" if self.stopped else "")
        return "\n".join([*map(str, self.phases), end])

    @property
    def kept(self) -> str:
        """A description of the weights that the model ended up with."""
        words = f"the weights of epoch {self.best_epoch}"
        if not self.best_epoch:
            words = "the weights from before fine-tuning"
        elif self.runs > 1:
            words = f"the mean weights of {self.runs} runs"
        if self.average_with_probe in (0, 1):
            return words
        start = self.average_with_probe
        return f"an average of {words} ({1 - start:.0%}) and the starting weights ({start:.0%})"

    @property
    def _one_epoch(self):
        return self.runs == 1 and not self.average_with_probe

    def as_dict(self) -> dict:
        """Return the report as a dict that can be stored as JSON."""
        return asdict(self)

    def restore(self, values: dict) -> None:
        """Restore a report that `as_dict` returned, even after a round trip through JSON."""
        phases = [Phase(**phase) for phase in values["phases"]]
        rates = values["learning_rates"]
        rates = None if rates is None else LearningRateTable(BlockRate(*row) for row in rates)
        vars(self).update({**values, "phases": phases, "learning_rates": rates})


class Progress:
    """Recorder that stores the progress of a call in `result`, a `FineTuning`, and reports the progress.

    Args:
        verbose: Whether to report to stderr.
        on_event: Function that is called with a dict for each event, or None.
    """

    def __init__(self, verbose=True, on_event: Callable[[dict], None] | None = None):
        self.result, self.verbose, self.on_event = FineTuning(), verbose, on_event

    def say(self, text):
        """Print a line to stderr if `verbose` is true."""
        if self.verbose:
            print(text, file=sys.stderr)

    @contextmanager
    def phase(self, name):
        """Yield a dict for the phase's details; time, record and report the phase if it ends without an exception."""
        details, start = {}, perf_counter()
        yield details
        phase = Phase(name, perf_counter() - start, details)
        self.result.phases.append(phase)
        self.say(phase)
        self._emit(phase=name, seconds=phase.seconds, **details)

    def each_epoch(self, run, epochs, steps):
        """Return a callback that records and reports each epoch of a run."""
        return _EpochReport(self, run, epochs, steps)

    def note_epoch(self, epoch, logs, **facts):
        """Add an epoch to the history, and report it."""
        for name, value in logs.items():
            self.result.history.setdefault(name, []).append(float(value))
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in logs.items())
        self.say(f"epoch {epoch}/{facts['epochs']}  {numbers}")
        self._emit(phase="fine-tune", epoch=epoch, **facts, **{name: float(value) for name, value in logs.items()})

    def _emit(self, **event):
        if self.on_event is not None:
            self.on_event(event)


class _EpochReport(keras.callbacks.Callback):
    """Callback that times each epoch and reports it to `Progress`."""

    def __init__(self, progress, run, epochs, steps):
        super().__init__()
        self.progress, self.facts = progress, {"run": run + 1, "epochs": epochs, "steps_per_epoch": steps}

    def on_epoch_begin(self, epoch, logs=None):
        self.start = perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = perf_counter() - self.start
        logs = dict(logs or {})
        logs.pop(PLAIN_LOSS, None)
        if (validated := logs.pop(f"val_{PLAIN_LOSS}", None)) is not None:
            logs["val_loss"] = validated  # the loss that selects the weights
        self.progress.note_epoch(epoch + 1, logs, **self.facts, learning_rate=rate, seconds=seconds)
