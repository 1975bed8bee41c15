"""`fine_tune`: a linear probe first, then gentle fine-tuning with rates that fall with depth."""

import math
from contextlib import ExitStack, closing, contextmanager
from operator import length_hint

import keras

from tlkeras.blocks import blocks as map_blocks
from tlkeras.errors import InputError
from tlkeras.freezing import unfreeze
from tlkeras.images.batches import ImageBatches
from tlkeras.optimizers import differential_optimizer, learning_rate_table
from tlkeras.recompile import strategy_scope
from tlkeras.training.best_weights import BestWeights
from tlkeras.training.cached_trunk import CachedTrunk, is_random
from tlkeras.training.checks import check_data, check_options, find_fault
from tlkeras.training.cut import cut
from tlkeras.training.data import are_rows, as_batches, class_weights, each_batch
from tlkeras.training.distributed import EvenBatches, even_batches, refuse_open_scope, replicas_of, trainee_of
from tlkeras.training.head import find_head, fit_head
from tlkeras.training.l2_sp import tied_to
from tlkeras.training.losses import SmoothedCrossentropy, accuracy, core_accuracy, core_loss
from tlkeras.training.progress import FineTuning, epoch_line, say_on_stderr, timed
from tlkeras.training.wise import WeightMean


def fine_tune(
    model,
    train,
    validation=None,
    *,
    epochs=4,
    batch_size=16,
    learning_rate=3e-4,
    decay=0.9,
    blocks=None,
    batchnorm="frozen",
    probe=True,
    warmup=0.1,
    weight_decay=0.01,
    label_smoothing=0.1,
    patience=5,
    mix=None,
    ema=None,
    l2_sp=0.0,
    wise="auto",
    class_weight=None,
    cache="auto",
    views=4,
    seed=0,
    callbacks=(),
    verbose=True,
):
    """Fine-tunes a pretrained classifier: a linear probe first, then all of it, gently (LP-FT).

    First the head is set to logistic regression on the frozen features, so that fine-tuning does not begin with the
    large, random gradients that distort what the backbone knows. Then the chosen blocks train with AdamW, a rate that
    falls with depth, and warm-up and cosine decay counted in steps. In the end the weights of the epoch with the lowest
    validation loss are averaged with those of the probe, and of the three the ones with the lowest loss stay. Ctrl-C
    after the probe ends the training as early stopping does; an exception on the way, from a callback say, passes
    through, but the best weights are back in place first.

    Args:
        model: A classifier with a head that can be recognised: functional or Sequential, ending in `Dense`. It is
            changed in place, and compiled in the end with core Keras parts, so it can be evaluated and saved; with
            plain SGD, so that the file holds the weights alone. To train on, compile it anew.
        train: A split of `load_images`, arrays `(images, labels)`, a `PyDataset`, `tf.data.Dataset` or `DataLoader`.
            Labels are class numbers or one-hot rows; rows of zeros and ones for a multi-label head.
        validation: The same, or `None`: then there is no early stopping, and the last weights stay.
        epochs: Epochs of fine-tuning. 0 stops after the probe.
        batch_size: Images a step, for what is not batched yet. Small, because few images should give many steps.
        learning_rate: Peak rate of the head and the top block, 3 to 30 times smaller than in training from scratch.
        decay: Factor on the rate from each block to the one below it, in (0, 1]; 1 for one rate.
        blocks: Which blocks train, as in `tlkeras.unfreeze`; `None` for all.
        batchnorm: `"frozen"` or `"train"`, as in `tlkeras.unfreeze`.
        probe: Whether to begin with the linear probe. Without it the head starts as it is.
        warmup: Share of the steps in which the rate climbs from 0.
        weight_decay: Of AdamW, decoupled.
        label_smoothing: Share of each label spread over all classes.
        patience: Epochs without a lower validation loss before training stops.
        mix: `None`, or a layer that blends images and their labels: `keras.layers.MixUp` or `keras.layers.CutMix`. For
            class numbers in arrays or splits. It pays from some 20,000 images on (BiT, Kolesnikov et al., 2020).
        ema: Momentum of a moving average of the weights that is kept in the end, such as 0.99; `None` for none.
        l2_sp: Strength of the penalty on the squared distance from the starting weights (Li et al., 2018).
        wise: Share in [0, 1] of the fine-tuned weights in a mean with those before (WiSE-FT, Wortsman et al., 2022);
            `None` for no mean. `"auto"`: after a probe 0.5, which keeps most of both, and on new images was better
            than either in all we measured (docs/performance.md); with validation data, only if its loss there is lower
            than that of the tuned weights and of the probe, else the better of these. Without a probe, no mean.
        class_weight: `None`, `"balanced"` (inverse to how often a class occurs) or a dict of class number to weight.
            Not for a multi-label head.
        cache: Whether the output of the frozen part is computed once and trained on many times: `"auto"` (where it
            pays and fits on the disk), `True` (where it fits) or `False`. Not where the first block trains, nor with
            `mix` or `callbacks`, nor where several devices share a batch; `True` is then told so on stderr.
        views: With `cache` and augmentation, how many random views of each image to keep.
        seed: Of the order of images and the probe's cross-validation.
        callbacks: Keras callbacks for the second phase, or one. With any, nothing is cached, so that they see `model`.
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
    check_options(locals())
    callbacks = [] if callbacks is None else keras.tree.flatten(callbacks)
    head = find_head(model)
    if blocks is not None:
        map_blocks(model).top(blocks)
    refuse_open_scope()
    say = say_on_stderr if verbose else (lambda text: None)
    result = FineTuning()
    replicas = replicas_of(model)
    in_order = as_batches(train, batch_size)
    batches = as_batches(train, batch_size, shuffle=True, seed=seed, mix=mix, classes=head.layer.units)
    held_out = None if validation is None else as_batches(validation, batch_size, name="validation")
    given = {"train": in_order} | ({} if held_out is None else {"validation": held_out})
    labels = {name: check_data(data, model, head, name) for name, data in given.items()}
    one_hot = are_rows(labels["train"])
    weight_of_class = class_weights(class_weight, in_order, head)
    if probe:
        with timed(result, "probe", say) as phase:
            phase["C"] = fit_head(model, even_batches(in_order, replicas), seed=seed, class_weight=weight_of_class)
    with _plain_in_the_end(model, head, one_hot, learning_rate), _interruptible(result), ExitStack() as stack:
        if epochs:
            unfreeze(model, blocks, batchnorm=batchnorm)
            trainee = trainee_of(model)
            if cache:
                obstacle = _obstacle_to_cache(mix, callbacks, replicas)
                trainee, batches, held_out = _cached(
                    model,
                    trainee,
                    in_order,
                    batches,
                    held_out,
                    cache,
                    epochs,
                    views,
                    seed,
                    result,
                    say,
                    stack,
                    obstacle,
                )
            batches, held_out = even_batches(batches, replicas), even_batches(held_out, replicas)
            schedule = _warmup_cosine(learning_rate, warmup, _steps(batches) * epochs)
            options = {"weight_decay": weight_decay, "use_ema": ema is not None, "ema_momentum": ema or 0.99}
            result.learning_rates = _rates(model, keras.optimizers.AdamW(learning_rate), decay)
            loss = SmoothedCrossentropy(head.task, label_smoothing, head.from_logits)
            with strategy_scope(model):
                optimizer = differential_optimizer(model, keras.optimizers.AdamW(schedule, **options), decay=decay)
                trainee.compile(optimizer, loss, metrics=[accuracy(head)])
                trainee.optimizer.build(trainee.trainable_variables)  # or TensorFlow traces the step twice
            mean = WeightMean(model)
            averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if ema is not None else []
            share = (0.5 if probe else None) if wise == "auto" else wise
            choose = wise == "auto" and share is not None and held_out is not None
            with timed(result, "fine-tune", say) as phase, tied_to(mean.trained, l2_sp):
                start, keeper = _fit(
                    trainee,
                    batches,
                    held_out,
                    epochs,
                    patience,
                    weight_of_class,
                    [*averaging, *callbacks],
                    say,
                    result,
                    explain=lambda: find_fault(given, head),
                    even_if_worse=choose,
                )
                phase["epochs"] = keeper.last_epoch
            if share is not None:
                seen = even_batches(in_order, replicas) if batchnorm == "train" else None
                with timed(result, "mean", say) as phase:
                    if choose:
                        result.wise = mean.put_best(share, lambda: _loss(trainee, held_out), start, keeper.best, seen)
                        result.best_epoch = result.best_epoch if result.wise else 0
                    else:
                        mean.put(share, seen)
                        result.wise = float(share)
                    phase["wise"] = result.wise
    if result.stopped:
        say(f"Stopped: {result.stopped}. The model has {result.kept}.")
    return result


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


def _fit(trainee, batches, held_out, epochs, patience, class_weight, callbacks, say, result, explain, even_if_worse):
    """Runs `fit`, leaves the best weights behind, whatever ends it; gives the loss at the start and `BestWeights`.

    `explain` raises if the data are the reason for a failure.
    """
    start = math.inf
    if held_out is not None:
        start = _loss(trainee, held_out)
        if math.isnan(start):
            explain()
            raise InputError(
                "The loss on the validation data is not a number before any fine-tuning: look for NaN in the "
                "model's weights."
            )
    keeper = BestWeights(None if held_out is None else "val_loss", patience, math.inf if even_if_worse else start)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: say(epoch_line(epoch, epochs, logs)))
    history = keras.callbacks.History()
    # Keras would shuffle our batches once more, by a state that `seed` does not set and workers do not share.
    shuffle = isinstance(batches, keras.utils.PyDataset) and not isinstance(
        batches, ImageBatches | CachedTrunk | EvenBatches
    )
    try:
        trainee.fit(
            batches,
            epochs=epochs,
            validation_data=held_out,
            class_weight=class_weight,
            shuffle=shuffle,
            callbacks=[*callbacks, keeper, history, report],
            verbose=0,
        )
    except KeyboardInterrupt:
        keeper.stopped = "interrupted"
    except Exception:
        if class_weight:  # TensorFlow fails to find the weight of a class that there is not
            explain()
        raise
    finally:
        keeper.restore()
    if keeper.stopped == "not a number":
        explain()
    result.history, result.best_epoch, result.stopped = history.history, keeper.best_epoch, keeper.stopped
    return start, keeper


def _loss(trainee, held_out):
    return trainee.evaluate(held_out, verbose=0, return_dict=True)["loss"]


def _obstacle_to_cache(mix, callbacks, replicas):
    if mix:
        return "images are mixed anew in each batch"
    if callbacks:
        return "callbacks are to see the whole model"
    return "several devices share a batch" if replicas > 1 else None


def _cached(model, trainee, in_order, batches, held_out, cache, epochs, views, seed, result, say, stack, obstacle):
    """What to train, and on what: the top of the model on what its frozen part gives, where that pays and fits."""
    parts, whole = None if obstacle else cut(model), (trainee, batches, held_out)
    if parts is None:
        if cache != "auto":
            say(f"No cache: {obstacle or 'nothing that is frozen can be cut off below what trains'}.")
        return whole
    trunk, top = parts
    size = getattr(batches, "size", None) or len(next(each_batch(batches))[0])
    random = is_random(trunk, next(each_batch(in_order))[0])
    views = views if random else 1
    if cache == "auto" and views >= epochs:
        say(f"No cache: {views} views of each image would cost more than {epochs} epochs.")
        return whole
    try:
        with timed(result, "cache", say) as phase, ExitStack() as opened:
            phase["shape"], phase["views"] = trunk.output_shape[1:], views
            drawn = {"views": views, "random": random, "refresh": views, "shuffle": True, "seed": seed}
            batches = opened.enter_context(closing(CachedTrunk(trunk, in_order, size=size, **drawn)))
            if held_out is not None:
                held_out = opened.enter_context(closing(CachedTrunk(trunk, held_out, size=size)))
            stack.enter_context(opened.pop_all())
    except OSError as error:
        say(f"No cache: {error.strerror}.")
        return whole
    return top, batches, held_out


def _warmup_cosine(peak, warmup, steps):
    climb = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if climb else peak, max(1, steps - climb), warmup_target=peak if climb else None, warmup_steps=climb
    )


def _steps(batches):
    """Steps an epoch; counted where the data does not say."""
    count = batches.num_batches if isinstance(batches, keras.utils.PyDataset) else length_hint(batches, -1)
    return count if count > 0 else sum(1 for _ in each_batch(batches))


def _rates(model, optimizer, decay):
    """The table of peak rates, before the schedule begins at 0."""
    model.compile(differential_optimizer(model, optimizer, decay=decay), "mse")
    return learning_rate_table(model)
