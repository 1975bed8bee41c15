"""The optimizer classes themselves: any Keras optimizer, with a learning rate of its own for each variable."""

import functools
import itertools
import operator
import re

import keras

from tlkeras.errors import InputError


class Differential:
    """Mixin left of an optimizer class: scales the update and the weight decay of each variable.

    Scaling the gradient instead would do nothing under Adam, which divides the scale out again.
    """

    # Both are keyed by variable path: `multipliers` holds every variable of the model, `starts` those that were
    # unfrozen later, with the number of updates at that moment. `order` is of the variables that a saved optimizer had.
    def __init__(self, *args, multipliers, starts=None, order=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.multipliers = dict(multipliers)
        self.starts = dict(starts or {})
        self._order = tuple(order)
        self._decay_multiplier = 1.0
        self._start = 0

    def multiplier(self, variable) -> float:
        """The factor on the learning rate of a variable, 1 for the base rate."""
        factors = {self.multipliers[path] for path in self._saved_paths(variable)}
        if len(factors) != 1:
            raise InputError(
                f"The variable {variable.path!r} is {'ambiguous' if factors else 'unknown'} to this differential "
                "optimizer: call `differential_optimizer(model, optimizer, ...)` for the model as it is now."
            )
        return float(factors.pop())

    def _saved_paths(self, variable):
        """The paths that may be this variable's: a reload may take or add prefixes (`base/conv/kernel`)."""
        path = variable.path
        if path in self.multipliers:
            return [path]
        return [key for key in self.multipliers if key.endswith(f"/{path}") or path.endswith(f"/{key}")]

    def _start_of(self, variable):
        paths = [variable.path, *self._saved_paths(variable)]
        return next((int(self.starts[path]) for path in paths if path in self.starts), 0)

    def build(self, variables):
        if not self.built:
            self._rename(variables)
            self._multipliers = tuple(self.multiplier(variable) for variable in variables)
            self._starts = tuple(self._start_of(variable) for variable in variables)
            self._grouped = _positions(zip(self._multipliers, self._starts, strict=True))
        super().build(variables)

    def _rename(self, variables):
        """Follows a reload that numbered layers anew, as those of a subclassed model are that were given no names.

        What does not train then has no multiplier any more, since its new number is not known.
        """
        pairs = [(old, variable.path) for old, variable in zip(self._order, variables, strict=False)]
        if not len(pairs) == len(variables) == len(self._order) or not all(itertools.starmap(_alike, pairs)):
            return
        # A number may have become that of another layer; where other layers train than before, the head still does.
        if all(old != new for old, new in pairs) or not all(map(self._saved_paths, variables)):
            known = [(new, self.multipliers[old], self.starts.get(old, 0)) for old, new in pairs]
            self.multipliers = {path: multiplier for path, multiplier, _ in known}
            self.starts = {path: start for path, _, start in known if start}

    @property
    def iterations(self):
        """Updates so far; while a variable unfrozen later is updated, its updates alone.

        Adam's bias correction must count from the first gradient a slot has seen, or the first steps of a
        unfrozen layer are 3 to 6 times too long.
        """
        return super().iterations - self._start if self._start else super().iterations

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        self._count_from(self._starts[index])
        self._scaled_update_step(gradient, variable, learning_rate, self._multipliers[index])
        self._count_from(0)

    def _scaled_update_step(self, gradient, variable, learning_rate, multiplier):
        super().update_step(gradient, variable, _scaled(learning_rate, multiplier))

    def _count_from(self, start):
        if start != self._start:  # setting an attribute of a Keras object is slow
            self._start = start

    def _apply_weight_decay(self, variables):
        # Each backend, and Muon, has its own way to decay but takes the rate from one place: scale it there. Mirrored
        # replicas take turns inside `super()`, so set the attribute outright, never back to what it was before.
        for (multiplier, _), members in self._groups(variables):
            self._decay_multiplier = multiplier
            super()._apply_weight_decay([variables[member] for member in members])
        self._decay_multiplier = 1.0

    def _get_current_learning_rate(self):
        return _scaled(super()._get_current_learning_rate(), self._decay_multiplier)

    def _groups(self, variables):
        """The positions of variables treated alike, as ((multiplier, start), positions)."""
        if all(map(operator.is_, variables, self._trainable_variables)) and len(variables) == len(self._multipliers):
            return self._grouped
        indices = [self._get_variable_index(variable) for variable in variables]
        return _positions((self._multipliers[index], self._starts[index]) for index in indices)

    def get_config(self):
        # Keras drops an argument called `decay` with a warning. So where tlkeras is not imported, the file opens
        # all the same, compiled with the plain optimizer and its state.
        order = [variable.path for variable in self._trainable_variables] if self.built else self._order
        decay = {"multipliers": dict(self.multipliers), "starts": dict(self.starts), "order": list(order)}
        return {**super().get_config(), "decay": decay}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config.update(config.pop("decay"))
        return super().from_config(config, custom_objects)


class ForeachDifferential(Differential):
    """The same for torch, where Keras updates all variables by a few calls of `torch._foreach_*`."""

    def _parallel_update_step(self, grads, variables, learning_rate):
        rate = keras.ops.convert_to_tensor(learning_rate)
        product = getattr(self, "_u_product", None)  # Nadam moves it once a step, not once a group
        before = None if product is None else product.value.clone()
        for (multiplier, start), members in self._groups(variables):
            if product is not None:
                product.assign(before)
            self._count_from(start)
            super()._parallel_update_step(
                [grads[i] for i in members], [variables[i] for i in members], _scaled(rate, multiplier)
            )
        self._count_from(0)


class FusedDifferential(Differential):
    """The same for Adam on JAX: one rate for all variables, and the multiplier in the update itself.

    Adam divides the rate by its bias correction. Where that quotient has several values, XLA on CPU orders the step so
    that copies of all slots live at once, twice the temporary memory; a factor of the update is fused away.
    """

    def _scaled_update_step(self, gradient, variable, learning_rate, multiplier):
        self._update_multiplier = multiplier
        super()._scaled_update_step(gradient, variable, learning_rate, 1)

    def assign_sub(self, variable, value):
        super().assign_sub(variable, _scaled(value, self._update_multiplier))


def _positions(keys):
    """Where each key occurs, as a tuple of (key, positions)."""
    groups = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return tuple(groups.items())


def _alike(path, other):
    """Whether two paths differ in no more than prefixes and the numbers that tell apart layers of one class."""
    path, other = (re.sub(r"_\d+(?=/)", "", f"/{one}") for one in (path, other))
    return path.endswith(other) or other.endswith(path)


def _scaled(rate, multiplier):
    return rate if multiplier == 1 else rate * multiplier


def _wrappers() -> tuple[type, ...]:
    """Optimizers that have others do the work, as far as Keras has them: `MultiOptimizer` came with 3.15."""
    names = ("LossScaleOptimizer", "MultiOptimizer")
    return tuple(getattr(keras.optimizers, name) for name in names if hasattr(keras.optimizers, name))


@functools.cache
def _native_classes() -> frozenset[type]:
    """What Keras makes of each optimizer class of its own: itself, or on torch its foreach subclass."""
    optimizers = keras.optimizers
    return frozenset(
        type(base.__new__(base))
        for base in vars(optimizers).values()
        if isinstance(base, type)
        and issubclass(base, optimizers.Optimizer)
        and base is not optimizers.Optimizer
        and not issubclass(base, _wrappers())
    )


def _mixin(base):
    if hasattr(base, "_parallel_update_step"):
        return ForeachDifferential
    on_jax = keras.backend.backend() == "jax"
    return FusedDifferential if on_jax and base.update_step is keras.optimizers.Adam.update_step else Differential


@functools.cache
def differential_class(base: type) -> type:
    """The class of `base` with differential rates: a subclass of `base`, made once.

    The classes for the optimizers of Keras exist, and are registered for loading, as soon as tlkeras and Keras are
    imported. Call this before `load_model` for an optimizer class of your own.

    Args:
        base: An optimizer class, such as `keras.optimizers.AdamW`.

    Returns:
        A subclass of `base`, registered with Keras.

    Raises:
        InputError: If `base` is not the class of an optimizer with a learning rate of its own.

    Example:

    >>> import keras
    >>> from tlkeras.optimizers import differential_class
    >>> issubclass(differential_class(keras.optimizers.SGD), keras.optimizers.SGD)
    True
    """
    optimizers = keras.optimizers
    if not issubclass(base, optimizers.Optimizer) or issubclass(base, (Differential, *_wrappers())):
        raise InputError(
            f"Received the optimizer class {base.__name__}, which has no learning rate of its own to scale: use one "
            "like keras.optimizers.AdamW."
        )
    native = type(base.__new__(base))  # on torch Keras swaps in its foreach classes, but never for subclasses
    if native is not base:
        return differential_class(native)
    mixin = _mixin(base)
    qualified = f"Differential{base.__name__}"
    if base not in _native_classes():
        cls = type(qualified, (mixin, base), {"__module__": __name__})
        return keras.saving.register_keras_serializable("tlkeras")(cls)
    # Named so that Keras finds `keras.optimizers.<name>` under this name where tlkeras has registered nothing.
    name = f"optimizers.{base.__name__}"
    cls = type(name, (mixin, base), {"__module__": "keras", "__qualname__": qualified})
    keras.saving.get_custom_objects()[name] = cls
    return cls


for _base in _native_classes():
    differential_class(_base)
