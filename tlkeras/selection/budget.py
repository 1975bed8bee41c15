"""The time that fine-tuning takes: estimated from a few steps, announced, and kept within a limit."""

import json
import sys
from dataclasses import dataclass, replace
from math import ceil
from time import perf_counter

import keras
import numpy as np

from tlkeras.backbones.catalog import listed_info
from tlkeras.utils.files import file_written_whole

#: Images per step, as `fine_tune` takes by default.
BATCH = 16

#: Random views of each image that `fine_tune` keeps by default, where images are augmented and the trunk is frozen.
VIEWS = 4

#: Blocks below the head to train where all of them take too long; the output of the rest is computed once.
FEWER_BLOCKS = (3, 1)

#: Sides of smaller images, as shares of the given one, where even one epoch of the top block takes too long. They come
#: last, since details that are lost cost more accuracy than blocks that stay frozen (docs/performance.md).
SMALLER_IMAGES = (0.75, 0.5)


@dataclass(frozen=True)
class Pace:
    """How fast a model trains.

    Attributes:
        step: Seconds per training step.
        image: Seconds of a forward pass through the whole network, per image.
        views: Number of views of each image whose trunk output is computed beforehand and trained on; None where the
            trunk is part of each step.
    """

    step: float
    image: float
    views: int | None = None


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
            self.said, minutes = True, minutes_for(self.task, full_pace(self.seconds), self.task.epochs)
            if minutes > 1:
                text = f"Fine-tuning takes about {minutes:.0f} minutes ({self.seconds:.2f} s per step)"
                print(f"{text}; --minutes limits it.", file=sys.stderr)


def full_pace(step_seconds):
    """Return the pace of training with the whole network in each step; a forward pass takes a third of a step."""
    return Pace(step_seconds, step_seconds / BATCH / 3)


def minutes_for(task, pace, epochs):
    """Estimate how long a strategy fine-tunes.

    Args:
        task: `Task`.
        pace: `Pace`.
        epochs: Number of epochs.

    Returns:
        Minutes: the steps, and forward passes of all images for the probe, of the held-out images after each epoch and
        of the test images; twice the steps if the model is refitted. Where outputs of the trunk are kept, they take
        one pass per view, and the held-out images one in all.
    """
    images, times = task.images, 2 if task.refit else 1
    steps = ceil(len(images.train) / BATCH) * epochs * times
    per_image, held_out = 1, epochs + 2
    if pace.views is not None:
        redrawn = (epochs - 1) // pace.views if pace.views > 1 else 0  # the oldest view each time
        per_image += min(epochs, pace.views + redrawn)
        held_out = held_out if epochs <= pace.views else 1
    passes = len(images.train) * times * per_image + len(images.validation) * held_out + len(images.test)
    return (steps * pace.step + passes * pace.image) / 60


def views_kept(task):
    """Return how many views' trunk outputs are kept if only the top blocks train; None where callbacks prevent it."""
    if task.callbacks:
        return None
    return 1 if task.domain is None else VIEWS


def within_minutes(task, time_step):
    """Choose epochs and blocks so that fine-tuning takes at most `task.minutes`.

    All blocks with two epochs or more come first; then the top blocks alone, whose trunk is computed once, with as many
    epochs as fit; then the top block on smaller images, if the task allows any. If nothing fits, the quickest is
    chosen. A choice that was made before the process was killed is kept.

    Args:
        task: `Task` with `minutes`.
        time_step: Function from `blocks` (None for all) to the seconds of a step, without the trunk where its output
            is kept.

    Returns:
        Dict: `epochs` and `blocks`, arguments of `tlkeras.fine_tune`, and `side` in pixels that images are resized to;
        None for the size that they have.
    """
    kept = None if task.checkpoint is None else task.checkpoint / "plan.json"
    if kept is not None and kept.exists():
        return json.loads(kept.read_text("utf-8"))
    for option, pace in _options(task, time_step):
        blocks, side = option
        least = min(2 if blocks is None else 1, task.epochs)
        epochs = next(
            (e for e in range(task.epochs, least - 1, -1) if minutes_for(task, pace, e) <= task.minutes), None
        )
        if epochs is not None:
            break
    plan = {"epochs": least if epochs is None else epochs, "blocks": blocks, "side": side}
    minutes = minutes_for(task, pace, plan["epochs"])
    if task.verbose:
        trained = "all blocks train" if blocks is None else f"the top {blocks} blocks train"
        sized = "" if side is None else f", images of {side} x {side} pixels"
        print(f"Plan: about {minutes:.1f} minutes: {plan['epochs']} epochs, {trained}{sized}.", file=sys.stderr)
    if task.on_event is not None:
        task.on_event({"phase": "plan", "estimated_minutes": minutes, "seconds_per_step": pace.step, **plan})
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with file_written_whole(kept) as part:
            part.write_text(json.dumps(plan), "utf-8")
    return plan


def _options(task, time_step):
    """Yield `(blocks, side)` and the pace of each way to train, the most accurate first; steps are timed on the way."""
    pace = full_pace(time_step(None))
    yield (None, None), pace
    for blocks in FEWER_BLOCKS:
        pace = replace(pace, step=time_step(blocks), views=views_kept(task))
        yield (blocks, None), pace
    for side in task.smaller_sides:
        share = side**2 / np.prod(task.images.image_size)
        yield (blocks, side), replace(pace, step=share * pace.step, image=share * pace.image)


def smaller_sides(backbone, side):
    """List the sides, in pixels, that images may be resized to where fine-tuning takes too long, the largest first.

    Args:
        backbone: Name of the backbone. Those that cut images into patches, or have weights per size, keep their size.
        side: Side that images would have.

    Example:

    >>> smaller_sides("efficientnet_lite0", 224), smaller_sides("efficientnet_lite0", 32)
    ((160, 128), ())
    """
    info = listed_info(backbone)
    if info is None or info.prefix_tokens is not None or info.weights_sizes:
        return ()
    sides = [32 * round(side * share / 32) for share in SMALLER_IMAGES]  # 32 is the stride of most networks
    return tuple(one for one in sides if max(32, info.minimum_size) <= one < side)


def resized(images, side):
    """Return the same images, to be resized to another side when they are read.

    Args:
        images: `ImageSplits`.
        side: Side in pixels, or None for what they have.
    """
    if side is None:
        return images
    parts = ("train", "validation", "test")
    splits = {part: replace(getattr(images, part), image_size=(side, side)) for part in parts}
    return replace(images, image_size=(side, side), **splits)
