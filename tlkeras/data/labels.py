"""Normalize the names of classes and groups: detect missing values, convert values to names, and sort names."""

import re
import unicodedata
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

from tlkeras.errors import InputError
from tlkeras.utils.validation import shown

# What pandas, NumPy, spreadsheets and databases write for "no value".
_MISSING_WORDS = {"", "nan", "NaN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None", "NaT"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, NaT, `pandas.NA`, a masked value, or a word such as "NA".

    Example:

    >>> [is_missing(value) for value in (None, float("nan"), "NA", "", "cat", 0)]
    [True, True, True, True, False, False]
    """
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.strip() in _MISSING_WORDS
    return isinstance(value, Real | np.generic) and bool(value != value)


def name_of(value: Any) -> str:
    r"""Return the name of a class or group: text in Unicode's composed form (NFC), whole numbers without decimals.

    macOS stores accents as separate characters (NFD), so the same folder would otherwise have two spellings.

    Raises:
        InputError: The value is a number with a fractional part, or is not a single value.

    Example:

    >>> name_of(3.0), name_of("cafe\u0301") == "caf\u00e9"
    ('3', True)
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        if not float(value).is_integer():
            raise InputError(
                f"Labels must be class names or whole numbers. Received: {value}. `load_images` does not support "
                "regression targets such as ages, scores or boxes; bin them into classes (with "
                "numpy.digitize) or pass names as text."
            )
        return str(int(value))
    if isinstance(value, dict) or (hasattr(value, "__len__") and not isinstance(value, str)):
        raise InputError(f"A label must be a name, a number, or a list of names or numbers. Received: {shown(value)}.")
    return unicodedata.normalize("NFC", str(value)).strip()


def label_names(label: Any) -> dict[str, None]:
    """Return the names in a label or list of labels as the keys of a dictionary, to keep their order."""
    several = label if isinstance(label, list | tuple | set) else [label]
    return {name_of(one): None for one in several if not is_missing(one)}


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Sort class names: by value if all are numbers, otherwise alphabetically.

    Example:

    >>> ordered(["10", "9", "1"]), ordered(["b", "10", "9"])
    (('1', '9', '10'), ('10', '9', 'b'))
    """
    names = set(names)
    numbers = all(_NUMBER.fullmatch(name) for name in names)
    return tuple(sorted(names, key=lambda name: (float(name), name) if numbers else (0.0, name)))
