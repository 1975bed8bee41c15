"""Write a differential optimizer so that its file also opens where tlkeras is not installed.

A `.keras` file holds module, name and config of the optimizer's class. Keras first looks for a registered class of that
name, then imports the module. Without tlkeras both would fail, so two things are done here and nowhere else:

- The subclass of `keras.optimizers.AdamW` is called "optimizers.AdamW" of module "keras", and registered under that
  name. Where tlkeras is imported, Keras finds the subclass. Where it is not, Keras finds its own AdamW under the same
  name.
- Multipliers are kept in the config as `decay`, an argument of Keras 2. Every optimizer of Keras 3 accepts it, warns
  that it is ignored, and drops it.

So the model opens compiled with the plain optimizer and its state, and everything but the multipliers is there.
"""

import keras

#: The argument that Keras drops.
_DROPPED = "decay"


def pack(config: dict, state: dict) -> dict:
    """Put what a differential optimizer needs beside the config of its base class.

    Example:

    >>> unpack(pack({"learning_rate": 0.1}, {"multipliers": {"kernel": 0.5}}))
    {'learning_rate': 0.1, 'multipliers': {'kernel': 0.5}}
    """
    return {**config, _DROPPED: state}


def unpack(config: dict) -> dict:
    """Turn the result of `pack` into arguments of a differential optimizer."""
    rest = {name: value for name, value in config.items() if name != _DROPPED}
    return {**rest, **config[_DROPPED]}


def make_class(mixin: type, base: type, *, native: bool, module: str) -> type:
    """Make the subclass of `base` with `mixin`, and register it with Keras.

    Args:
        mixin: A class that precedes `base` among the bases.
        base: An optimizer class.
        native: Whether `base` is a class of Keras itself. The file of any other needs its own code, and may need
            tlkeras too.
        module: Name of the module that the class of a base that is not native belongs to.

    Returns:
        The class.
    """
    qualified = f"Differential{base.__name__}"
    if not native:
        cls = type(qualified, (mixin, base), {"__module__": module})
        return keras.saving.register_keras_serializable("tlkeras")(cls)
    name = f"optimizers.{base.__name__}"
    cls = type(name, (mixin, base), {"__module__": "keras", "__qualname__": qualified})
    keras.saving.get_custom_objects()[name] = cls
    return cls
