"""Set each variable's learning rate as a multiple of the optimizer's rate: per block, or by layer name."""

import fnmatch

import keras

from tlkeras.errors import InputError
from tlkeras.models.block_map import BlockMap
from tlkeras.models.blocks import blocks
from tlkeras.models.layer_tree import own_weights
from tlkeras.models.optimizer_copying import fresh_copy, unwrapped
from tlkeras.optimizers.differential_classes import Differential, differential_class
from tlkeras.optimizers.variable_keys import VariableKeys, keys_of
from tlkeras.utils.validation import check_number, invalid


def differential_optimizer(
    model: keras.Model,
    optimizer: keras.Optimizer,
    *,
    layer_decay: float | None = None,
    multipliers: dict[str, float] | slice | None = None,
    head: float = 1.0,
) -> keras.Optimizer:
    """Give each block of a model its own multiple of an optimizer's learning rate.

    The early blocks of a pretrained network compute general features and need small updates; the new head needs large
    ones. Different rates for different blocks are known as discriminative fine-tuning in ULMFiT (Howard and Ruder 2018,
    https://arxiv.org/abs/1801.06146) and as layer-wise decay in ELECTRA and BEiT. The multiplier of a variable scales
    its update and its decoupled weight decay, so the result is equivalent to one optimizer per block. It is still a
    single optimizer, with one `learning_rate` for schedules and callbacks, and one gradient norm for `global_clipnorm`.

    In two Keras optimizers, updates are not proportional to the learning rate. Adafactor caps the rate at 1/sqrt(step),
    so a multiplier has no effect above the cap. In Ftrl, the strength of the regularization depends on the rate.

    A saved model keeps the optimizer, its multipliers and its state, and `keras.models.load_model` restores them if
    tlkeras is imported. Otherwise, the file can still be loaded: the model is then compiled with the plain optimizer
    and its state, and Keras warns that `decay` is ignored.

    Args:
        model: A built Keras model. Its blocks are those of `tlkeras.blocks`. Frozen layers get multipliers too, so you
            can unfreeze them later.
        optimizer: An instance of any Keras optimizer, or a `LossScaleOptimizer` around one. If it is built, its state
            is copied.
        layer_decay: Factor in (0, 1] by which the rate shrinks from each block to the one below: the head has a
            multiplier of 1, the block below it has `layer_decay`, the next block down has `layer_decay**2`, and so on.
            Values from 0.65 to 0.9 are common, with smaller values for less data. Defaults to no decay.
        multipliers: A dict that maps block names, or patterns of layer names (`"block1*"`, as in `fnmatch`; `"left/*"`
            for the layers of a nested model), to positive factors. It overrides `layer_decay`. Without `layer_decay`,
            it must cover every block except the head. Alternatively, `slice(a, b)` creates factors that increase
            geometrically from `a` at the stem to `b` at the head. Unlike in fastai, `a` and `b` are factors and not
            rates, since the optimizer and its schedule set the rate. Defaults to 1 for all blocks.
        head: Factor applied to the head's multiplier; ignored if `multipliers` names the head. Defaults to 1.

    Returns:
        An optimizer that is an instance of `type(optimizer)`. Pass it to `compile`.

    Raises:
        InputError: A variable matches no multiplier or more than one, a pattern matches nothing, a factor is not
            positive, or `optimizer` is not an optimizer with a learning rate.

    Example:

    >>> import keras, tlkeras
    >>> layers = keras.layers
    >>> model = keras.Sequential([
    ...     keras.Input((4,)), layers.Dense(8, name="stem"), layers.Dense(8, name="block1"),
    ...     layers.Dense(2, name="predictions"),
    ... ])
    >>> optimizer = tlkeras.differential_optimizer(model, keras.optimizers.AdamW(1e-3), layer_decay=0.5)
    >>> isinstance(optimizer, keras.optimizers.AdamW)
    True
    """
    if not isinstance(optimizer, keras.Optimizer):
        raise invalid("optimizer", optimizer, "be a Keras optimizer", "Pass one such as keras.optimizers.AdamW(1e-3).")
    base = next(cls for cls in type(unwrapped(optimizer)).__mro__ if not issubclass(cls, Differential))
    by_id = _multipliers(blocks(model), layer_decay, multipliers, head)
    by_key = {key: by_id[id(variable)] for key, variable in zip(keys_of(model.weights), model.weights, strict=True)}
    scaled = fresh_copy(optimizer, differential_class(base), decay={"multipliers": by_key})
    unwrapped(scaled).variable_keys = VariableKeys(model.weights)
    if optimizer.built:
        unwrapped(scaled).starts.update(getattr(unwrapped(optimizer), "starts", {}))
        scaled.build(optimizer._trainable_variables)
        for target, source in zip(scaled.variables, optimizer.variables, strict=True):
            target.assign(source)
    return scaled


def _multipliers(
    block_map: BlockMap, layer_decay: float | None, multipliers: dict[str, float] | slice | None, head: float
) -> dict[int, float]:
    """Return the multiplier of each variable by its `id`."""
    by_block = _by_depth(block_map, layer_decay, multipliers, head)
    patterns = multipliers if isinstance(multipliers, dict) else {}
    used, result = set(), {}
    for block in block_map:
        for layer in block.layers:
            keys = [key for key in patterns if key == block.name or _matches(key, layer, block_map)]
            for variable in own_weights(layer):
                if id(variable) in result:  # a tied weight belongs to the first block that holds it
                    continue
                if len(keys) > 1:
                    raise InputError(
                        f"The variable {variable.path!r} matches {' and '.join(map(repr, keys))} in `multipliers`. "
                        "Change the keys so that each variable matches only one."
                    )
                if not keys and block.name not in by_block:
                    raise InputError(
                        f"The variable {variable.path!r} of block {block.name!r} matches no key of "
                        f"multipliers={multipliers!r}. Add a key for its block or layer, or pass `layer_decay` for "
                        "the rest."
                    )
                result[id(variable)] = float(patterns[keys[0]] if keys else by_block[block.name])
                used.update(keys)
    if unused := [key for key in patterns if key not in used]:
        raise InputError(
            f"`multipliers[{unused[0]!r}]` matches no variable. Use a pattern of layer names or one of the blocks "
            f"{', '.join(block_map.names)}."
        )
    return result


def _matches(pattern: str, layer: keras.Layer, block_map: BlockMap) -> bool:
    return fnmatch.fnmatchcase(layer.name, pattern) or fnmatch.fnmatchcase(block_map.path_of(layer), pattern)


def _by_depth(block_map: BlockMap, layer_decay, multipliers, head) -> dict[str, float]:
    """Return the multipliers from `layer_decay` and `head`, by block name; omit blocks that `multipliers` must name."""
    depth = len(block_map) - 1
    if isinstance(multipliers, slice):
        low, high = multipliers.start, multipliers.stop
        if layer_decay is not None or multipliers.step is not None or low is None or high is None:
            raise InputError(
                "A slice in `multipliers` must be slice(a, b), and `layer_decay` must then be None. Received: "
                f"multipliers={multipliers}, layer_decay={layer_decay}."
            )
        _check_factor("multipliers.start", low)
        _check_factor("multipliers.stop", high)
        result = [high * (low / high) ** ((depth - i) / max(depth, 1)) for i in range(len(block_map))]
    else:
        if multipliers is not None and not isinstance(multipliers, dict):
            advice = 'For example, pass {"block1": 0.1} or slice(0.01, 1.0).'
            raise invalid(
                "multipliers", multipliers, "be a dict that maps block or layer names to factors, or a slice", advice
            )
        for key, factor in (multipliers or {}).items():
            if not isinstance(key, str):
                raise invalid("multipliers", multipliers, "be a dict that maps block or layer names to factors")
            _check_factor(f"multipliers[{key!r}]", factor)
        if layer_decay is not None:
            check_number("layer_decay", layer_decay, "(0, 1]")
        if layer_decay is None and multipliers:
            return {block.name: head for block in block_map if block.role == "head"}
        result = [(layer_decay or 1.0) ** (depth - i) for i in range(len(block_map))]
    _check_factor("head", head)
    factors = {"head": head}
    return {block.name: factor * factors.get(block.role, 1.0) for block, factor in zip(block_map, result, strict=True)}


def _check_factor(name: str, value: object) -> None:
    check_number(name, value, "(0, inf)", "To stop training a block, freeze it.")
