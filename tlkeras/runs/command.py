"""Build the command or the Python call that reproduces a run."""

import inspect
import os
import shlex
from collections.abc import Callable, Mapping

_PASSING = ("overwrite", "resume", "verbose", "callbacks")  # they do not change the result


def command_of(arguments, function, first="source"):
    """Build the command that reproduces a run, with all options that differ from their defaults.

    Args:
        arguments: Dict of the arguments of `tlkeras.fit`, or of another public function whose command has the same
            name.
        function: The public function itself, whose signature provides the defaults.
        first: Name of the function's first argument, which is positional in the command. Defaults to `"source"`.

    Returns:
        One line for a POSIX shell, or a Python call if an argument cannot be written as text, such as a data set in
        memory.

    Example:

    >>> def fit(source, output=None, *, refit=True, classes=None): ...
    >>> command_of({"source": "my photos", "output": "run", "refit": False, "classes": ["cat", "dog"]}, fit)
    "tlkeras fit 'my photos' --output run --no-refit --classes cat --classes dog"
    """
    defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    given = {
        name: value
        for name, value in arguments.items()
        if name in defaults and name not in _PASSING and name != first and not _same(value, defaults[name])
    }
    source = arguments[first]
    if not isinstance(source, str | os.PathLike) or any(isinstance(value, Callable) for value in given.values()):
        written = [f"{name}={_literal(value)}" for name, value in given.items()]
        return f"tlkeras.{function.__name__}({', '.join([_literal(source), *written])})"
    options = [text for name, value in given.items() for text in _option(name.replace("_", "-"), value)]
    return shlex.join(["tlkeras", function.__name__, os.fspath(source), *options])


def _same(value, default):
    return type(value) is type(default) and value == default


def _option(name, value):
    """Return the command-line arguments that set an option."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, Mapping):
        pairs = [(key, one) for key, many in value.items() for one in ([many] if isinstance(many, str) else many)]
        return [text for key, one in pairs for text in (f"--{name}", f"{key}={one}")]
    if isinstance(value, list | tuple):
        return [text for one in value for text in (f"--{name}", str(one))]
    return [f"--{name}", os.fspath(value) if isinstance(value, os.PathLike) else str(value)]


def _literal(value):
    """Return a value as a Python literal, or the name of its type if it cannot be written as a literal."""
    if isinstance(value, str | os.PathLike):
        return repr(os.fspath(value))
    simple = value is None or isinstance(value, int | float | list | tuple | dict)
    return repr(value) if simple else type(value).__name__
