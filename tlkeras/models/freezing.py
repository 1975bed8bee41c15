"""Freeze and unfreeze by blocks, so that what is frozen does not move and the next `fit` sees what trains."""

from collections.abc import Sequence

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.block_map import BlockMap
from tlkeras.models.blocks import blocks
from tlkeras.models.flags import lost_in_a_file, set_flags
from tlkeras.models.layer_tree import descendants, is_batchnorm
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
    """Freeze a model from the input up to a point, and let everything above train.

    Without `first` or `end`, everything below the head is frozen: the first phase of transfer learning. Frozen weights
    and moving statistics are bit-identical after `fit` and cost no gradient. Layers that you put on a nested base, or
    on a network of a known family, belong to the head. Others outside the base are named in a warning if they stay
    frozen.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        first: How many blocks to freeze, counted from the input: an integer, or a fraction in (0, 1] of the blocks
            below the head, rounded up. Defaults to all below the head.
        end: Instead of `first`, the name of the last block or layer to freeze. A prefix of layer names also works:
            `"block6b"`.
        batchnorm: What BatchNormalization above that point does, as in `unfreeze`. Defaults to `"frozen"`.

    Returns:
        The same model. If it was compiled, it is recompiled with the state of its optimizer (see `tlkeras.recompile`),
        so `fit` can follow at once. So is every other compiled model that shares its layers.

    Raises:
        InputError: An unknown name, more blocks than there are, both `first` and `end`, or a model without weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> [weight.path for weight in tlkeras.freeze(model).trainable_weights]
    ['predictions/kernel', 'predictions/bias']
    """
    block_map = blocks(model)
    selection = _one_of("first", first, "end", end)
    bottom = block_map.bottom(1.0 if selection is None else selection, argument="first")
    return _train_only(model, block_map, block_map.layers[len(bottom) :], batchnorm)


def unfreeze(
    model: keras.Model,
    *,
    last: int | float | None = None,
    start: str | None = None,
    batchnorm: str = "frozen",
) -> keras.Model:
    """Unfreeze the top of a model, and freeze everything below it.

    Without `last` or `start`, the whole model trains.

    A saved model keeps what trains, with one exception, due to Keras: the parts of a composite layer, such as
    `MultiHeadAttention` or a KerasHub backbone, come back trainable although the layer was frozen. A warning says
    where, and asks you to call this function again after `load_model`.

    Args:
        model: A built Keras model: functional, Sequential, nested or subclassed.
        last: How many blocks to train, counted from the head, which always trains and is not counted: an integer, or a
            fraction in (0, 1] of the blocks below the head, rounded up. Defaults to the whole model.
        start: Instead of `last`, the name of the first block or layer to train. A prefix of layer names also works:
            `"block6b"`.
        batchnorm: Mode of BatchNormalization in the unfrozen blocks. `"frozen"` keeps scale, offset and moving
            statistics as they are, since they would drift with the small batches and few images of fine-tuning.
            `"train"` trains them. In the head, BatchNormalization always trains. Defaults to `"frozen"`.

    Returns:
        The same model. If it was compiled, it is recompiled with the state of its optimizer (see `tlkeras.recompile`),
        so `fit` can follow at once. So is every other compiled model that shares its layers.

    Raises:
        InputError: An unknown name, more blocks than there are, both `last` and `start`, or a model without weights.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=2, input_shape=(32, 32, 3))
    >>> sorted({weight.path.split("/")[0] for weight in tlkeras.unfreeze(model, last=1).trainable_weights})
    ['Conv_1', 'predictions']
    """
    return unfreeze_top(model, _one_of("last", last, "start", start), batchnorm=batchnorm, argument="last")


def unfreeze_top(
    model: keras.Model, selection: int | float | str | None, *, batchnorm: str = "frozen", argument: str = "selection"
) -> keras.Model:
    """Unfreeze the top of a model, for callers that accept a number, a fraction or a name in one argument.

    Args:
        model: A built Keras model.
        selection: As in `BlockMap.top`; None for the whole model.
        batchnorm: As in `unfreeze`.
        argument: Name of the caller's argument, for error messages.

    Returns:
        The same model, as from `unfreeze`.
    """
    block_map = blocks(model)
    top = block_map.layers if selection is None else block_map.top(selection, argument=argument)
    return _train_only(model, block_map, top, batchnorm)


def _one_of(count_name: str, count: int | float | None, label_name: str, label: str | None) -> int | float | str | None:
    """Return the one selection that was given, by count or by name, or None."""
    if count is not None and label is not None:
        raise InputError(
            f"`{count_name}` and `{label_name}` are mutually exclusive. Received: {count_name}={count!r}, "
            f"{label_name}={label!r}. Keep one of them."
        )
    if isinstance(count, str):
        raise invalid(count_name, count, "be a number or a fraction of blocks", f"For a name, pass `{label_name}`.")
    if label is not None and not isinstance(label, str):
        raise invalid(label_name, label, "be the name of a block or layer", f"For a number, pass `{count_name}`.")
    return count if label is None else label


def _train_only(model: keras.Model, block_map: BlockMap, layers: Sequence[keras.Layer], batchnorm: str) -> keras.Model:
    """Make `layers` the trainable ones, and recompile every compiled model that this concerns."""
    check_choice("batchnorm", batchnorm, ("frozen", "train"))
    head = {id(layer) for layer in block_map.head.layers} if block_map.head else set()
    training = {id(layer) for layer in layers if batchnorm == "train" or id(layer) in head or not is_batchnorm(layer)}
    before = [layer.trainable for layer in descendants(model)]
    set_flags(model, training)
    _warn_of_frozen_new_layers(block_map, training)
    _warn_of_lost_flags(model)
    _warn_of_self_updating_layers(model)
    if before != [layer.trainable for layer in descendants(model)]:
        for other in sharing(model):
            if is_stale(other):
                recompile(other)
    return recompile(model) if is_stale(model) else model


def _warn_of_frozen_new_layers(block_map: BlockMap, training: set[int]) -> None:
    frozen = [layer.name for layer in block_map.outside if id(layer) not in training and layer._trainable_variables]
    if frozen:
        warn(
            f"Frozen although not part of the pretrained base: {', '.join(frozen)}. If they are new, they stay "
            "at their random start: set `trainable = True` on them and compile the model again."
        )


def _warn_of_lost_flags(model: keras.Model) -> None:
    lost = ", ".join(dict.fromkeys(lost_in_a_file(model)))
    if lost:
        warn(
            f"Keras does not save what is frozen inside {lost}. After `keras.models.load_model`, call `tlkeras.freeze` "
            "or `tlkeras.unfreeze` again as you do here."
        )


def _warn_of_self_updating_layers(model: keras.Model) -> None:
    names = ", ".join(self_updating(model))
    if names:
        warn(
            f"These frozen layers still change their own weights in every training step: {names}. "
            "In place of SpectralNormalization, build the model with the layer that it wraps (`.layer`); "
            "custom layers must check `self.trainable`."
        )
