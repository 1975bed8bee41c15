"""The strategy `finetune`: run `tlkeras.fine_tune`, measure the accuracy, then train again on all images."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import ceil
from time import perf_counter

import numpy as np

from tlkeras.augment.augmentation import augmentation
from tlkeras.backbones.classifier import image_classifier
from tlkeras.features.engines.compiled import quick_engine
from tlkeras.models.heads import with_features
from tlkeras.selection.budget import BATCH, Announcement, StepTimer, resized, views_kept, within_minutes
from tlkeras.selection.flips import average_over_flips
from tlkeras.selection.outcome import Measured, Trained
from tlkeras.training.fine_tuning import fine_tune
from tlkeras.training.steps.data import each_batch
from tlkeras.utils.progress import progress

#: Number of validation images from which their loss decides whether the weights are averaged with those of the probe.
#: With 500, the standard error of a difference in loss is about 0.02, less than half of what the average gains. With
#: fewer, chance would often choose the worse weights (docs/performance.md).
ENOUGH_TO_CHOOSE = 500


def train_by_fine_tuning(task):
    """Train a classifier with `tlkeras.fine_tune`: a linear probe first, then all layers.

    The accuracy is measured first. The C of the probe is chosen by cross-validation, the number of epochs is chosen on
    the validation images, and the accuracy is measured on the test images. With fewer than `ENOUGH_TO_CHOOSE`
    validation images, the weights are always averaged with those of the probe; with more, the validation loss decides.
    Then, if `task.refit`, a new model is trained on all images with these choices.

    Args:
        task: `tlkeras.selection.outcome.Task`.

    Returns:
        `Trained`, whose choices include those of `FineTuning.choices`.
    """
    start = perf_counter()
    plan = {"epochs": task.epochs, "blocks": None, "side": None}
    if task.minutes is not None:
        plan = within_minutes(task, partial(_step_seconds, task))
    task, blocks = replace(task, images=resized(task.images, plan["side"])), plan["blocks"]
    train, validation = task.images.train, task.images.validation
    options = {"epochs": plan["epochs"], "blocks": blocks}
    if len(validation) < ENOUGH_TO_CHOOSE:
        options["average_with_probe"] = 0.5
    model, result = _tuned(task, train, "choose", validation, **options)
    tuned = perf_counter()
    by = "test images" if "test" in task.images.given else "held-out images"
    answers, features = predicted_with_features(model, task.images.test, verbose=task.verbose)
    flipped = predicted(model, task.images.test, flips=task.flips) if task.flips else None
    task.report("measure", perf_counter() - tuned, images=len(answers))
    measured, learned = Measured(task.images.test, answers, by, features, flipped), train
    choices = {**result.choices, "epochs": len(result.history.get("loss", ())), "epoch": result.best_epoch}
    choices |= {"stopped": result.stopped, "blocks": blocks}
    seconds = {"fine-tune": tuned - start, "measure": perf_counter() - tuned}
    trained = Trained(model, measured, learned, choices, seconds)
    if task.calibrate:
        trained.calibration = Measured(validation, predicted(model, validation), "held-out images")
    return refitted(task, trained) if task.refit else trained


def refitted(task, trained):
    """Train a new model on all images, with the choices made for a measured model.

    The new model sees each image as often as the measured model did. Since there are more images, it trains for more
    steps.

    Args:
        task: `Task` of the measured model.
        trained: `Trained`, from `train_by_fine_tuning` without `refit`.

    Returns:
        `Trained` with the new model, and with the accuracy of the measured model.
    """
    start, learned = perf_counter(), task.learnable
    fixed = {name: trained.choices[name] for name in ("C", "runs", "average_with_probe", "blocks")}
    more = ceil(len(learned) / BATCH) / ceil(len(trained.learned) / BATCH)
    model, _ = _tuned(task, learned, "refit", steps=round(trained.choices["steps"] * more), **fixed)
    seconds = {**trained.seconds, "refit": perf_counter() - start}
    return replace(trained, model=model, learned=learned, seconds=seconds)


def _step_seconds(task, blocks):
    """Time a training step on several images, or on the trunk's outputs for these images if the run will cache them."""
    sample = task.images.train.take(np.arange(min(len(task.images.train), 4 * BATCH)))
    options = {"blocks": blocks, "probe": False, "verbose": False}
    if blocks is None or views_kept(task) is None:
        timer = StepTimer()
        fine_tune(_classifier(task), sample, epochs=2, callbacks=timer, cache=False, **options)
        return timer.seconds
    events = []  # a callback would run the trunk in each step
    fine_tune(_classifier(task), sample, epochs=3, cache=True, cached_views=1, on_event=events.append, **options)
    epochs = [event["seconds"] / event["steps_per_epoch"] for event in events if "epoch" in event]
    return min(epochs[1:])  # the first one compiles


def _classifier(task):
    """Build a new classifier."""
    images = task.images
    return image_classifier(
        task.backbone,
        images.class_names,
        task="multilabel" if images.train.multilabel else "multiclass",
        augmentation=None if task.domain is None else augmentation(task.domain, seed=task.seed),
        image_size=images.image_size,
    )


def _tuned(task, train, stage, validation_data=None, **options):
    """Fine-tune a new classifier, or load it from a checkpoint if the stage finished before the process was killed."""
    model, callbacks = _classifier(task), list(task.callbacks)
    if stage == "choose" and options["blocks"] is None:
        callbacks.append(Announcement(task))  # even if not verbose: a checkpoint counts callbacks

    def on_event(event):
        if task.on_event is not None:
            task.on_event({"stage": stage, **event})

    options |= {
        "class_weight": task.class_weight,
        "checkpoint": None if task.checkpoint is None else task.checkpoint / stage,
        "on_event": on_event,
        "callbacks": callbacks,
        "seed": task.seed,
        "verbose": task.verbose,
    }
    return model, fine_tune(model, train, validation_data, **options)


def predicted(model, split, batch_size=32, verbose=False, flips=()):
    """Return predictions for a split, averaged over flips; float32 of shape `(images, classes)`."""
    engine = quick_engine(model)
    return _answers(average_over_flips(engine, flips) if flips else engine, split, batch_size, verbose)


def predicted_with_features(model, split, batch_size=32, verbose=False):
    """Return predictions and head inputs for a split, float32 `(images, classes)` and `(images, features)`."""
    answers = _answers(quick_engine(with_features(model)), split, batch_size, verbose)
    return tuple(np.split(answers, [model.output_shape[-1]], axis=1))


def _answers(engine, split, batch_size, verbose):
    """Run an engine on all images with one thread per core, since each call runs on a single core."""
    batches, cores = split.batches(batch_size), os.cpu_count() or 1
    bar = progress(each_batch(batches), total=len(batches), description="measuring", unit="batch", verbose=verbose)
    with ThreadPoolExecutor(cores) as pool:
        rows = []
        for images, _ in bar:
            images = np.asarray(images)
            parts = np.array_split(images, min(cores, len(images)))
            rows += pool.map(engine, parts)
    return np.concatenate(rows)
