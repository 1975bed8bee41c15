"""The second phase of `fine_tune`: runs of training from one start, and what is kept of them."""

import math
from dataclasses import dataclass, replace
from operator import length_hint

import keras

from tlkeras.data.batches import ImageBatches
from tlkeras.errors import InputError
from tlkeras.models.recompile import strategy_scope
from tlkeras.optimizers.differential import differential_optimizer
from tlkeras.optimizers.table import learning_rate_table
from tlkeras.training.losses import Accuracy, SmoothedCrossentropy
from tlkeras.training.steps.averaging import put_mean, put_values, share_of, values_of
from tlkeras.training.steps.best_weights import BestWeights
from tlkeras.training.steps.cached_trunk import CachedTrunk
from tlkeras.training.steps.data import each_batch
from tlkeras.training.steps.distributed import EvenBatches
from tlkeras.training.steps.l2_sp import tied_to


def tune(trainee, head, data, options, progress):
    """Fine-tunes a model, and leaves it with the best weights there were, whatever ends it.

    Args:
        trainee: `keras.Model` that trains: all of `options.model`, or the top of it.
        head: `tlkeras.training.steps.probe_head.Head` of it.
        data: What it trains on: batches that are `shuffled`, those `in_order` of whole images, and `held_out` or None.
        options: Has the arguments of `tlkeras.fine_tune` as attributes.
        progress: `tlkeras.training.steps.result.Progress`; its `result` is filled in.
    """
    _compile(trainee, head, data, options, progress)
    model, result, share = options.model, progress.result, share_of(options.average_with_probe, options.probe)
    choose = options.average_with_probe == "auto" and share is not None and data.held_out is not None
    start = values_of(model.weights)
    candidates = [_Candidate(start, math.inf, epoch=0, average_with_probe=1.0)]
    try:
        with tied_to([(weight, start[id(weight)]) for weight in model.trainable_weights], options.l2_sp):
            _train(candidates, trainee, data, options, progress, even_if_worse=choose)
            if len(candidates) > 1:
                _average(candidates, trainee, data, options, progress, share, choose)
    finally:
        kept = min(reversed(candidates), key=lambda candidate: candidate.loss)  # of equals the last
        put_values(model.weights, kept.values)
        result.best_epoch, result.runs, result.average_with_probe = kept.epoch, kept.runs, kept.average_with_probe


@dataclass(frozen=True)
class _Candidate:
    """Weights that the model may have in the end."""

    values: dict  # of its variables, see `values_of`
    loss: float  # on validation data; infinite where it is not known
    epoch: int  # whose weights they are, counted through all runs; 0 for those before; of a mean the best that is in it
    runs: int = 1  # of how many runs they are the mean
    average_with_probe: float = 0.0  # share of the weights before in a mean with them


def _compile(trainee, head, data, options, progress):
    """Compiles for fine-tuning, with rates that fall with depth, and notes these."""
    model, rate, layer_decay = options.model, options.learning_rate, options.layer_decay
    # The peak rates, since the schedule begins at 0.
    peak = differential_optimizer(model, keras.optimizers.AdamW(rate), layer_decay=layer_decay)
    progress.result.learning_rates = learning_rate_table(model, peak)
    adamw = keras.optimizers.AdamW(
        _warmup_cosine(rate, options.warmup, _steps(data.shuffled) * options.epochs),
        weight_decay=options.weight_decay,
        use_ema=options.ema_momentum is not None,
        ema_momentum=options.ema_momentum or 0.99,
    )
    loss = SmoothedCrossentropy(head.task, options.label_smoothing, head.from_logits)
    with strategy_scope(model):
        trainee.compile(
            differential_optimizer(model, adamw, layer_decay=layer_decay),
            loss,
            metrics=[Accuracy(head.task, head.from_logits)],
        )
        trainee.optimizer.build(trainee.trainable_variables)  # or TensorFlow traces the step twice


def _train(candidates, trainee, data, options, progress, even_if_worse):
    """Trains as often as is wanted, each time from the weights before, and adds what came of it to the candidates."""
    model, optimizer, result = options.model, trainee.optimizer, progress.result
    fresh = values_of(optimizer.variables) if options.runs > 1 else {}  # two thirds of all that there is to copy
    for run in range(options.runs):
        with progress.phase("fine-tune") as phase:
            if run == 0:
                candidates[0] = start = replace(candidates[0], loss=_loss_before(trainee, data))
            else:
                put_values(model.weights, start.values)
                put_values(optimizer.variables, fresh)
            past = len(result.history.get("loss", ()))
            keeper = BestWeights(
                None if data.held_out is None else "val_loss",
                options.patience,
                math.inf if even_if_worse else start.loss,
            )
            try:
                _fit(trainee, data, options, progress, keeper)
            finally:
                if keeper.best_epoch:
                    candidates.append(_Candidate(values_of(model.weights), keeper.best, past + keeper.best_epoch))
            phase["epochs"] = keeper.last_epoch
        result.stopped = keeper.stopped
        if keeper.stopped in ("not a number", "interrupted"):
            break


def _average(candidates, trainee, data, options, progress, share, choose):
    """Adds the mean of all runs to the candidates, and the mean of that and the weights before.

    Args:
        candidates: The weights before, then those of each run.
        trainee: As in `tune`, like the next three.
        data: Likewise.
        options: Likewise.
        progress: Likewise.
        share: Of the weights before in the mean with them; None for no such mean.
        choose: Whether the loss on validation data decides if this mean stays; else it does.
    """
    model, (start, *runs) = options.model, candidates
    batches = data.in_order if options.batchnorm == "train" else None
    if len(runs) > 1:
        with progress.phase("average runs") as phase:
            phase["runs"] = len(runs)
            put_mean(model, [run.values for run in runs], batches=batches)
            best = min(reversed(runs), key=lambda run: run.loss)
            loss = _loss(trainee, data) if choose or share is None else math.inf
            candidates.append(_Candidate(values_of(model.weights), loss, best.epoch, runs=len(runs)))
    if share is not None:
        with progress.phase("average") as phase:
            phase["average_with_probe"] = share = float(share)
            put_mean(model, [start.values, candidates[-1].values], [share, 1 - share], batches)
            loss = _loss(trainee, data) if choose else -math.inf
            candidates.append(
                replace(candidates[-1], values=values_of(model.weights), loss=loss, average_with_probe=share)
            )


def _loss_before(trainee, data):
    loss = _loss(trainee, data)
    if data.held_out is not None and loss == math.inf:
        data.explain()
        raise InputError(
            "The loss on the validation data is not a finite number before any fine-tuning: look for NaN in the "
            "model's weights."
        )
    return loss


def _loss(trainee, data):
    """On validation data; infinite without, and where it is not a number."""
    if data.held_out is None:
        return math.inf
    loss = trainee.evaluate(data.held_out, verbose=0, return_dict=True)["loss"]
    return math.inf if math.isnan(loss) else loss


def _fit(trainee, data, options, progress, keeper):
    """Runs `fit` and leaves the weights that `keeper`, a `BestWeights`, found best, whatever ends it."""
    history = keras.callbacks.History()
    averaging = [] if options.ema_momentum is None else [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
    # Keras would shuffle our batches once more, by a state that `seed` does not set and workers do not share.
    ours = ImageBatches | CachedTrunk | EvenBatches
    try:
        trainee.fit(
            data.shuffled,
            epochs=options.epochs,
            validation_data=data.held_out,
            class_weight=data.class_weight,
            shuffle=isinstance(data.shuffled, keras.utils.PyDataset) and not isinstance(data.shuffled, ours),
            callbacks=[*averaging, *options.callbacks, keeper, history, progress.each_epoch(options.epochs)],
            verbose=0,
        )
    except KeyboardInterrupt:
        keeper.stopped = "interrupted"
    except Exception:
        if data.class_weight:  # TensorFlow fails to find the weight of a class that there is not
            data.explain()
        raise
    finally:
        keeper.restore()
    if keeper.stopped == "not a number":
        data.explain()
    for name, values in history.history.items():
        progress.result.history.setdefault(name, []).extend(values)


def _warmup_cosine(peak, warmup, steps):
    climb = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if climb else peak, max(1, steps - climb), warmup_target=peak if climb else None, warmup_steps=climb
    )


def _steps(batches):
    """Steps an epoch; counted where the data does not say."""
    count = batches.num_batches if isinstance(batches, keras.utils.PyDataset) else length_hint(batches, -1)
    return count if count > 0 else sum(1 for _ in each_batch(batches))
