"""Differential optimizer classes: any Keras optimizer, with a separate learning rate for each variable."""

import functools
import itertools
import operator

import keras

from tlkeras.errors import InputError
from tlkeras.optimizers.saving import make_class, pack, unpack
from tlkeras.optimizers.variable_keys import VariableKeys, are_alike, keys_of
from tlkeras.utils.validation import invalid


class Differential:
    """Mixin that scales each variable's update and weight decay; it comes before the optimizer class in the bases.

    Scaling the gradient instead would have no effect with Adam, whose updates do not depend on the scale of the
    gradients.

    Args:
        args: Positional arguments for the optimizer class.
        multipliers: Dict that maps the key of every variable of the model (see `VariableKeys`) to its multiplier.
        starts: Dict that maps the key of each variable that was unfrozen later to the number of updates before it was
            unfrozen.
        order: Keys of the variables that a saved optimizer was built with.
        kwargs: Keyword arguments for the optimizer class.
    """

    def __init__(self, *args, multipliers, starts=None, order=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.multipliers = dict(multipliers)
        self.starts = dict(starts or {})
        self.variable_keys = VariableKeys([])
        self._order = tuple(order)
        self._decay_multiplier = 1.0
        self._start = 0

    def key_of(self, variable) -> str:
        """Return the key of a variable, which is its path unless several variables have the same path."""
        return self.variable_keys.get(variable) or variable.path

    def multiplier(self, variable) -> float:
        """Return the factor for a variable's learning rate; 1 means the optimizer's own rate."""
        factors = {self.multipliers[key] for key in self._saved_keys(variable)}
        if len(factors) != 1:
            raise InputError(
                f"The variable {variable.path!r} is {'ambiguous' if factors else 'unknown'} to this differential "
                "optimizer. Call `differential_optimizer(model, optimizer, ...)` again for the current model."
            )
        return float(factors.pop())

    def _saved_keys(self, variable):
        """Return the saved keys that may match a variable: reloading may drop or add prefixes (`base/conv/kernel`)."""
        known, path = self.variable_keys.get(variable), variable.path
        if known in self.multipliers:
            return [known]
        equal = [key for key in self.multipliers if key.partition("#")[0] == path]
        return equal or [key for key in self.multipliers if key.endswith(f"/{path}") or path.endswith(f"/{key}")]

    def start_of(self, variable) -> int:
        """Return the number of updates before a variable was unfrozen, or 0 if it has trained from the start."""
        keys = [self.key_of(variable), *self._saved_keys(variable)]
        return next((int(self.starts[key]) for key in keys if key in self.starts), 0)

    def build(self, variables):
        if not self.built:
            self._follow_reload(variables)
            self._multipliers = tuple(self.multiplier(variable) for variable in variables)
            self._starts = tuple(self.start_of(variable) for variable in variables)
            self._grouped = _positions(zip(self._multipliers, self._starts, strict=True))
        super().build(variables)

    def _follow_reload(self, variables):
        """Match the variables of a reloaded model to the saved variables, by order where paths are not enough.

        Keras gives new numbers to the unnamed layers of a subclassed model. Frozen variables then no longer have a
        multiplier, since their new numbers are not known. Duplicate paths are distinguished by their order.
        """
        pairs = [(old, variable.path) for old, variable in zip(self._order, variables, strict=False)]
        if not len(pairs) == len(variables) == len(self._order) or not all(itertools.starmap(are_alike, pairs)):
            return
        # A number may now belong to a different layer. Even if other layers train than before, the head still trains.
        if all(old != new for old, new in pairs) or not all(map(self._saved_keys, variables)):
            renamed = dict(zip(self._order, keys_of(variables), strict=True))
            self.multipliers = {new: self.multipliers[old] for old, new in renamed.items()}
            self.starts = {new: self.starts[old] for old, new in renamed.items() if old in self.starts}
        elif any("#" in old for old in self._order):
            self.variable_keys = VariableKeys(variables, self._order)

    @property
    def iterations(self):
        """Number of updates so far; during the update of a variable unfrozen later, the number since it was unfrozen.

        Adam's bias correction must count from the first gradient that a slot has seen. Otherwise, the first steps of an
        unfrozen layer are 3 to 6 times too large.
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
        # Each backend, and Muon, decays weights in its own way, but all get the rate from one place: scale it there.
        # Mirrored replicas take turns inside `super()`, so assign the attribute instead of restoring its old value.
        for (multiplier, _), members in self._groups(variables):
            self._decay_multiplier = multiplier
            super()._apply_weight_decay([variables[member] for member in members])
        self._decay_multiplier = 1.0

    def _get_current_learning_rate(self):
        return _scaled(super()._get_current_learning_rate(), self._decay_multiplier)

    def _groups(self, variables):
        """Group the variables by `(multiplier, start)`: return each such pair with the positions of its variables."""
        if all(map(operator.is_, variables, self._trainable_variables)) and len(variables) == len(self._multipliers):
            return self._grouped
        indices = [self._get_variable_index(variable) for variable in variables]
        return _positions((self._multipliers[index], self._starts[index]) for index in indices)

    def get_config(self):
        order = [self.key_of(variable) for variable in self._trainable_variables] if self.built else self._order
        return pack(
            super().get_config(),
            {"multipliers": dict(self.multipliers), "starts": dict(self.starts), "order": list(order)},
        )

    def get_settings(self) -> dict:
        """Return the config without the records of variables that were unfrozen during training."""
        return pack(super().get_config(), {"multipliers": dict(self.multipliers)})

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return super().from_config(unpack(config), custom_objects)


class ForeachDifferential(Differential):
    """The mixin for torch, where Keras updates all variables with several calls to `torch._foreach_*`."""

    def _parallel_update_step(self, grads, variables, learning_rate):
        rate = keras.ops.convert_to_tensor(learning_rate)
        product = getattr(self, "_u_product", None)  # Nadam updates it once per step, not once per group
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
    """The mixin for Adam on JAX: one rate for all variables, with the multiplier applied to the update itself.

    Adam divides the rate by its bias correction. If the result differs between variables, XLA on CPU schedules the step
    so that copies of all slots exist at once, which doubles the temporary memory. A factor on the update, by contrast,
    is fused into the same operation and costs no extra memory.
    """

    def _scaled_update_step(self, gradient, variable, learning_rate, multiplier):
        self._update_multiplier = multiplier
        super()._scaled_update_step(gradient, variable, learning_rate, 1)

    def assign_sub(self, variable, value):
        super().assign_sub(variable, _scaled(value, self._update_multiplier))


def _positions(keys):
    """Return a tuple of pairs `(key, positions)`: each key, and the positions at which it occurs."""
    groups = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return tuple(groups.items())


def _scaled(rate, multiplier):
    return rate if multiplier == 1 else rate * multiplier


def _wrappers() -> tuple[type, ...]:
    """Return the Keras optimizer classes that wrap other optimizers; `MultiOptimizer` is new in Keras 3.15."""
    names = ("LossScaleOptimizer", "MultiOptimizer")
    return tuple(getattr(keras.optimizers, name) for name in names if hasattr(keras.optimizers, name))


@functools.cache
def _native_classes() -> frozenset[type]:
    """Return the classes that Keras instantiates for its optimizers; on torch, these are foreach subclasses."""
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
    """Return the subclass of an optimizer class that `differential_optimizer` uses.

    Call it yourself only if you wrote your own optimizer class: to load a model compiled with the differential version
    of that class, call it before `keras.models.load_model`. The subclasses of Keras' optimizers are registered with
    Keras as soon as both Keras and tlkeras are imported.

    Args:
        base: An optimizer class, such as `keras.optimizers.AdamW`.

    Returns:
        A subclass of `base`, registered with Keras. Every call returns the same class.

    Raises:
        InputError: `base` is not an optimizer class, or is one without a learning rate, such as
            `keras.optimizers.MultiOptimizer`.

    Example:

    >>> import keras, tlkeras
    >>> issubclass(tlkeras.differential_class(keras.optimizers.SGD), keras.optimizers.SGD)
    True
    """
    optimizers = keras.optimizers
    known = isinstance(base, type) and issubclass(base, optimizers.Optimizer)
    if not known or issubclass(base, (Differential, *_wrappers())):
        raise invalid(
            "base", base, "be an optimizer class with a learning rate", "Pass one such as keras.optimizers.AdamW."
        )
    native = type(base.__new__(base))  # on torch, Keras substitutes its foreach classes, but never for subclasses
    if native is not base:
        return differential_class(native)
    return make_class(_mixin(base), base, native=base in _native_classes(), module=__name__)


for _base in _native_classes():
    differential_class(_base)
