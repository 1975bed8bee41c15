"""Compile a model for fine-tuning: AdamW, rates that get smaller toward the input, warm-up and cosine decay."""

import keras

from tlkeras.models.recompile import strategy_scope
from tlkeras.optimizers.differential import differential_optimizer
from tlkeras.optimizers.table import learning_rate_table
from tlkeras.training.losses import Accuracy, PlainLoss, SmoothedCrossentropy


def warmup_cosine(peak, warmup, steps):
    """Return a schedule that rises linearly from 0 to the peak rate and then falls to 0 along a cosine.

    Args:
        peak: The highest learning rate.
        warmup: Fraction of the steps during which the rate rises, in [0, 1).
        steps: Total number of steps.

    Example:

    >>> rate = warmup_cosine(1.0, 0.5, 4)
    >>> [round(float(rate(step)), 2) for step in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    climb = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if climb else peak, max(1, steps - climb), warmup_target=peak if climb else None, warmup_steps=climb
    )


def compile_for_tuning(model, trainee, data, options, steps):
    """Compile the model to train, and build its optimizer.

    Args:
        model: The whole classifier, whose block map determines the rates.
        trainee: The model to train: `model` itself, its top, or another model with the same layers.
        data: The data of the call, as `tlkeras.training.steps.training_data.TrainingData`.
        options: The settings of the call, as `tlkeras.training.steps.options.Options`.
        steps: Number of training steps in one run.

    Returns:
        A table of each block's peak learning rate, from `tlkeras.learning_rate_table`.
    """
    head, depth = data.head, {"layer_decay": options.layer_decay}
    # Use a constant rate for the table of peak rates, since the schedule begins at 0.
    constant = differential_optimizer(model, keras.optimizers.AdamW(options.learning_rate), **depth)
    rates = learning_rate_table(model, constant)
    adamw = keras.optimizers.AdamW(
        warmup_cosine(options.learning_rate, options.warmup, steps),
        weight_decay=options.weight_decay,
        use_ema=options.ema_momentum is not None,
        ema_momentum=options.ema_momentum or 0.99,
    )
    weights = data.class_weight.tolist() if head.task == "multilabel" and data.class_weight is not None else None
    loss = SmoothedCrossentropy(head.task, options.label_smoothing, head.from_logits, weights)
    with strategy_scope(model):
        optimizer = differential_optimizer(model, adamw, **depth)
        metrics = [Accuracy(head.task, head.from_logits)]
        trainee.compile(optimizer, loss, metrics=metrics, weighted_metrics=[PlainLoss(loss)])
        trainee.optimizer.build(trainee.trainable_variables)  # otherwise, TensorFlow traces the step twice
    return rates
