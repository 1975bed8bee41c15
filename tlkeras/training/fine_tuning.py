"""`fine_tune`: a linear probe first, then gentle fine-tuning with rates that fall with depth."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import keras

from tlkeras.models.blocks import blocks as map_blocks
from tlkeras.models.freezing import unfreeze_top
from tlkeras.models.recompile import strategy_scope
from tlkeras.training.losses import core_accuracy, core_loss
from tlkeras.training.steps.cached_trunk import cached_top
from tlkeras.training.steps.checks import check_data, check_options, find_fault
from tlkeras.training.steps.data import are_rows, as_batches, class_weights
from tlkeras.training.steps.distributed import even_batches, refuse_open_scope, replicas_of, trainee_of
from tlkeras.training.steps.probe_head import find_head, fit_head
from tlkeras.training.steps.result import FineTuning, Progress
from tlkeras.training.steps.runs import tune


def fine_tune(
    model: keras.Model,
    train: Any,
    validation_data: Any = None,
    *,
    epochs: int = 4,
    batch_size: int = 16,
    learning_rate: float = 3e-4,
    layer_decay: float = 0.9,
    blocks: int | float | str | None = None,
    batchnorm: str = "frozen",
    probe: bool = True,
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
    verbose: bool = True,
) -> FineTuning:
    """Fine-tunes a pretrained classifier: a linear probe first, then all of it, gently (LP-FT).

    First the head is set to logistic regression on the frozen features, so that fine-tuning does not begin with the
    large, random gradients that distort what the backbone knows. Then the chosen blocks train with AdamW, a rate that
    falls with depth, and warm-up and cosine decay counted in steps. In the end the weights of the epoch with the lowest
    validation loss are averaged with those of the probe, and of the three the ones with the lowest loss stay. Ctrl-C
    after the probe ends the training as early stopping does; an exception on the way, from a callback say, passes
    through, but the best weights are back in place first.

    Args:
        model: A classifier with a head that can be recognized: functional or Sequential, ending in `Dense`. Dropout is
            a layer of it, as in `image_classifier(dropout=...)`. It is changed in place, and compiled in the end with
            core Keras parts, so it can be evaluated and saved; with plain SGD, so that the file holds the weights
            alone. To train on, compile it anew.
        train: A split of `load_images`, arrays `(images, labels)`, a `PyDataset`, `tf.data.Dataset` or `DataLoader`.
            Labels are class numbers or one-hot rows; rows of zeros and ones for a multi-label head.
        validation_data: The same, or `None`: then there is no early stopping, and the last weights stay.
        epochs: Epochs of fine-tuning. 0 stops after the probe.
        batch_size: Images a step, for what is not batched yet. Small, because few images should give many steps.
        learning_rate: Peak rate of the head and the top block, 3 to 30 times smaller than in training from scratch.
        layer_decay: Factor on the rate from each block to the one below it, in (0, 1]; 1 for one rate.
        blocks: Which blocks train, as in `tlkeras.unfreeze`; `None` for all.
        batchnorm: `"frozen"` or `"train"`, as in `tlkeras.unfreeze`.
        probe: Whether to begin with the linear probe. Without it the head starts as it is.
        warmup: Share of the steps in which the rate climbs from 0.
        weight_decay: Of AdamW, decoupled.
        label_smoothing: Share of each label spread over all classes.
        patience: Epochs without a lower validation loss before training stops.
        mix: `None`, or a layer that blends images and their labels: `keras.layers.MixUp` or `keras.layers.CutMix`. For
            class numbers in arrays or splits. It pays from some 20,000 images on (BiT, Kolesnikov et al., 2020).
        ema_momentum: Momentum of a moving average of the weights that is kept in the end, such as 0.99. `None` for no
            average.
        l2_sp: Strength of the penalty on the squared distance from the starting weights (Li et al., 2018).
        average_with_probe: Share in [0, 1] of the probe's weights in the final average with the fine-tuned weights
            (WiSE-FT, Wortsman et al., 2022). `None` for no average. `"auto"` averages half and half after a probe,
            which on new images was better than either in all we measured (docs/performance.md). With validation data,
            the average is kept only if its loss there is lower than that of the fine-tuned weights and of the probe.
            Without a probe `"auto"` averages nothing.
        runs: Number of fine-tuning runs from the same start, with other orders of images and other augmentation (not so
            on the views of a cached trunk). Their weights are averaged, and then `average_with_probe` is applied (model
            soups, Wortsman et al., 2022, https://arxiv.org/abs/2203.05482). With validation data, unless
            `average_with_probe` is a number, the run with the lowest loss stays alone if no average has a lower one.
            Two take twice the time of one, and over 13 splits were 0.015 ± 0.008 more accurate on test images, though
            not on drawings from elsewhere; three were no better than two (docs/performance.md).
        class_weight: `None`, `"balanced"` (inverse to how often a class occurs) or a dict of class number to weight.
            Not for a multi-label head.
        cache: Whether the output of the frozen part is computed once and trained on many times: `"auto"` (where it
            pays and fits on the disk), `True` (where it fits) or `False`. Not where the first block trains, nor with
            `mix` or `callbacks`, nor where several devices share a batch: `True` has that said on stderr.
        cached_views: Number of random views of each image to keep, with `cache` and augmentation.
        seed: Of the order of images and the probe's cross-validation.
        callbacks: Keras callbacks for the second phase, or one. With any, nothing is cached, so that they see `model`.
            What a `ModelCheckpoint` writes opens wherever tlkeras is imported.
        verbose: Whether to report on stderr, a line an epoch.

    Returns:
        `FineTuning`.

    Raises:
        InputError: The model has no such head, the data is empty, endless or of another kind or shape, images are not
            finite, labels do not fit the head (in a later batch of a stream, the best weights are back in place), an
            argument is out of range, or the call is inside a `strategy.scope()`: only the model is built there; see
            docs/distributed.md.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10")
    >>> model = tlkeras.image_classifier("efficientnet_lite0", classes=images.class_names)
    >>> result = tlkeras.fine_tune(model, images.train, images.validation, epochs=0, verbose=False)
    >>> [phase["name"] for phase in result.phases]
    ['probe']

    Reference: Kumar et al., 2022, https://arxiv.org/abs/2202.10054
    """
    callbacks = [callback for callback in keras.tree.flatten(callbacks) if callback is not None]
    options = SimpleNamespace(**locals())
    head, data = _checked(options)
    progress = Progress(verbose)
    result = progress.result
    if probe:
        with progress.phase("probe") as phase:
            phase["C"] = fit_head(model, data.in_order, seed=seed, class_weight=data.class_weight)
    with _plain_in_the_end(model, head, data.one_hot, learning_rate), _interruptible(result), ExitStack() as stack:
        if epochs:
            unfreeze_top(model, blocks, batchnorm=batchnorm)
            trainee, data = cached_top(model, data, options, progress, stack) or (trainee_of(model), data)
            tune(trainee, head, data, options, progress)
    if epochs:
        progress.say((f"Stopped: {result.stopped}. " if result.stopped else "") + f"The model has {result.kept}.")
    return result


@dataclass(frozen=True)
class _Data:
    """What a model is trained on, looked through and even among its replicas."""

    in_order: Any  # batches of training images
    shuffled: Any  # the same, in a new order each epoch, mixed if that is wanted
    held_out: Any  # batches of validation images, or None
    one_hot: bool
    class_weight: dict | None
    explain: Callable[[], None]  # raises if a later batch is the reason for a loss that is not a number


def _checked(options):
    """Finds the head, and makes batches of the data; whatever does not fit is refused before anything is changed."""
    check_options(vars(options))
    model = options.model
    head = find_head(model)
    if options.blocks is not None:
        map_blocks(model).top(options.blocks)
    refuse_open_scope()
    train, size = options.train, options.batch_size
    shuffled = as_batches(train, size, shuffle=True, seed=options.seed, mix=options.mix, classes=head.layer.units)
    given = {"train": as_batches(train, size)}
    if options.validation_data is not None:
        given["validation_data"] = as_batches(options.validation_data, size, name="validation_data")
    labels = {name: check_data(batches, model, head, name) for name, batches in given.items()}
    even = partial(even_batches, replicas=replicas_of(model))
    return head, _Data(
        in_order=even(given["train"]),
        shuffled=even(shuffled),
        held_out=even(given.get("validation_data")),
        one_hot=are_rows(labels["train"]),
        class_weight=class_weights(options.class_weight, given["train"], head),
        explain=lambda: find_fault(given, head),
    )


@contextmanager
def _plain_in_the_end(model, head, one_hot, learning_rate):
    """Compiles the model with core Keras parts, whatever happened to it, so that it can be evaluated and saved."""
    try:
        yield
    finally:
        with strategy_scope(model):
            # SGD keeps nothing for each weight: the moments of AdamW would treble the file, and nobody needs them.
            optimizer = keras.optimizers.SGD(learning_rate)
            model.compile(optimizer, core_loss(head, one_hot), metrics=[core_accuracy(head, one_hot)])
            # Keras builds the optimizer of a file that it opens, and warns where the file holds none of its variables.
            optimizer.build(model.trainable_variables)


@contextmanager
def _interruptible(result):
    """Takes Ctrl-C for the end of what comes after the probe, which stays."""
    try:
        yield
    except KeyboardInterrupt:
        result.stopped = "interrupted"
