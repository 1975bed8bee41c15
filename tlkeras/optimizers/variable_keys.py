"""Keys that identify the variables of a model even after it has been saved and loaded."""

import re
from collections import Counter


class VariableKeys:
    """Keys of variables that survive saving and loading: the variables' paths, numbered where paths are equal.

    If a model contains two copies of a network from `keras.applications`, the layers of both copies have the same
    names, so their variables have the same paths.

    Args:
        variables: All variables of a model.
        keys: The keys of the variables. Defaults to the result of `keys_of`.
    """

    def __init__(self, variables, keys=None):
        keys = keys_of(variables) if keys is None else keys
        self._by_id = {id(variable): (variable, key) for variable, key in zip(variables, keys, strict=True)}

    def get(self, variable) -> str | None:
        """Return the key of a variable, or None if the variable is not known."""
        known, key = self._by_id.get(id(variable), (None, None))
        return key if known is variable else None


def keys_of(variables) -> list[str]:
    """Return the path of each variable, with `#2` appended to the second occurrence of a path, and so on.

    Example:

    >>> import keras
    >>> kernel = keras.Variable([1.0], name="kernel")
    >>> keys_of([kernel, kernel])
    ['kernel', 'kernel#2']
    """
    counts = Counter()
    keys = []
    for variable in variables:
        counts[variable.path] += 1
        count = counts[variable.path]
        keys.append(variable.path if count == 1 else f"{variable.path}#{count}")
    return keys


def are_alike(path, other):
    """Check whether two paths differ only in prefixes and in the numbers that distinguish layers of the same class."""
    path, other = (re.sub(r"_\d+(?=/)|#\d+$", "", f"/{one}") for one in (path, other))
    return path.endswith(other) or other.endswith(path)
