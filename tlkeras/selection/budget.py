"""Estimate the duration of fine-tuning from a few steps, announce it, and keep it within a limit."""

import json
import sys
from dataclasses import dataclass, replace
from math import ceil
from time import perf_counter

import keras
import numpy as np

from tlkeras.backbones.catalog import listed_info
from tlkeras.utils.files import file_written_whole

#: Images per step, the default of `fine_tune`.
BATCH = 16

#: Default number of random views of each image that `fine_tune` caches if images are augmented and the trunk is frozen.
VIEWS = 4

#: Numbers of blocks below the head to train if training all blocks takes too long; the others run only once.
FEWER_BLOCKS = (3, 1)

#: Sides of smaller images, as shares of the given side, for when even one epoch of the top block takes too long. They
#: are the last resort, since lost details cost more accuracy than frozen blocks (docs/performance.md).
SMALLER_IMAGES = (0.75, 0.5)


@dataclass(frozen=True)
class Pace:
    """The training speed of a model.

    Attributes:
        step: Seconds per training step.
        image: Seconds per image for a forward pass through the whole network.
        views: Number of views of each image for which the trunk output is computed before training; None if each step
            runs the trunk.
    """

    step: float
    image: float
    views: int | None = None


class StepTimer(keras.callbacks.Callback):
    """Time the steps of a training run.

    Attributes:
        seconds: Duration of the fastest step, excluding the first step, which includes compilation; None before the
            second step ends.
    """

    def __init__(self):
        super().__init__()
        self.seconds, self._start, self._compiled = None, None, False

    def on_train_batch_begin(self, batch, logs=None):
        """Start the clock."""
        self._start = perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Record the duration of a step."""
        taken = perf_counter() - self._start
        if self._compiled:
            self.seconds = taken if self.seconds is None else min(self.seconds, taken)
        self._compiled = True


class Announcement(StepTimer):
    """Timer that, after four steps, prints to stderr how long training will take, if that is more than a minute.

    Args:
        task: `tlkeras.selection.outcome.Task`.
    """

    def __init__(self, task):
        super().__init__()
        self.task, self.said = task, False

    def on_train_batch_end(self, batch, logs=None):
        """Announce the duration after the fourth step."""
        super().on_train_batch_end(batch, logs)
        if batch == 3 and self.seconds and self.task.verbose and not self.said:
            self.said, minutes = True, minutes_for(self.task, full_pace(self.seconds), self.task.epochs)
            if minutes > 1:
                text = f"Fine-tuning takes about {minutes:.0f} minutes ({self.seconds:.2f} s per step)"
                print(f"{text}. To limit the time, use --minutes.", file=sys.stderr)


def full_pace(step_seconds):
    """Return the pace of training the whole network; a forward pass takes a third of a step."""
    return Pace(step_seconds, step_seconds / BATCH / 3)


def minutes_for(task, pace, epochs):
    """Estimate the duration of fine-tuning.

    Args:
        task: `Task` to estimate.
        pace: `Pace` of the model.
        epochs: Number of epochs.

    Returns:
        Minutes for the training steps and for the forward passes: over all images for the probe, over the held-out
        images after each epoch, and over the test images. If the model is refitted, the steps and the probe for all
        images are added. If outputs of the trunk are cached, computing them takes one pass per view, and the held-out
        images take one pass in total.
    """
    images = task.images
    trained = [len(images.train), *([len(task.learnable)] if task.refit else [])]
    steps = sum(ceil(count / BATCH) for count in trained) * epochs
    per_image, held_out = 1, epochs + 2
    if pace.views is not None:
        redrawn = (epochs - 1) // pace.views if pace.views > 1 else 0  # the oldest view in each epoch
        per_image += min(epochs, pace.views + redrawn)
        held_out = held_out if epochs <= pace.views else 1
    passes = sum(trained) * per_image + len(images.validation) * held_out + len(images.test)
    return (steps * pace.step + passes * pace.image) / 60


def views_kept(task):
    """Return the number of views whose trunk outputs are cached if only the top blocks train; None with callbacks."""
    if task.callbacks:
        return None
    return 1 if task.domain is None else VIEWS


def within_minutes(task, time_step):
    """Choose epochs and blocks so that fine-tuning takes at most `task.minutes`.

    The first option is to train all blocks for at least two epochs. The second is to train the top blocks alone for as
    many epochs as time allows, so that the trunk runs only once. The third is to train the top block on smaller images,
    if the task allows it. If nothing fits, the fastest option is chosen. If the process was killed and resumed, the
    choice made before is kept.

    Args:
        task: `Task` with `minutes`.
        time_step: Function that takes `blocks` (None for all) and returns the seconds per step, without the trunk if
            its output is cached.

    Returns:
        Dict of `epochs` and `blocks`, arguments of `tlkeras.fine_tune`, and `side`, the side length in pixels to which
        images are resized, or None to keep their size.
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
        print(f"Plan: about {minutes:.1f} minutes, {plan['epochs']} epochs, {trained}{sized}.", file=sys.stderr)
    if task.on_event is not None:
        task.on_event({"phase": "plan", "estimated_minutes": minutes, "seconds_per_step": pace.step, **plan})
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with file_written_whole(kept) as part:
            part.write_text(json.dumps(plan), "utf-8")
    return plan


def _options(task, time_step):
    """Yield `(blocks, side)` and the pace of each option, the most accurate first, timing steps only as needed."""
    pace = full_pace(time_step(None))
    yield (None, None), pace
    for blocks in FEWER_BLOCKS:
        pace = replace(pace, step=time_step(blocks), views=views_kept(task))
        yield (blocks, None), pace
    for side in task.smaller_sides:
        share = side**2 / np.prod(task.images.image_size)
        yield (blocks, side), replace(pace, step=share * pace.step, image=share * pace.image)


def smaller_sides(backbone, side):
    """List the side lengths, in pixels, that images may be resized to if fine-tuning takes too long, largest first.

    Args:
        backbone: Name of the backbone. For backbones that split images into patches or have size-specific weights, the
            result is empty.
        side: Original side length of the images, in pixels.

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
    """Return the same images, set to be resized to a different size when they are read.

    Args:
        images: `ImageSplits` to resize.
        side: Side length in pixels, or None to keep the size of the images.
    """
    if side is None:
        return images
    parts = ("train", "validation", "test")
    splits = {part: replace(getattr(images, part), image_size=(side, side)) for part in parts}
    return replace(images, image_size=(side, side), **splits)
