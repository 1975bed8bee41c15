"""Optimizers with the settings of another, also with those that its config leaves out."""

import keras


def unwrapped(optimizer):
    """The optimizer inside a `LossScaleOptimizer`; any other is itself.

    Example:

    >>> sgd = keras.optimizers.SGD(0.1)
    >>> unwrapped(keras.optimizers.LossScaleOptimizer(sgd)) is unwrapped(sgd) is sgd
    True
    """
    return getattr(optimizer, "inner_optimizer", optimizer)


def fresh_copy(optimizer, kind=None, **settings):
    """Copies an optimizer's settings, without its state.

    A schedule is handed on as it is, since one of the user's own class need not be registered with Keras, and so are
    the variables excluded from weight decay, which are not part of the config.

    Args:
        optimizer: A Keras optimizer. Of a `LossScaleOptimizer` the one inside is copied, too.
        kind: Class of the copy, of the inner one where there is one; by default the same.
        settings: What is to be otherwise in its config.

    Returns:
        An optimizer that is not built.

    Example:

    >>> fresh_copy(keras.optimizers.SGD(0.1, momentum=0.9), learning_rate=0.2).momentum
    0.9
    """
    config = optimizer.get_config()
    if hasattr(optimizer, "multipliers"):  # a differential optimizer, of whose `decay` the rest is state
        config["decay"] = {"multipliers": config["decay"]["multipliers"]}
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return type(optimizer)(**{**config, "inner_optimizer": fresh_copy(unwrapped(optimizer), kind, **settings)})
    rate = getattr(optimizer, "_learning_rate", None)
    if callable(rate):
        config["learning_rate"] = rate
    copy = (kind or type(optimizer)).from_config({**config, **settings})
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(optimizer, name):
            setattr(copy, name, getattr(optimizer, name))
    return copy
