"""Save a differential optimizer so that the model's file can be loaded without tlkeras.

A `.keras` file contains the module, name and config of the optimizer's class. Keras first looks for a registered class
with that name, then imports the module. Without tlkeras, both lookups would fail. Only this module deals with that
problem, in two ways:

- A subclass is named after its base class: that of `keras.optimizers.AdamW` is called "optimizers.AdamW" in the module
  "keras", and registered under that name. If tlkeras is imported, Keras finds the subclass. Otherwise, the same name
  leads Keras to its own AdamW.
- The multipliers are stored in the config as `decay`, an argument from Keras 2. Every Keras 3 optimizer accepts it,
  warns that it is ignored, and drops it.

As a result, the loaded model is compiled with the plain optimizer and its state; only the multipliers are lost.
"""

import keras

#: The argument that Keras drops.
_DROPPED = "decay"


def pack(config: dict, state: dict) -> dict:
    """Add the state of a differential optimizer to the config of its base class.

    Example:

    >>> unpack(pack({"learning_rate": 0.1}, {"multipliers": {"kernel": 0.5}}))
    {'learning_rate': 0.1, 'multipliers': {'kernel': 0.5}}
    """
    return {**config, _DROPPED: state}


def unpack(config: dict) -> dict:
    """Convert the result of `pack` to arguments of a differential optimizer."""
    rest = {name: value for name, value in config.items() if name != _DROPPED}
    return {**rest, **config[_DROPPED]}


def make_class(mixin: type, base: type, *, native: bool, module: str) -> type:
    """Create the subclass of `base` with `mixin`, and register it with Keras.

    Args:
        mixin: A mixin class; it comes before `base` in the list of base classes.
        base: An optimizer class.
        native: Whether `base` belongs to Keras itself. Loading a file with an optimizer that is not part of Keras
            requires the code of its class, and may require tlkeras too.
        module: Name of the module of the new class, if `base` is not native.

    Returns:
        The new class.
    """
    qualified = f"Differential{base.__name__}"
    if not native:
        cls = type(qualified, (mixin, base), {"__module__": module})
        return keras.saving.register_keras_serializable("tlkeras")(cls)
    name = f"optimizers.{base.__name__}"
    cls = type(name, (mixin, base), {"__module__": "keras", "__qualname__": qualified})
    keras.saving.get_custom_objects()[name] = cls
    return cls
