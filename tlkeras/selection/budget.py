"""The time that fine-tuning takes: estimated from a few steps, announced, and kept within a limit."""

import json
import sys
from math import ceil
from time import perf_counter

import keras

from tlkeras.utils.files import file_written_whole

#: Images per step, as `fine_tune` takes by default.
BATCH = 16

#: Blocks below the head to train where all of them take too long; the output of the rest is computed once.
FEWER_BLOCKS = (3, 1)


class StepTimer(keras.callbacks.Callback):
    """Time the steps of a training.

    Attributes:
        seconds: Time of the fastest step but the first, which compiles; None before the second has ended.
    """

    def __init__(self):
        super().__init__()
        self.seconds, self._start, self._compiled = None, None, False

    def on_train_batch_begin(self, batch, logs=None):
        """Start the clock."""
        self._start = perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Note the time that a step took."""
        taken = perf_counter() - self._start
        if self._compiled:
            self.seconds = taken if self.seconds is None else min(self.seconds, taken)
        self._compiled = True


class Announcement(StepTimer):
    """Say on stderr, after a few steps, how long the training will take, if that is more than a minute.

    Args:
        task: `tlkeras.selection.outcome.Task`.
    """

    def __init__(self, task):
        super().__init__()
        self.task, self.said = task, False

    def on_train_batch_end(self, batch, logs=None):
        """Announce the time after the fourth step."""
        super().on_train_batch_end(batch, logs)
        if batch == 3 and self.seconds and self.task.verbose and not self.said:
            self.said, minutes = True, minutes_for(self.task, self.seconds, self.task.epochs)
            if minutes > 1:
                text = f"Fine-tuning takes about {minutes:.0f} minutes ({self.seconds:.2f} s per step)"
                print(f"{text}; --minutes limits it.", file=sys.stderr)


def minutes_for(task, step_seconds, epochs):
    """Estimate how long a strategy fine-tunes.

    Args:
        task: `Task`.
        step_seconds: Time of a training step, in seconds.
        epochs: Number of epochs.

    Returns:
        Minutes: the steps, and a forward pass (a third of a step) of all images for the probe and of the held-out
        images after each epoch; twice the steps if the model is refitted.
    """
    images, times = task.images, 2 if task.refit else 1
    steps = ceil(len(images.train) / BATCH) * epochs * times
    passes = len(images.train) * times + len(images.validation) * (epochs + 2) + len(images.test)
    return (steps + passes / BATCH / 3) * step_seconds / 60


def within_minutes(task, time_step):
    """Choose epochs and blocks so that fine-tuning takes at most `task.minutes`.

    All blocks with two epochs or more come first; then the top blocks alone, whose trunk is computed once, with as many
    epochs as fit. If nothing fits, the quickest is chosen. A choice that was made before the process was killed is
    kept.

    Args:
        task: `Task` with `minutes`.
        time_step: Function from `blocks` (None for all) to the seconds of a step.

    Returns:
        Dict of arguments for `tlkeras.fine_tune`: `epochs` and `blocks`.
    """
    kept = None if task.checkpoint is None else task.checkpoint / "plan.json"
    if kept is not None and kept.exists():
        return json.loads(kept.read_text("utf-8"))
    for blocks in (None, *FEWER_BLOCKS):
        seconds, least = time_step(blocks), min(2, task.epochs) if blocks is None else min(1, task.epochs)
        epochs = next(
            (e for e in range(task.epochs, least - 1, -1) if minutes_for(task, seconds, e) <= task.minutes), None
        )
        if epochs is not None:
            break
    plan = {"epochs": least if epochs is None else epochs, "blocks": blocks}
    minutes = minutes_for(task, seconds, plan["epochs"])
    if task.verbose:
        trained = "all blocks train" if blocks is None else f"the top {blocks} blocks train"
        print(f"Plan: about {minutes:.1f} minutes: {plan['epochs']} epochs, {trained}.", file=sys.stderr)
    if task.on_event is not None:
        task.on_event({"phase": "plan", "estimated_minutes": minutes, "seconds_per_step": seconds, **plan})
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with file_written_whole(kept) as part:
            part.write_text(json.dumps(plan), "utf-8")
    return plan
