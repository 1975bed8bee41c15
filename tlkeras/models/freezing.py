"""Freeze and unfreeze blocks, so that the next `fit` leaves frozen weights unchanged and trains all others."""

from collections.abc import Sequence

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.block_map import BlockMap
from tlkeras.models.blocks import blocks
from tlkeras.models.flags import differs_from_its_weights, lost_in_a_file, set_flags
from tlkeras.models.layer_tree import descendants, is_batchnorm, is_bias, is_norm
from tlkeras.models.recompile import is_stale, recompile, sharing
from tlkeras.models.updates import self_updating
from tlkeras.utils.validation import check_choice, invalid


def freeze(
    model: keras.Model,
    *,
    first: int | float | None = None,
    end: str | None = None,
    batchnorm: str = "frozen",
) -> keras.Model:
    """Freeze a model from the input up to a given block or layer, and make everything above it trainable.

    If neither `first` nor `end` is given, everything below the head is frozen, as in the first phase of transfer
    learning. Frozen weights and moving statistics are bit-identical after `fit`, and no gradients are computed for
    them. Layers that you add on top of a nested base, or of a network of a known family, belong to the head. A warning
    lists any other layers outside the base that are frozen.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        first: Number of blocks to freeze, counted from the input: an integer, or a fraction in (0, 1] of the blocks
            below the head, rounded up. Defaults to all blocks below the head.
        end: Name of the last block or layer to freeze; use it instead of `first`. A prefix of layer names, such as
            `"block6b"`, also works. Defaults to none.
        batchnorm: Mode of BatchNormalization in the layers that train, as in `unfreeze`. Defaults to `"frozen"`.

    Returns:
        The same model. If it was compiled, it is recompiled and keeps the state of its optimizer (see
        `tlkeras.recompile`), so you can call `fit` right away. The same applies to every other compiled model that
        shares its layers.

    Raises:
        InputError: The name is unknown, the model does not have that many blocks, both `first` and `end` are given, or
            the model has no weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> [weight.path for weight in tlkeras.freeze(model).trainable_weights]
    ['predictions/kernel', 'predictions/bias']
    """
    block_map = blocks(model)
    selection = _one_of("first", first, "end", end)
    bottom = block_map.bottom(1.0 if selection is None else selection, argument="first")
    return _train_only(model, block_map, block_map.layers[len(bottom) :], batchnorm, "all")


def unfreeze(
    model: keras.Model,
    *,
    last: int | float | None = None,
    start: str | None = None,
    batchnorm: str = "frozen",
    parameters: str = "all",
) -> keras.Model:
    """Unfreeze the top of a model, and freeze everything below it.

    If neither `last` nor `start` is given, the whole model trains.

    With few images that resemble the pretraining images, training only several thousand parameters adapts a network
    almost as well as training all of them. These parameters can be the scales and offsets of the normalizations
    (Frankle et al. 2021, https://arxiv.org/abs/2003.00152) or the biases (BitFit, Zaken et al. 2022,
    https://arxiv.org/abs/2106.10199). `parameters` restricts training in the unfrozen blocks to one of these groups.

    BatchNormalization stays frozen unless `batchnorm="train"`. On TensorFlow, assigning `trainable = True` to the model
    or its base afterwards does not unfreeze these layers, because Keras ignores an assignment that does not change the
    flag. Call this function with `batchnorm="train"`, or assign False first.

    A saved model remembers which weights train, with two exceptions that are due to Keras. First, the parts of a
    composite layer, such as `MultiHeadAttention` or a KerasHub backbone, are trainable after loading even if the layer
    was frozen. Second, a file stores one flag per layer, so a layer that trains only some of its weights is frozen
    after loading. This happens with `parameters="bias"`, and with `parameters="norm"` for BatchNormalization in
    inference mode. In both cases, a warning names the layers and asks you to call this function again after
    `load_model`.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        last: Number of blocks to train below the head, which always trains: an integer, or a fraction in (0, 1] of the
            blocks below the head, rounded up. Defaults to the whole model.
        start: Name of the first block or layer to train; use it instead of `last`. A prefix of layer names, such as
            `"block6b"`, also works. Defaults to none.
        batchnorm: Mode of BatchNormalization in the unfrozen blocks. `"frozen"` keeps the scale, offset and moving
            statistics unchanged, since they would drift with the small batches and few images of fine-tuning. `"train"`
            trains the scale and offset, and updates the statistics. In the head, BatchNormalization always trains.
            Defaults to `"frozen"`.
        parameters: Weights that train in the unfrozen blocks. `"norm"` selects the scales and offsets of all
            normalizations, `"bias"` the biases and the offsets of normalizations. Both include BatchNormalization,
            which stays in inference mode and keeps its moving statistics unless `batchnorm="train"`. In the head and in
            new layers outside the base, all weights train. Defaults to `"all"`.

    Returns:
        The same model. If it was compiled, it is recompiled and keeps the state of its optimizer (see
        `tlkeras.recompile`), so you can call `fit` right away. The same applies to every other compiled model that
        shares its layers.

    Raises:
        InputError: The name is unknown, the model does not have that many blocks, both `last` and `start` are given,
            the model has no weights, or the unfrozen blocks have no weights of the kind that `parameters` names.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> sorted({weight.path.split("/")[0] for weight in tlkeras.unfreeze(model, last=1).trainable_weights})
    ['Conv_1', 'predictions']
    """
    selection = _one_of("last", last, "start", start)
    return unfreeze_top(model, selection, batchnorm=batchnorm, parameters=parameters, argument="last")


def unfreeze_top(
    model: keras.Model,
    selection: int | float | str | None,
    *,
    batchnorm: str = "frozen",
    parameters: str = "all",
    argument: str = "selection",
) -> keras.Model:
    """Unfreeze the top of a model, for callers that accept a number, a fraction or a name in one argument.

    Args:
        model: A built Keras model.
        selection: As in `BlockMap.top`; None for the whole model.
        batchnorm: As in `unfreeze`.
        parameters: As in `unfreeze`.
        argument: Name of the caller's argument, for error messages.

    Returns:
        The same model, as in `unfreeze`.
    """
    block_map = blocks(model)
    top = block_map.layers if selection is None else block_map.top(selection, argument=argument)
    return _train_only(model, block_map, top, batchnorm, parameters)


def _one_of(count_name: str, count: int | float | None, label_name: str, label: str | None) -> int | float | str | None:
    """Return the count or the name, whichever was given, or None if neither was given."""
    if count is not None and label is not None:
        raise InputError(
            f"`{count_name}` and `{label_name}` are mutually exclusive. Received: {count_name}={count!r}, "
            f"{label_name}={label!r}. Pass only one of them."
        )
    if isinstance(count, str):
        raise invalid(count_name, count, "be a number or a fraction of blocks", f"To pass a name, use `{label_name}`.")
    if label is not None and not isinstance(label, str):
        raise invalid(label_name, label, "be the name of a block or layer", f"To pass a number, use `{count_name}`.")
    return count if label is None else label


def _train_only(
    model: keras.Model, block_map: BlockMap, layers: Sequence[keras.Layer], batchnorm: str, parameters: str
) -> keras.Model:
    """Make `layers` the only trainable layers, and recompile every compiled model that this change affects."""
    check_choice("batchnorm", batchnorm, ("frozen", "train"))
    check_choice("parameters", parameters, tuple(_KINDS))
    training, weights = _what_trains(block_map, layers, batchnorm, parameters)
    before = _state(model)
    set_flags(model, training, weights)
    _warn_of_frozen_new_layers(block_map, training)
    _warn_of_lost_flags(model)
    _warn_of_self_updating_layers(model)
    if before != _state(model):
        for other in sharing(model):
            if is_stale(other):
                recompile(other)
    return recompile(model) if is_stale(model) else model


#: The weights of a layer that train with each value of `parameters`.
_KINDS = {
    "all": lambda layer: list(layer._trainable_variables),
    "norm": lambda layer: list(layer._trainable_variables) if is_norm(layer) else [],
    "bias": lambda layer: [weight for weight in layer._trainable_variables if is_bias(weight)],
}


def _what_trains(
    block_map: BlockMap, layers: Sequence[keras.Layer], batchnorm: str, parameters: str
) -> tuple[set[int], set[int]]:
    """Return the `id` of each layer whose flag should be on, and of each weight that should train."""
    head = {id(layer) for layer in block_map.head.layers} if block_map.head else set()
    new = head | {id(layer) for layer in block_map.outside}
    training, weights, restricted = set(), set(), []
    for layer in layers:
        kind = "all" if id(layer) in new else parameters
        chosen = _KINDS[kind](layer)
        on = len(chosen) == len(layer._trainable_variables) and (kind == "all" or bool(chosen))
        if is_batchnorm(layer) and id(layer) not in head:
            on = batchnorm == "train"
            chosen = chosen if on or kind != "all" else []
        if on:
            training.add(id(layer))
        weights.update(map(id, chosen))
        restricted += chosen if kind != "all" else []
    if parameters != "all" and not restricted and any(id(layer) not in new for layer in layers):
        what = {"norm": "normalization layers", "bias": "biases"}[parameters]
        advice = f"They have no {what}. `tlkeras.trainable_table(model)` lists the blocks."
        raise invalid("parameters", parameters, "name weights that the unfrozen blocks have", advice)
    return training, weights


def _state(model: keras.Model) -> list[bool]:
    """Return the flags of all layers and weights."""
    return [*(layer.trainable for layer in descendants(model)), *(weight.trainable for weight in model.weights)]


def _warn_of_frozen_new_layers(block_map: BlockMap, training: set[int]) -> None:
    frozen = [layer.name for layer in block_map.outside if id(layer) not in training and layer._trainable_variables]
    if frozen:
        warn(
            f"These layers are frozen although they are not part of the pretrained base: {', '.join(frozen)}. If they "
            "are new, they keep their random initial weights. Set `trainable = True` on them and compile the model "
            "again."
        )


def _warn_of_lost_flags(model: keras.Model) -> None:
    lost = ", ".join(dict.fromkeys(lost_in_a_file(model)))
    if lost:
        warn(
            f"Keras does not save which parts of {lost} are frozen. After `keras.models.load_model`, call "
            "`tlkeras.freeze` or `tlkeras.unfreeze` again with the same arguments."
        )
    partly = [layer.name for layer in descendants(model) if differs_from_its_weights(layer)]
    if partly:
        shown = ", ".join(partly[:3]) + (f" and {len(partly) - 3} more" if len(partly) > 3 else "")
        warn(
            f"Keras saves one flag per layer, but in {shown} some weights train and others do not. After "
            "`keras.models.load_model`, call `tlkeras.unfreeze` again with the same arguments."
        )


def _warn_of_self_updating_layers(model: keras.Model) -> None:
    names = ", ".join(self_updating(model))
    if names:
        warn(
            f"These frozen layers still change their own weights in every training step: {names}. Build the model "
            "with the wrapped layer (`.layer`) instead of SpectralNormalization. Custom layers must check "
            "`self.trainable`."
        )
