"""Unfreeze a model from the top down within one call to `fit`; training can resume even if the process is killed."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.blocks import blocks
from tlkeras.models.freezing import unfreeze_top
from tlkeras.models.optimizer_copying import unwrapped
from tlkeras.models.recompile import recompile, strategy_scope
from tlkeras.optimizers.differential import differential_optimizer
from tlkeras.optimizers.differential_classes import Differential
from tlkeras.training.steps.checkpoint import assign_all, read_arrays, values_as_list, write_arrays
from tlkeras.training.steps.epoch_checkpoint import counters
from tlkeras.utils.validation import check_choice, check_integer, check_number, invalid

#: Parts of the names of metrics that grow as the model improves, for `mode="auto"`.
_GROWING = ("acc", "auc", "precision", "recall", "f1", "iou", "dice", "kappa", "r2")


class GradualUnfreezing(keras.callbacks.Callback):
    """Callback that trains only the head at first, and then unfreezes the blocks below it from the top down.

    This is the gradual unfreezing of ULMFiT (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146): the new head
    settles before its gradients reach the pretrained weights. Blocks are unfrozen at the beginning of epochs inside one
    call to `fit`, so schedules, early stopping and other callbacks continue undisturbed. Weights that already train
    keep their optimizer slots. Newly unfrozen weights start as in a new optimizer, with their own step count, since
    otherwise Adam's first updates to them would be 3 to 6 times too large. For this purpose, the model's optimizer is
    replaced by a differential optimizer of the same family with the same settings, so `model.optimizer` is a new
    object. Its multipliers are all 1 if the original optimizer had none.

    With `backup`, each epoch begins by writing the weights, the optimizer, the phase, the trainable variables and the
    random state of the layers to one file. If you run the same program again, `fit` continues from this file and ends
    with exactly the result of an uninterrupted run, provided that each epoch's data depends only on the epoch's number
    (`shuffle=False`). The file gets its final name only when it is complete, so a valid file exists even if the process
    is killed. If the disk is full, you get a warning and training continues. `fit` removes the file when it ends.
    `keras.callbacks.BackupAndRestore` cannot do this: it loads the optimizer state before the trainable variables are
    known, and if the process is killed after the first of its two files is written, the files are inconsistent. The
    counts of other callbacks are saved only if you pass these callbacks as `callbacks`. A `.keras` file from
    `ModelCheckpoint` also contains the trainable flags and the optimizer. To continue from such a file, load it and
    call `fit` with `initial_epoch`.

    Args:
        schedule: Dict that maps epoch numbers (starting at 0) to the blocks that train from that epoch on: a number of
            blocks below the head, a fraction of these blocks, the name of the lowest block or layer to train, or None
            for all. Before the first entry, only the head trains.
        on_plateau: Instead of a schedule, the number of blocks to unfreeze each time `monitor` has stopped improving.
        monitor: Name of the logged metric that `on_plateau` watches.
        mode: `"min"` if lower values of `monitor` are better, `"max"` if higher values are, or `"auto"` to decide by
            the name of `monitor`.
        patience: Number of epochs without improvement before blocks are unfrozen.
        min_delta: Smallest change that counts as an improvement, as in `keras.callbacks.ReduceLROnPlateau`.
        batchnorm: `"frozen"` keeps BatchNormalization in unfrozen blocks unchanged; `"train"` trains it.
        parameters: Weights that train in the unfrozen blocks: `"all"`, `"norm"` or `"bias"`, as in `tlkeras.unfreeze`.
        backup: Path of the backup file. Defaults to no backup.
        callbacks: Callbacks that are also passed to `fit` and keep counts, such as `ReduceLROnPlateau`. The backup
            contains their plain attributes (numbers, strings), but not their settings.

    Raises:
        InputError: Both or neither of `schedule` and `on_plateau` are given, or an argument is out of range. At the
            beginning of `fit`: the model lacks one of the blocks in `schedule`, or the backup was made by a different
            model or run or cannot be written. At the end of an epoch: `monitor` is not logged.

    Example:

    >>> import keras, numpy as np, tlkeras
    >>> layers = keras.layers
    >>> model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dense(8), layers.Dense(2)])
    >>> model.compile("adam", "mse")
    >>> unfreeze = tlkeras.GradualUnfreezing({1: 1, 2: None})
    >>> history = model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=3, callbacks=[unfreeze], verbose=0)
    >>> len(model.trainable_variables)
    6
    """

    def __init__(
        self,
        schedule: dict[int, int | float | str | None] | None = None,
        *,
        on_plateau: int | None = None,
        monitor: str = "val_loss",
        mode: str = "auto",
        patience: int = 2,
        min_delta: float = 1e-4,
        batchnorm: str = "frozen",
        parameters: str = "all",
        backup: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        super().__init__()
        if (schedule is None) == (on_plateau is None):
            raise InputError(
                f"Exactly one of `schedule` and `on_plateau` must be given. Received: schedule={schedule!r}, "
                f"on_plateau={on_plateau!r}. For example, pass schedule={{2: 1, 4: None}} or on_plateau=1."
            )
        if schedule is not None:
            if not isinstance(schedule, dict):
                raise invalid("schedule", schedule, "be a dict that maps epochs to the blocks that train from then on")
            for epoch in schedule:
                check_integer("schedule", epoch, 0, advice="The keys are epochs, counted from 0.")
        if on_plateau is not None:
            check_integer("on_plateau", on_plateau, 1)
        check_choice("mode", mode, ("auto", "min", "max"))
        check_choice("batchnorm", batchnorm, ("frozen", "train"))
        check_choice("parameters", parameters, ("all", "norm", "bias"))
        if not isinstance(monitor, str):
            raise invalid("monitor", monitor, "be the name of a logged metric")
        check_integer("patience", patience, 0)
        check_number("min_delta", min_delta, "[0, inf)")
        self.schedule = schedule
        self.on_plateau = on_plateau
        self.monitor = monitor
        self.mode = mode
        self.patience = patience
        self.min_delta = min_delta
        self.batchnorm = batchnorm
        self.parameters = parameters
        self.backup = None if backup is None else Path(backup)
        if self.backup is not None and self.backup.is_dir():
            raise invalid("backup", backup, "be the path of a file", "It is a folder.")
        self.callbacks = keras.tree.flatten(callbacks)
        if wrong := [given for given in self.callbacks if not isinstance(given, keras.callbacks.Callback)]:
            raise invalid("callbacks", wrong[0], "be Keras callbacks")

    def on_train_begin(self, logs: dict | None = None) -> None:
        found = blocks(self.model)
        for selection in (self.schedule or {}).values():
            if selection is not None:
                found.top(selection)
        self._deepest = sum(block.role != "head" for block in found)
        self._plateau = {"unfrozen": 0, "best": None, "wait": 0}
        self._counters = []
        optimizer = unwrapped(self.model.optimizer)
        if not isinstance(optimizer, Differential):
            recompile(self.model, differential_optimizer(self.model, self.model.optimizer))
        if self.backup is not None and self.backup.exists():
            self._restore()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.model._initial_epoch = None  # otherwise, it would also apply to the next `fit`
        for callback, values in zip(self.callbacks, self._counters, strict=False):
            vars(callback).update(values)  # not earlier, since each callback resets them when training begins
        self._counters = []
        self._unfreeze(epoch)
        if not self.model.optimizer.built:
            with strategy_scope(self.model):
                self.model.optimizer.build(self.model.trainable_variables)  # otherwise, TensorFlow traces twice
        if self.backup is not None:
            self._save(epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.on_plateau is None:
            return
        if self.monitor not in (logs or {}):
            raise InputError(
                f"GradualUnfreezing monitors {self.monitor!r}, which is not in the logs {sorted(logs or {})}. Pass "
                "one of these as `monitor`, or pass validation data to `fit`."
            )
        value, state = float(logs[self.monitor]), self._plateau
        if state["best"] is None or self._gain(value, state["best"]) > self.min_delta:
            state.update(best=value, wait=0)
            return
        state["wait"] += 1
        if state["wait"] >= self.patience:
            state.update(wait=0, unfrozen=min(state["unfrozen"] + self.on_plateau, self._deepest))

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.backup is not None:
            self.backup.unlink(missing_ok=True)

    def _unfreeze(self, epoch):
        unfreeze_top(self.model, self._selection(epoch), batchnorm=self.batchnorm, parameters=self.parameters)

    def _selection(self, epoch):
        if self.schedule is None:
            return self._plateau["unfrozen"]
        begun = [start for start in self.schedule if start <= epoch]
        return self.schedule[max(begun)] if begun else 0

    def _gain(self, value, best):
        growing = self.mode == "max" or (self.mode == "auto" and any(part in self.monitor for part in _GROWING))
        return value - best if growing else best - value

    def _variables(self):
        """Return all variables that further training depends on, including seeds for dropout and augmentation."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def _trainable(self):
        trainable = {id(variable) for variable in self.model.trainable_variables}
        return [id(variable) in trainable for variable in self.model.variables]

    def _save(self, epoch):
        optimizer = unwrapped(self.model.optimizer)
        notes = {
            "epoch": epoch,
            "plateau": self._plateau,
            "trainable": self._trainable(),
            # By position, since unnamed layers get new numbers when the model is built again.
            "starts": [optimizer.start_of(variable) for variable in self.model.variables],
            "counters": [counters(callback) for callback in self.callbacks],
        }
        arrays = values_as_list(self._variables())
        try:
            write_arrays(self.backup, arrays, notes)
        except OSError as error:
            if not self.backup.exists():
                raise InputError(f"The backup {str(self.backup)!r} cannot be written: {error.strerror}.") from error
            warn(
                f"The backup {str(self.backup)!r} of epoch {epoch} could not be written ({error.strerror}); training "
                "continues, and the previous backup is still valid."
            )

    def _restore(self):
        arrays, notes = read_arrays(self.backup)
        self._plateau, self._counters = notes["plateau"], notes.get("counters", [])
        optimizer = unwrapped(self.model.optimizer)
        starts = zip(self.model.variables, notes["starts"], strict=False)
        optimizer.starts.update({optimizer.key_of(variable): start for variable, start in starts if start})
        self._unfreeze(notes["epoch"])
        recompile(self.model)  # an optimizer also fixes the step counts when it is built
        variables = self._variables()
        shapes = [tuple(variable.shape) for variable in variables]
        if notes["trainable"] != self._trainable() or shapes != [array.shape for array in arrays]:
            raise InputError(
                f"The backup {str(self.backup)!r} belongs to a different model, optimizer or schedule. Remove it to "
                "start over."
            )
        assign_all(variables, arrays)
        self.model._initial_epoch = notes["epoch"]
