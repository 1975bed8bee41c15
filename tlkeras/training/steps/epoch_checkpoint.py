"""Save the state of a run at the beginning of each epoch, and resume from there."""

import inspect

import keras

from tlkeras.training.steps.checkpoint import assign_all, values_as_list
from tlkeras.training.steps.random_state import random_state, restore_random_state


class EpochCheckpoint(keras.callbacks.Callback):
    """Callback that sets the order of images in each epoch, stops after the last step, and saves a checkpoint.

    Args:
        runs: All runs of the call, as `tlkeras.training.steps.tuning.Runs`.
        run: Index of the run, starting at 0.
        best: The `BestWeights` callback of the run.
    """

    def __init__(self, runs, run, best):
        super().__init__()
        self.runs, self.run, self.best = runs, run, best
        saved = runs.checkpoint.load("epoch")
        self._saved = saved if saved and saved[1]["run"] == run else None
        self.initial_epoch = self._saved[1]["epoch"] if self._saved else 0
        self._steps = self.initial_epoch * runs.steps_per_epoch
        if self._saved:
            best.saved = self._best_state()

    def on_epoch_begin(self, epoch, logs=None):
        if self._saved:
            self._restore()
        elif self.runs.checkpoint:
            self._save(epoch)
        self.runs.start_epoch(self.run, epoch)

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1
        if self._steps >= self.runs.steps:
            self.model.stop_training = True

    @property
    def _variables(self):
        """All variables on which the rest of the run depends."""
        return [*self.runs.model.variables, *self.runs.trainee.optimizer.variables]

    def _save(self, epoch):
        state = self.best.state
        best_weights = state.pop("best_weights") or []
        notes = {
            "run": self.run,
            "epoch": epoch,
            "best": {**state, "best": None if state["best"] is None else float(state["best"])},
            "result": self.runs.result.as_dict(),
            "random": random_state(),
            "counters": [counters(callback) for callback in self.runs.options.callbacks],
        }
        self.runs.checkpoint.save("epoch", [*values_as_list(self._variables), *best_weights], notes)

    def _restore(self):
        (arrays, notes), self._saved = self._saved, None
        assign_all(self._variables, arrays[: len(self._variables)])
        self.runs.result.restore(notes["result"])
        restore_random_state(notes["random"])
        for callback, values in zip(self.runs.options.callbacks, notes["counters"], strict=True):
            vars(callback).update(values)

    def _best_state(self):
        arrays, notes = self._saved
        return {**notes["best"], "best_weights": arrays[len(self._variables) :] or None}


def counters(callback):
    """Return the plain attributes of a callback, except its settings, which may be different in a later call."""
    settings = {name for kind in type(callback).__mro__ for name in inspect.signature(kind.__init__).parameters}
    plain = {name: value for name, value in vars(callback).items() if isinstance(value, int | float | str | None)}
    return {name: value for name, value in plain.items() if name not in settings}
