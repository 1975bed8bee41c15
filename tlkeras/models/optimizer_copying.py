"""Copy an optimizer's settings, including those that its config omits."""

import keras


def unwrapped(optimizer):
    """Return the optimizer inside a `LossScaleOptimizer`; return any other optimizer unchanged.

    Example:

    >>> sgd = keras.optimizers.SGD(0.1)
    >>> unwrapped(keras.optimizers.LossScaleOptimizer(sgd)) is unwrapped(sgd) is sgd
    True
    """
    return getattr(optimizer, "inner_optimizer", optimizer)


def fresh_copy(optimizer, kind=None, **settings):
    """Copy an optimizer with all of its settings and none of its state.

    The copy uses the same schedule object, since a user's schedule class might not be registered with Keras. It also
    excludes the same variables from weight decay, although they are not part of the config.

    Args:
        optimizer: A Keras optimizer. If it is a `LossScaleOptimizer`, the optimizer inside it is copied too.
        kind: Class of the copy; for a `LossScaleOptimizer`, class of the optimizer inside it. Defaults to the class of
            the original.
        settings: Config values to override, such as `learning_rate=0.1`.

    Returns:
        An unbuilt optimizer.

    Example:

    >>> fresh_copy(keras.optimizers.SGD(0.1, momentum=0.9), learning_rate=0.2).momentum
    0.9
    """
    config = getattr(optimizer, "get_settings", optimizer.get_config)()  # a differential one has `get_settings`
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return type(optimizer)(**{**config, "inner_optimizer": fresh_copy(unwrapped(optimizer), kind, **settings)})
    rate = getattr(optimizer, "_learning_rate", None)
    if callable(rate):
        config["learning_rate"] = rate
    copy = (kind or type(optimizer)).from_config({**config, **settings})
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern", "variable_keys"):
        if hasattr(optimizer, name):
            setattr(copy, name, getattr(optimizer, name))
    return copy
