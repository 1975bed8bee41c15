"""Recompile a model after its trainable variables have changed, and keep the state of its optimizer.

Keras fixes the set of trainable variables in `compile`. A later change to this set is ignored on TensorFlow and raises
an error on other backends.
"""

import contextlib
import gc
from itertools import compress

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.layer_tree import check_model
from tlkeras.models.optimizer_copying import fresh_copy, unwrapped
from tlkeras.utils.validation import invalid


def recompile(model: keras.Model, optimizer: keras.Optimizer | None = None) -> keras.Model:
    """Recompile a model so that it trains exactly the variables that are trainable now, and change nothing else.

    Call this function after you have set `trainable` flags yourself; `tlkeras.freeze` and `tlkeras.unfreeze` call it
    for you. The loss, metrics, loss weights and all other settings remain the same objects. The optimizer is replaced
    by a copy with the same settings and learning rate, built on the trainable variables. The copy keeps the step count
    and the slots of each variable that still trains. Newly trainable variables get new slots; if the optimizer keeps a
    moving average of the weights, the average of a new variable starts at its current value. A callback may call this
    function during `fit`, at the beginning of an epoch.

    Optimizers of the Adam family correct their moments with one step count for all variables, so the first updates of
    variables that become trainable later would be 3 to 6 times too large. An optimizer from
    `tlkeras.differential_optimizer` counts steps per variable, which avoids this problem. With any other Adam-like
    optimizer, you get a warning.

    Args:
        model: A compiled model.
        optimizer: Optimizer to continue with. If it is built, it is copied with its state; otherwise, it is used
            directly. Defaults to the model's own optimizer.

    Returns:
        The same model.

    Raises:
        InputError: `model` is not a Keras model or was never compiled, or `optimizer` is not an optimizer.

    Example:

    >>> import keras, tlkeras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    >>> model.compile("sgd", "mse")
    >>> model.layers[0].trainable = False
    >>> len(tlkeras.recompile(model).optimizer._trainable_variables)
    2
    """
    check_model(model)
    if not model.compiled or getattr(model, "optimizer", None) is None:
        raise InputError(f"The model {model.name!r} was never compiled. Call `model.compile(optimizer, loss)` instead.")
    if not isinstance(optimizer, keras.Optimizer | None):
        raise invalid("optimizer", optimizer, "be a Keras optimizer", "Pass one such as keras.optimizers.AdamW(1e-3).")
    old = model.optimizer if optimizer is None else optimizer
    in_training = model.train_function is not None
    with strategy_scope(model):
        new = fresh_copy(old) if old.built or old is model.optimizer else old
        if old.built:
            _count_steps_of_joining(old, new, model.trainable_variables)
        _compile(model, new)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if new is not old:
            _copy_state(old, new)
    if in_training:
        model.make_train_function()
    return model


def is_stale(model: keras.Model) -> bool:
    """Check whether the trainable variables have changed since `compile`, so that `fit` would train the wrong ones."""
    if not model.compiled:
        return False
    compiled_with = getattr(model, "_compiled_trainable_state", {})  # new in Keras 3.15; the optimizer has the rest
    if any(layer.trainable != was for layer, was in compiled_with.items()):
        return True
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return False
    return {id(v) for v in optimizer._trainable_variables} != {id(v) for v in model.trainable_variables}


def sharing(model: keras.Model) -> list[keras.Model]:
    """Return all other compiled models that share a weight with `model`, such as one that contains it.

    Layers do not know which models they are part of, so this function searches all objects in memory, which takes about
    a tenth of a second.
    """
    weights = {id(weight) for weight in model.weights}
    objects, classes = gc.get_objects(), _with_subclasses(keras.Model)
    models = [found for found in compress(objects, map(classes.__contains__, map(type, objects))) if found is not model]
    compiled = [other for other in models if getattr(other, "compiled", False)]  # one may be under construction
    return [other for other in compiled if weights & {id(weight) for weight in other.weights}]


def _with_subclasses(base: type) -> set[type]:
    """Return a class and all classes derived from it."""
    return {base}.union(*map(_with_subclasses, base.__subclasses__()))


def _count_steps_of_joining(old, new, variables):
    """Record when variables join an optimizer that counts steps per variable; for other Adam-like optimizers, warn."""
    known = {id(variable) for variable in old._trainable_variables}
    joined = [variable for variable in variables if id(variable) not in known]
    old, new = unwrapped(old), unwrapped(new)
    if hasattr(old, "starts"):
        new.starts.update(old.starts)
    steps = int(keras.ops.convert_to_numpy(old.iterations))
    if not joined or not steps:
        return
    if hasattr(new, "starts"):
        new.starts.update({new.key_of(variable): steps for variable in joined})
    elif hasattr(new, "beta_2"):
        warn(
            f"{len(joined)} weights join {type(new).__name__} after {steps} steps. The optimizer has one step count "
            "for all weights, so the first steps of these weights will be 3 to 6 times too large. Compile with a new "
            "optimizer for this phase, or with `tlkeras.differential_optimizer(model, ...)`, which counts per weight."
        )


def _compile(model, optimizer):
    settings = dict(model._compile_config.config)
    scales_loss = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # Call the method of keras.Model, since a subclass may override it with other arguments. Without loss and metrics,
    # it keeps the existing ones, already built.
    keras.Model.compile(
        model,
        optimizer=optimizer,
        run_eagerly=settings["run_eagerly"],
        steps_per_execution=settings["steps_per_execution"],
        jit_compile=settings["jit_compile"],
        auto_scale_loss=scales_loss or model.dtype_policy.name != "mixed_float16",
    )
    model._compile_config.config.update({**settings, "optimizer": optimizer})


def strategy_scope(model):
    """Return the context, needed only on TensorFlow, in which a distributed model's optimizer must create variables."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def _copy_state(old, new):
    """Copy the state of `old`: the slots of each variable that still trains, and values not tied to any variable."""
    positions = {id(variable): i for i, variable in enumerate(old._trainable_variables)}
    pairs = [(positions.get(id(variable)), i) for i, variable in enumerate(new._trainable_variables)]
    for name, after in list(vars(new).items()):
        before = vars(old).get(name)
        if isinstance(after, keras.Variable) and isinstance(before, keras.Variable):
            _assign(after, before)
        elif name in ("_variables", "_trainable_variables") or not isinstance(after, list):
            continue
        elif len(before or ()) == len(old._trainable_variables) and len(after) == len(pairs):
            for source, target in pairs:
                if source is not None:
                    _assign(after[target], before[source])
                elif name == "_model_variables_moving_average":  # Keras initializes it only in step 0
                    _assign(after[target], new._trainable_variables[target])
    for inner_old, inner_new in zip(_inner(old), _inner(new), strict=True):
        _copy_state(inner_old, inner_new)


def _inner(optimizer):
    """Return the optimizers that an optimizer wraps."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return [unwrapped(optimizer)]
    return getattr(optimizer, "optimizers", [])  # of a MultiOptimizer


def _assign(target, source):
    if isinstance(target, keras.Variable) and isinstance(source, keras.Variable) and target.shape == source.shape:
        target.assign(keras.ops.copy(source))  # JAX donates buffers, so no two variables may share one
