"""Check arguments, and phrase all errors in the same way: what is required, what was received, and what to do."""

import os
from collections.abc import Collection, Sequence
from numbers import Integral, Real

from tlkeras.errors import InputError


def invalid(name: str, value: object, requirement: str, advice: str = "") -> InputError:
    """Build the error for an argument that cannot be used.

    Args:
        name: Name of the argument, as the caller wrote it.
        value: The received value. It is shown on one line of at most 80 characters.
        requirement: A phrase that completes "`name` must ...", such as "be a positive number".
        advice: One or two sentences that say what to do. Defaults to none.

    Returns:
        An `InputError`, to be raised by the caller.

    Example:

    >>> invalid("last", 9, "be between 1 and 7 for this model", "`tlkeras.blocks(model)` lists them.")
    InputError('`last` must be between 1 and 7 for this model. Received: last=9. `tlkeras.blocks(model)` lists them.')
    """
    return InputError(
        " ".join(filter(None, [f"`{name}` must {requirement}. Received: {name}={shown(value)}.", advice]))
    )


def check_integer(name: str, value: object, minimum: int, maximum: int | None = None, advice: str = "") -> int:
    """Return `value` as an `int`, or raise an error if it is not an integer between `minimum` and `maximum`.

    Booleans are rejected, since `True` is rarely meant as 1. NumPy integers are accepted.

    Raises:
        InputError: `value` is not an integer, or is out of bounds.

    Example:

    >>> check_integer("epochs", 3, minimum=1)
    3
    >>> check_integer("epochs", 0, minimum=1)
    Traceback (most recent call last):
    tlkeras.errors.InputError: `epochs` must be an integer >= 1. Received: epochs=0.
    """
    bounds = f">= {minimum}" if maximum is None else f"between {minimum} and {maximum}"
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise invalid(name, value, f"be an integer {bounds}", advice)
    if value < minimum or (maximum is not None and value > maximum):
        raise invalid(name, value, f"be an integer {bounds}", advice)
    return int(value)


def check_number(name: str, value: object, interval: str, advice: str = "") -> float:
    """Return `value` as a `float`, or raise an error if it is not a number in an interval.

    Args:
        name: Name of the argument.
        value: The received value.
        interval: The interval in mathematical notation: `"[0, 1)"` includes 0 and excludes 1; `"(0, inf)"` is any
            positive number. NaN is in no interval, and booleans are rejected.
        advice: A sentence that says what to do. Defaults to none.

    Raises:
        InputError: `value` is not a number, or is outside the interval.

    Example:

    >>> check_number("dropout", 0.2, "[0, 1)")
    0.2
    >>> check_number("dropout", 1.0, "[0, 1)")
    Traceback (most recent call last):
    tlkeras.errors.InputError: `dropout` must be a number in [0, 1). Received: dropout=1.0.
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    inside = isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high
    if not inside or (interval[0] == "(" and value == low) or (interval[-1] == ")" and value == high):
        bounds = "a positive number" if interval == "(0, inf)" else f"a number in {interval}"
        raise invalid(name, value, f"be {bounds}", advice)
    return float(value)


def check_choice(name: str, value: object, choices: Collection, advice: str = "") -> None:
    """Raise an error if `value` is not one of `choices`.

    Raises:
        InputError: `value` is not one of `choices`. The message lists the choices.

    Example:

    >>> check_choice("task", "multi", ("multiclass", "multilabel"))
    Traceback (most recent call last):
    tlkeras.errors.InputError: `task` must be 'multiclass' or 'multilabel'. Received: task='multi'.
    """
    if not any(value is choice or (type(value) is type(choice) and value == choice) for choice in choices):
        *first, last = map(repr, choices)
        listed = f"{', '.join(first)} or {last}" if first else last
        raise invalid(name, value, f"be {listed}", advice)


def listed(names: Sequence[str]) -> str:
    """Join names for an error message; if there are more than 20, only the first 20.

    Example:

    >>> listed(["bee", "wasp"])
    'bee, wasp'
    """
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def shown(value: object) -> str:
    """Return the `repr` of a received value on one line of at most 80 characters.

    A long string, such as a path, keeps its beginning and its end, since the end distinguishes files.

    Example:

    >>> shown("effnet"), shown(list(range(100)))
    ("'effnet'", '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21...')
    >>> shown("/data/" + 20 * "deep/" + "weights.txt")
    "'/data/deep/deep/deep/deep/deep/deep/dee...deep/deep/deep/deep/deep/weights.txt'"
    """
    text = " ".join(repr(value).split())
    if len(text) <= 80:
        return text
    return f"{text[:40]}...{text[-37:]}" if isinstance(value, str | os.PathLike) else f"{text[:77]}..."
