"""Which share of the learning rate each variable gets: by depth, by block, or by layer name."""

import fnmatch

import keras

from tlkeras.errors import InputError
from tlkeras.models.blocks import blocks
from tlkeras.models.layer_tree import own_weights
from tlkeras.models.optimizer_copying import fresh_copy, unwrapped
from tlkeras.optimizers.classes import Differential, differential_class
from tlkeras.utils.validation import check_number, invalid


def differential_optimizer(
    model: keras.Model,
    optimizer: keras.Optimizer,
    *,
    layer_decay: float | None = None,
    multipliers: dict[str, float] | slice | None = None,
    head: float = 1.0,
) -> keras.Optimizer:
    """Gives each block of a model a share of the optimizer's learning rate.

    Early blocks of a pretrained network hold general features and want small steps, the new head wants large
    ones: the discriminative fine-tuning of ULMFiT (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146),
    the layer-wise decay of ELECTRA and BEiT, fastai's `slice`. The update itself and the decoupled weight decay
    of a variable are multiplied, so the result equals an optimizer of its own for each block, yet it is one
    optimizer: one `learning_rate` for schedules and callbacks, one gradient norm for `global_clipnorm`.

    Two optimizers are not proportional in their learning rate by their own design, whatever sets it: Adafactor caps
    it at 1/sqrt(step), so above the cap a multiplier changes nothing; Ftrl's regularization depends on it.

    A saved model keeps the optimizer, its multipliers and its state; `keras.models.load_model` brings them back
    wherever tlkeras is imported. Where it is not, the file still opens: with `compile=False` as usual, or else
    compiled with the plain optimizer and its state, Keras then warning that `decay` is ignored.

    Args:
        model: A built Keras model with a recognizable block map (see `tlkeras.blocks`). Frozen layers get a
            multiplier too, so they can be unfrozen later.
        optimizer: An instance of any Keras optimizer, or a `LossScaleOptimizer` around one. Its state, if it is
            built already, is copied.
        layer_decay: In (0, 1]. The head has multiplier 1, the block below it `layer_decay`, the next
            `layer_decay**2`, and so on down to the stem. Around 0.65-0.9 is usual: smaller for smaller data.
        multipliers: A dict from block names, or layer name patterns (`"block1*"`, as in `fnmatch`), to positive
            factors; it overrules `layer_decay`, and without that it must cover all blocks but the head. Or
            `slice(a, b)`: factors that rise geometrically from `a` at the stem to `b` at the head. Factors, not
            rates as in fastai, since the rate itself stays with the optimizer and its schedule.
        head: Multiplies the head's factor, unless `multipliers` names the head.

    Returns:
        An optimizer that is an instance of `type(optimizer)`, not yet part of the model: pass it to `compile`.

    Raises:
        InputError: If a variable matches no factor or two, a pattern matches nothing, a factor is not positive,
            or two variables with different factors have the same path.

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
    factors = _by_path(model, _by_variable(model, layer_decay, multipliers, head))
    scaled = fresh_copy(optimizer, differential_class(base), decay={"multipliers": factors})
    if optimizer.built:
        unwrapped(scaled).starts.update(getattr(unwrapped(optimizer), "starts", {}))
        scaled.build(optimizer._trainable_variables)
        for target, source in zip(scaled.variables, optimizer.variables, strict=True):
            target.assign(source)
    return scaled


def _by_variable(model, layer_decay, multipliers, head):
    """The factor of each variable, by its id: paths of nested models need not be unique."""
    by_name = isinstance(multipliers, dict) and all(isinstance(key, str) for key in multipliers)
    if not (by_name or isinstance(multipliers, slice | None)):
        raise invalid(
            "multipliers",
            multipliers,
            'be a dict from block or layer names to factors, such as {"block1": 0.1}, or slice(a, b)',
        )
    found = blocks(model)
    by_block = _by_block(found, layer_decay, multipliers, head)
    patterns = multipliers if isinstance(multipliers, dict) else {}
    for key, factor in patterns.items():
        _check_positive(f"multipliers[{key!r}]", factor)
    used, factors = set(), {}
    for block in found:
        for layer in block.layers:
            keys = [key for key in patterns if key == block.name or fnmatch.fnmatchcase(layer.name, key)]
            for variable in own_weights(layer):
                if id(variable) in factors:  # a tied weight belongs to the first block that holds it
                    continue
                if len(keys) > 1:
                    raise InputError(
                        f"The variable {variable.path!r} matches {' and '.join(map(repr, keys))} in multipliers: "
                        "let each variable match one."
                    )
                factor = patterns[keys[0]] if keys else by_block.get(block.name)
                if factor is None:
                    raise InputError(
                        f"The variable {variable.path!r} of block {block.name!r} matches nothing in multipliers="
                        f"{multipliers!r}: name its block or layer, or pass `layer_decay` for the rest."
                    )
                factors[id(variable)] = float(factor)
                used.update(keys)
    if unused := [key for key in patterns if key not in used]:
        raise InputError(
            f"multipliers[{unused[0]!r}] matches no variable: use a layer name pattern or one of the blocks "
            f"{', '.join(found.names)}."
        )
    return factors


def _by_block(sequence, layer_decay, multipliers, head):
    """The factors that depth alone decides, by block name; a block may be missing."""
    _check_positive("head", head)
    depth = len(sequence) - 1
    names = [block.name for block in sequence]
    if isinstance(multipliers, slice):
        low, high = multipliers.start, multipliers.stop
        if layer_decay is not None or multipliers.step is not None or low is None or high is None:
            raise InputError(
                f"A slice of multipliers must be slice(a, b), without `layer_decay`. Received: "
                f"multipliers={multipliers}, layer_decay={layer_decay}."
            )
        _check_positive("multipliers.start", low)
        _check_positive("multipliers.stop", high)
        factors = {name: high * (low / high) ** ((depth - i) / max(depth, 1)) for i, name in enumerate(names)}
    elif layer_decay is not None:
        check_number("layer_decay", layer_decay, "(0, 1]")
        factors = {name: layer_decay ** (depth - i) for i, name in enumerate(names)}
    else:
        factors = {} if multipliers else dict.fromkeys(names, 1.0)
    for block in sequence:
        if block.role == "head":
            factors[block.name] = head * factors.get(block.name, 1.0)
    return factors


def _by_path(model, factors):
    """The same by path, which survives saving."""
    paths = {}
    for variable in model.weights:
        factor = factors[id(variable)]
        if paths.setdefault(variable.path, factor) != factor:
            raise InputError(
                f"Two variables have the path {variable.path!r} and different factors: give the layers of the "
                "nested models different names."
            )
    return paths


def _check_positive(name, value):
    check_number(name, value, "(0, inf)", "To stop a block, freeze it.")
