"""Set the `trainable` flags of leaf layers, and find flags that saving and loading would change."""

from collections.abc import Iterator

import keras

from tlkeras.models.layer_tree import descendants, own_weights, sublayers


def lost_in_a_file(layer: keras.Layer) -> Iterator[str]:
    """Yield the names of layers whose frozen or trainable state would not survive saving and loading."""
    if type(layer).__module__.startswith("keras.src.models"):
        for part in sublayers(layer):  # each one is saved with its own config
            yield from lost_in_a_file(part)
    elif sublayers(layer):
        flags = list(_flags(layer))
        if not all(flags) and _flags_in_a_file(layer) not in (flags, None):
            yield layer.name


def _flags_in_a_file(layer: keras.Layer) -> list[bool] | None:
    """Return the flags that a layer has after it is rebuilt from its config, as in `load_model`; None if that fails."""
    with keras.StatelessScope(initialize_variables=False):  # weights are not allocated
        try:
            copy = type(layer).from_config(layer.get_config())
            if not copy.built and (shapes := layer.get_build_config()):
                copy.build_from_config(shapes)
        except (TypeError, ValueError, NotImplementedError):  # a class that cannot be saved
            return None
    return list(_flags(copy))


def _flags(layer: keras.Layer) -> Iterator[bool]:
    """Yield the flag of each leaf inside a layer, and of each weight owned directly by a layer with sublayers."""
    for part in descendants(layer):
        if sublayers(part):
            yield from (weight.trainable for weight in part._trainable_variables)
        elif own_weights(part):
            yield part.trainable


def differs_from_its_weights(layer: keras.Layer) -> bool:
    """Check whether a leaf has weights whose flags differ from the layer's own flag, which is the only one saved."""
    lora = getattr(layer, "lora_enabled", False)
    return not sublayers(layer) and not lora and any(w.trainable != layer.trainable for w in layer._trainable_variables)


def set_flags(layer: keras.Layer, training: set[int], weights: set[int]) -> None:
    """Within a layer, make exactly the given leaves and weights trainable.

    A weight may train even though its layer's flag is off: the scale of a BatchNormalization in inference mode, or the
    bias next to a frozen kernel. A container is trainable if anything in it trains, since Keras would otherwise train
    nothing inside it. Outer layers are set before inner ones, since setting a container's flag sets every flag inside
    it.

    Args:
        layer: A layer or model.
        training: The ids (from `id()`) of the layers whose flags should be on.
        weights: The ids of the weights that should train.
    """
    inner = sublayers(layer)
    on = _trains(layer, training, weights) if inner else id(layer) in training
    layer.trainable = on or not layer.weights
    for weight in layer._trainable_variables:
        weight.trainable = id(weight) in weights
    if getattr(layer, "lora_enabled", False):  # its flag would unfreeze the kernel that the adapter replaces
        kernel = layer._embeddings if isinstance(layer, keras.layers.Embedding) else layer._kernel
        kernel.trainable = False
    for part in inner:
        set_flags(part, training, weights)


def _trains(layer: keras.Layer, training: set[int], weights: set[int]) -> bool:
    own = id(layer) in training or any(id(weight) in weights for weight in layer._trainable_variables)
    return own or any(_trains(part, training, weights) for part in sublayers(layer))
