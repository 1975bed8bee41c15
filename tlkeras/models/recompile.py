"""Compiles a model anew after its trainable set has changed, without losing what it has learned about its steps.

Keras fixes the trainable variables at `compile`; a change afterwards is ignored by TensorFlow and an error elsewhere.
"""

import contextlib
import gc

import keras

from tlkeras.errors import InputError, warn
from tlkeras.models.layer_tree import check_model
from tlkeras.models.optimizer_copying import fresh_copy, unwrapped


def recompile(model: keras.Model, optimizer: keras.Optimizer | None = None) -> keras.Model:
    """Makes a compiled model train exactly the variables that are trainable now; all else stays as it was.

    Loss, metrics, loss weights and all settings are the same objects as before. The optimizer is a copy, with the same
    settings and learning rate, built on the present trainable variables. Its state is carried: the count of steps, and
    for each variable that still trains, its slots, told apart by identity and not by name or order. Variables that
    join get fresh slots (their own value as the start of a moving average). May be called in the middle of `fit`, by a
    callback at the beginning of an epoch.

    Adam and its kin correct their moments by one count of steps for all variables, so variables that join later would
    take steps 3 to 6 times too long. A `tlkeras.differential_optimizer` counts for each variable and is safe;
    others get a warning.

    Args:
        model: A compiled model.
        optimizer: Another optimizer to go on with; by default the model's own. One that is built already is copied
            with its state in the same way; a fresh one is taken as it is.

    Returns:
        The model.

    Raises:
        InputError: `model` is not a Keras model, or was never compiled, or `optimizer` is no optimizer.

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
        raise InputError(f"The model {model.name!r} was never compiled: call model.compile(optimizer, loss) instead.")
    if not isinstance(optimizer, keras.Optimizer | None):
        raise InputError(f"Received optimizer={optimizer!r}: pass an instance, such as keras.optimizers.AdamW(1e-3).")
    old = model.optimizer if optimizer is None else optimizer
    in_training = model.train_function is not None
    with strategy_scope(model):
        new = fresh_copy(old) if old.built or old is model.optimizer else old
        if old.built:
            _announce_newcomers(old, new, model.trainable_variables)
        _compile(model, new)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if new is not old:
            _carry_state(old, new)
    if in_training:
        model.make_train_function()
    return model


def is_stale(model: keras.Model) -> bool:
    """Whether the trainable set has changed since the model was compiled, so that `fit` would not do as told."""
    if not model.compiled:
        return False
    compiled_with = getattr(model, "_compiled_trainable_state", {})  # new in Keras 3.15; the optimizer knows the rest
    if any(layer.trainable != was for layer, was in compiled_with.items()):
        return True
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return False
    return {id(v) for v in optimizer._trainable_variables} != {id(v) for v in model.trainable_variables}


def sharing(model: keras.Model) -> list[keras.Model]:
    """The other compiled models that hold a weight of `model`: one it is nested in, say.

    No layer knows which models it is part of, so all objects are looked through: a third of a second.
    """
    weights = {id(weight) for weight in model.weights}
    models = [found for found in gc.get_objects() if issubclass(type(found), keras.Model) and found is not model]
    compiled = [other for other in models if getattr(other, "compiled", False)]  # one may be half made
    return [other for other in compiled if weights & {id(weight) for weight in other.weights}]


def _announce_newcomers(old, new, variables):
    """Tells an optimizer that counts steps for each variable who joins when; warns about one that cannot."""
    known = {id(variable) for variable in old._trainable_variables}
    joined = [variable for variable in variables if id(variable) not in known]
    old, new = unwrapped(old), unwrapped(new)
    if hasattr(old, "starts"):
        new.starts.update(old.starts)
    steps = int(keras.ops.convert_to_numpy(old.iterations))
    if not joined or not steps:
        return
    if hasattr(new, "starts"):
        new.starts.update({variable.path: steps for variable in joined})
    elif hasattr(new, "beta_2"):
        warn(
            f"{len(joined)} weights join {type(new).__name__} after {steps} steps, which it counts for all weights "
            "alike, so their first steps will be 3 to 6 times too long: compile with a new optimizer for this phase, "
            "or with tlkeras.differential_optimizer(model, ...), which counts for each weight."
        )


def _compile(model, optimizer):
    settings = dict(model._compile_config.config)
    scales_loss = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # The method of keras.Model: one that a subclass overrides may take other arguments. Without loss and metrics it
    # leaves both in place, built as they are.
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
    """Where the variables of a distributed model's optimizer are to be made; TensorFlow alone has such a place."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def _carry_state(old, new):
    """Copies what `old` remembers: for each variable its slots, and all that is not kept for a variable."""
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
                elif name == "_model_variables_moving_average":  # which begins at zero in step 0 alone
                    _assign(after[target], new._trainable_variables[target])
    for inner_old, inner_new in zip(_inner(old), _inner(new), strict=True):
        _carry_state(inner_old, inner_new)


def _inner(optimizer):
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return [unwrapped(optimizer)]
    return getattr(optimizer, "optimizers", [])  # of a MultiOptimizer


def _assign(target, source):
    if isinstance(target, keras.Variable) and isinstance(source, keras.Variable) and target.shape == source.shape:
        target.assign(keras.ops.copy(source))  # JAX donates buffers, so no two variables may share one
