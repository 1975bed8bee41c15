"""Fine-tune a classifier: first a linear probe, then gentle training at rates that get smaller toward the input."""

import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from tlkeras.models.blocks import blocks as map_blocks
from tlkeras.models.freezing import unfreeze_top
from tlkeras.models.recompile import strategy_scope
from tlkeras.training.losses import core_accuracy, core_loss
from tlkeras.training.steps.cached_trunk import cached_top
from tlkeras.training.steps.checkpoint import Checkpoint, assign_all, call_of, values_as_list
from tlkeras.training.steps.distributed import has_several_workers, refuse_open_scope, trainee_of
from tlkeras.training.steps.options import Options, as_callbacks
from tlkeras.training.steps.probe_head import classifier_head, fit_head
from tlkeras.training.steps.random_state import random_state, restore_random_state
from tlkeras.training.steps.result import FineTuning, Progress
from tlkeras.training.steps.training_data import training_data
from tlkeras.training.steps.tuning import Runs
from tlkeras.utils.validation import invalid


def fine_tune(
    model: keras.Model,
    train: Any,
    validation_data: Any = None,
    *,
    plan: Any = None,
    epochs: int = 4,
    steps: int | None = None,
    batch_size: int = 16,
    learning_rate: float = 3e-4,
    layer_decay: float = 0.9,
    blocks: int | float | str | None = None,
    batchnorm: str = "frozen",
    probe: bool = True,
    C: float | Sequence[float] | None = None,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    label_smoothing: float = 0.1,
    patience: int = 5,
    mix: keras.Layer | None = None,
    ema_momentum: float | None = None,
    l2_sp: float = 0.0,
    average_with_probe: float | str | None = "auto",
    runs: int = 1,
    class_weight: dict | str | None = None,
    cache: bool | str = "auto",
    cached_views: int = 4,
    seed: int = 0,
    callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] = (),
    checkpoint: str | os.PathLike | None = None,
    on_event: Callable[[dict], None] | None = None,
    verbose: bool = True,
) -> FineTuning:
    """Fine-tune a pretrained classifier: first a linear probe, then the whole model, gently (LP-FT).

    First, the head is replaced with a logistic regression on the frozen features, so that fine-tuning does not begin
    with large, random gradients, which would distort the pretrained features. Then the chosen blocks train with AdamW,
    at rates that get smaller toward the input and follow a warm-up and a cosine decay, both counted in steps. Finally,
    the weights of the epoch with the lowest validation loss are averaged with those of the probe. The model keeps the
    fine-tuned weights, the probe's weights or their average, whichever has the lowest validation loss. Pressing Ctrl-C
    after the probe ends training in the same way as early stopping. Any other exception, such as one from a callback,
    is raised after the best weights have been restored.

    To train the final model on all images, first call the function with validation data, which determines the C of the
    probe, the number of steps and the averaging. Then call it again on all images, without validation data:
    `fine_tune(fresh, everything, **result.choices)` reuses these choices.

    Args:
        model: A functional or Sequential classifier that ends in a `Dense` layer. Dropout must be one of its layers, as
            in `image_classifier(dropout=...)`. KerasHub's classifiers are accepted, including their preprocessors. The
            model is changed in place. At the end, it is compiled with core Keras components, so it can be evaluated and
            saved. Its optimizer is then plain SGD, so the file contains only the weights. To continue training, compile
            it again.
        train: A split of `load_images`, arrays `(images, labels)`, a `PyDataset`, a `tf.data.Dataset` or a
            `DataLoader`. Labels are class indices or one-hot rows. For a multi-label head (sigmoid), labels are rows of
            targets from 0 to 1, which the probe rounds at one half.
        validation_data: Validation data in any form that `train` accepts, or `None` to train without early stopping and
            keep the weights of the last step.
        plan: A plan from `tlkeras.advise`. It sets `epochs`, `learning_rate`, `layer_decay` and `blocks`, so do not
            pass these arguments as well. Defaults to none.
        epochs: Number of epochs of fine-tuning. 0 stops after the probe.
        steps: Number of training steps in each run, instead of `epochs`. The schedule ends after the last step, even in
            the middle of an epoch. Defaults to the number of steps in `epochs`.
        batch_size: Number of images per step, for data that is not batched yet. The default is small, so that even a
            small data set provides many steps.
        learning_rate: Peak learning rate of the head. The default is 3 to 30 times smaller than common rates for
            training from scratch.
        layer_decay: Factor in (0, 1] that multiplies the rate from each block to the one below. 1 gives all blocks the
            same rate.
        blocks: Blocks to train: a number counted from the head, a fraction of the blocks, or the name of the lowest
            block. Defaults to all blocks.
        batchnorm: `"frozen"` or `"train"`, as in `tlkeras.unfreeze`.
        probe: Whether to begin with the linear probe. Without it, training starts with the current head.
        C: Inverse of the probe's L2 penalty. For a multi-label head, it can be a list with one value per label. By
            default, it is chosen by cross-validation on the training images.
        warmup: Fraction of the steps during which the rate rises from 0.
        weight_decay: Weight decay of AdamW, decoupled from the gradients.
        label_smoothing: Fraction of each label that is spread over all classes.
        patience: Number of epochs without a lower validation loss before training stops.
        mix: A layer that blends images and their labels: `keras.layers.MixUp` or `keras.layers.CutMix`. The data must
            be arrays or splits whose labels are class indices. Blending starts to pay off at about 20,000 images (BiT,
            Kolesnikov et al., 2020). Defaults to none.
        ema_momentum: Momentum, such as 0.99, of a moving average of the weights; the average replaces the weights at
            the end. `None` for no moving average.
        l2_sp: Strength of a penalty on the squared distance of the weights from their starting values (Li et al.,
            2018). Weight penalties are not part of the validation loss by which weights are selected.
        average_with_probe: Fraction in [0, 1] of the final average that comes from the probe; the rest comes from the
            fine-tuned weights (WiSE-FT, Wortsman et al., 2022). `None` for no average. After a probe, `"auto"` averages
            both equally, which was better on new images than either alone in all our measurements
            (docs/performance.md). With validation data, the average is kept only if its validation loss is lower than
            that of the fine-tuned weights and that of the probe. Without a probe, `"auto"` does not average.
        runs: Number of fine-tuning runs from the same starting weights, with different image orders and augmentation
            (but the same augmented views with a cached trunk). The weights of the runs are averaged, and then
            `average_with_probe` is applied (model soups, Wortsman et al., 2022, https://arxiv.org/abs/2203.05482). With
            validation data, unless `average_with_probe` is a number, the weights of the run with the lowest validation
            loss are kept if no average has a lower loss. Two runs take twice as long as one. Over 13 splits, two runs
            were 0.015 ± 0.008 more accurate on test images, but not on drawings from a different source; three runs
            were no better than two (docs/performance.md).
        class_weight: Class weights for imbalanced data: `"balanced"` (inversely proportional to the frequency of each
            class), or a dict that maps class indices to weights, with 1 for missing classes. For a multi-label head, a
            dict sets only the weights of positive targets; `"balanced"` weights both positive and negative targets.
            Defaults to none.
        cache: Whether to compute the output of the frozen part once and train on it many times: `"auto"` (if caching
            saves time and the output fits on disk), `True` (if it fits) or `False`. Caching is not possible if the
            first block trains, with `mix` or `callbacks`, for a model with its own training step, or if several devices
            share a batch. With `True`, the reason is then reported to stderr.
        cached_views: Number of random views of each image to cache, if images are augmented.
        seed: Seed for the order of images, the cached views and the probe's cross-validation.
        callbacks: One or more Keras callbacks for the training after the probe. With callbacks, nothing is cached, so
            that they see `model` itself. They must not set the learning rate, which follows a schedule. Files from a
            `ModelCheckpoint` can be loaded wherever tlkeras is imported.
        checkpoint: Folder where the state of training is saved at the beginning of each epoch. Even if the process is
            killed, repeating the call resumes training and ends with exactly the weights and metrics of an
            uninterrupted run on the same machine, provided that the order of the data depends only on the epoch. This
            condition holds for arrays, splits, and a `PyDataset` or `tf.data.Dataset` that is not shuffled. If training
            has already finished, the call returns the saved result immediately; remove the folder to train again.
            Resuming recomputes a cached trunk and restores callbacks' numbers and strings. Defaults to no checkpoint.
        on_event: Function that is called with a dict after each phase and each epoch. The dict contains `phase`,
            `seconds`, and values that depend on the phase (`C`, `run`, `epoch`, `epochs`, `loss`, `accuracy`,
            `val_loss`, `val_accuracy`, `learning_rate`, ...). Defaults to none.
        verbose: Whether to report to stderr, with one line per epoch.

    Returns:
        A `FineTuning` report. Its `choices` are the arguments for a second call that trains on all images.

    Raises:
        InputError: The model does not end in a `Dense` layer, or is compiled for regression; the data is empty,
            endless, or of an unsupported kind or shape; images are not finite; labels do not fit the head (if they are
            in a later batch of a stream, the best weights are restored first); an argument is out of range;
            `checkpoint` contains the state of a call with different arguments; or the function is called inside a
            `strategy.scope()`, where only the model may be built (see docs/distributed.md).

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", per_class=5, image_size=96)
    >>> model = tlkeras.image_classifier("efficientnet_lite0", classes=images.class_names, image_size=96)
    >>> result = tlkeras.fine_tune(model, images.train, images.validation, epochs=0, verbose=False)
    >>> [phase.name for phase in result.phases], sorted(result.choices)
    (['probe'], ['C', 'average_with_probe', 'runs', 'steps'])

    Reference: Kumar et al., 2022, https://arxiv.org/abs/2202.10054
    """
    options = Options(
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        layer_decay=layer_decay,
        blocks=blocks,
        batchnorm=batchnorm,
        probe=probe,
        C=C,
        warmup=warmup,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        patience=patience,
        mix=mix,
        ema_momentum=ema_momentum,
        l2_sp=l2_sp,
        average_with_probe=average_with_probe,
        runs=runs,
        class_weight=class_weight,
        cache=cache,
        cached_views=cached_views,
        seed=seed,
        callbacks=as_callbacks(callbacks),
    )
    options = options if plan is None else options.with_plan(plan, fine_tune)
    call = _Call(model, train, validation_data, options, checkpoint, Progress(verbose, on_event))
    return call.run()


class _Call:
    """One call to `fine_tune`, which checks all its arguments before it changes anything."""

    def __init__(self, model, train, validation_data, options, checkpoint, progress):
        self.model, self.options, self.progress = model, options, progress
        self.result = progress.result
        self.head = classifier_head(model)
        if options.blocks is not None:
            map_blocks(model).top(options.blocks)
        refuse_open_scope()
        self.data = training_data(model, self.head, train, validation_data, options)
        if checkpoint is not None and has_several_workers(model):
            raise invalid(
                "checkpoint",
                checkpoint,
                "be None when training on multiple workers",
                "The workers would overwrite each other's files.",
            )
        self.checkpoint = Checkpoint(checkpoint, call_of(model, self.data, options))

    def run(self):
        """Fit the probe, fine-tune, and keep the best weights."""
        if self._restore("done"):
            self._compile_plainly()
            return self.result
        if not self._restore("start"):
            self._fit_probe()
            self._save("start")
        if self.options.trains:
            with self._compiled_plainly_in_the_end(), self._ended_by_ctrl_c():
                self._tune()
            stopped = f"Stopped: {self.result.stopped}. " if self.result.stopped else ""
            self.progress.say(f"{stopped}The model now has {self.result.kept}.")
        else:
            self._compile_plainly()
        if self.result.stopped != "interrupted":
            self._save("done")
        return self.result

    def _fit_probe(self):
        if not self.options.probe:
            return
        with self.progress.phase("probe") as details:
            details["C"] = self.result.C = fit_head(
                self.model,
                self.data.in_order,
                C=self.options.C,
                seed=self.options.seed,
                class_weight=self.data.class_weight,
            )

    def _tune(self):
        unfreeze_top(self.model, self.options.blocks, batchnorm=self.options.batchnorm, argument="blocks")
        cached = cached_top(self.model, self.data, self.options, self.progress)
        trainee, data = cached or (trainee_of(self.model), self.data)
        try:
            Runs(self.model, trainee, data, self.options, self.progress, self.checkpoint).tune()
        finally:
            data.close()

    def _save(self, name):
        if self.checkpoint:
            notes = {"result": self.result.as_dict(), "random": random_state()}
            self.checkpoint.save(name, values_as_list(self.model.variables), notes)

    def _restore(self, name):
        """Restore a state that this call saved before it was killed; return whether there was one."""
        saved = self.checkpoint.load(name)
        if saved is None:
            return False
        arrays, notes = saved
        assign_all(self.model.variables, arrays)
        self.result.restore(notes["result"])
        restore_random_state(notes["random"])
        return True

    @contextmanager
    def _ended_by_ctrl_c(self):
        """Let Ctrl-C end training after the probe without an exception."""
        try:
            yield
        except KeyboardInterrupt:
            self.result.stopped = "interrupted"

    @contextmanager
    def _compiled_plainly_in_the_end(self):
        """Compile the model with core Keras components at the end of a `with` block, even after an exception."""
        try:
            yield
        finally:
            self._compile_plainly()

    def _compile_plainly(self):
        """Compile the model with core Keras components, so it can be evaluated, and loaded without tlkeras."""
        one_hot = self.data.one_hot
        with strategy_scope(self.model):
            # SGD has no state per weight: the moments of AdamW would triple the size of the file for no benefit.
            optimizer = keras.optimizers.SGD(self.options.learning_rate)
            self.model.compile(optimizer, core_loss(self.head, one_hot), metrics=[core_accuracy(self.head, one_hot)])
            # When Keras loads a file, it builds the optimizer, and warns if the file has none of its variables.
            self.model.optimizer.build(self.model.trainable_variables)  # it is wrapped under mixed_float16
