"""Find the columns of a table that contain the path, the labels, the split and the group of each image."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlkeras.data.labels import is_missing, name_of
from tlkeras.data.listing import PART_NAMES
from tlkeras.data.tables import Table
from tlkeras.errors import InputError
from tlkeras.utils.naming import comparable, suggestions
from tlkeras.utils.validation import invalid, shown

# Names are compared without case, spaces, hyphens and underscores. The first name that a table has is used.
USUAL = {
    "path": ("path", "filepath", "file", "filename", "imagepath", "imagefile", "imagename", "image", "img"),
    "label": ("label", "labels", "class", "classname", "classes", "category", "categories", "target", "tags", "tag"),
    "split": ("split", "part", "subset", "set"),
    "group": ("group", "patient", "patientid", "session", "sessionid", "subject", "subjectid"),
}
_INDICATORS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
_DECIMAL = re.compile(r"[+-]?\d+\.\d*")
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)")
_ITEM = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,\[\]'"]+)""")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are used from a table.

    Attributes:
        path: Column with the paths.
        labels: Columns with the labels.
        indicators: Whether each label column represents a class and contains 0s and 1s.
        split, group: Columns with the split and the group, or None if the table has no such column.
    """

    path: str
    labels: tuple[str, ...]
    indicators: bool
    split: str | None
    group: str | None


def find_columns(table: Table, given: Mapping[str, str | Sequence[str]] | None, groups: Any = None) -> Columns:
    """Find the columns of a table: the given columns first, then columns with common names.

    If no column is given for the labels and none has a common name for them, the remaining columns are the label
    columns, provided that there are at least two and that they contain only 0s and 1s.

    Args:
        table: `Table` to search.
        given: Dict that maps `"path"`, `"label"`, `"split"` and `"group"`, or some of these, to names of columns.
        groups: The `groups` argument of `load_images`, which may name a column.

    Raises:
        InputError: A column is missing, or a key is unknown.
    """
    given = check_columns(given)
    usual = {comparable(name): name for name in reversed(table.columns)}
    names = {what: next((usual[name] for name in known if name in usual), None) for what, known in USUAL.items()}
    for what, name in given.items():
        for one in [name] if isinstance(name, str) else name:
            if one not in table.columns:
                near = suggestions(one, table.columns)
                raise InputError(
                    f"{table.name} has no column {one!r}. Its columns are {', '.join(table.columns)}.{near}"
                )
        names[what] = name
    if isinstance(groups, str) and groups in table.columns:
        names["group"] = groups
    if names["path"] is None:
        raise InputError(
            f"{table.name} has no path column (columns: {', '.join(table.columns) or 'none'}). Rename a column to "
            f"path, or pass columns={{'path': NAME}}."
        )
    labels, indicators = names["label"], not isinstance(names["label"], str)
    if labels is None:
        labels = _indicator_columns(table, names)
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    return Columns(names["path"], labels, indicators, names["split"], names["group"])


def has_labels(table: Table, given: Mapping[str, Any] | None) -> bool:
    """Return whether a table has a label column, either the given column or one with a common name."""
    return "label" in (given or {}) or any(comparable(name) in USUAL["label"] for name in table.columns)


def _indicator_columns(table: Table, names: Mapping[str, Any]) -> list[str]:
    rest = [name for name in table.columns if name not in (names["path"], names["split"], names["group"])]
    if len(rest) < 2 or any(_zero_or_one(row[name]) is None for row in table.rows for name in rest):
        raise InputError(
            f"{table.name} has no label column (columns: {', '.join(table.columns)}). Rename a column to label, or "
            f"pass columns={{'label': NAME}}; for columns of 0s and 1s, pass columns={{'label': [NAME, ...]}}."
        )
    return rest


def check_columns(given: Mapping[str, str | Sequence[str]] | None) -> dict[str, str | Sequence[str]]:
    """Return `columns` as a dictionary, or raise if a key or a name cannot be used."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given.keys() <= USUAL.keys():
        raise invalid("columns", given, "be a dictionary with some of the keys 'path', 'label', 'split' and 'group'")
    for what, name in given.items():
        several = what == "label" and isinstance(name, list | tuple) and all(isinstance(one, str) for one in name)
        if not isinstance(name, str) and not (several and name):
            raise invalid("columns", given, f"give the name of a column for {what!r}")
    return dict(given)


def row_labels(table: Table, columns: Columns, separator: str | None = None) -> list[Any]:
    """Return the labels of each row: a name, a number, a list of names or numbers, or a missing value.

    Text that contains numbers becomes numbers. Text that contains lists, as pandas saves them, becomes lists.

    Raises:
        InputError: An indicator column contains values other than 0 and 1.
    """
    if columns.indicators:
        return [_positive(table, index, columns.labels) for index in range(len(table.rows))]
    (column,) = columns.labels
    cells = [row[column] for row in table.rows]
    if separator is not None:
        return [_divided(cell, separator) for cell in cells]
    texts = [cell.strip() for cell in cells if not is_missing(cell) and isinstance(cell, str)]
    if texts and all(text.startswith("[") and text.endswith("]") for text in texts):
        return [cell if is_missing(cell) or not isinstance(cell, str) else _listed(cell) for cell in cells]
    numeric = texts and all(_DECIMAL.fullmatch(text) or _INTEGER.fullmatch(text) for text in texts)
    if numeric and any(_DECIMAL.fullmatch(text) for text in texts):
        return [float(cell) if isinstance(cell, str) and not is_missing(cell) else cell for cell in cells]
    return cells


def row_parts(table: Table, columns: Columns) -> list[str | None]:
    """Return the split of each row, or None if its cell is empty.

    Raises:
        InputError: A split is not train, validation or test.
    """
    if columns.split is None:
        return [None] * len(table.rows)
    parts = []
    for index, row in enumerate(table.rows):
        cell = row[columns.split]
        part = None if is_missing(cell) else PART_NAMES.get(str(cell).strip().lower())
        if part is None and not is_missing(cell):
            raise InputError(
                f"{table.where(index)}: the split must be train, validation or test. Received: {shown(cell)}. If "
                f"another column contains the split, pass columns={{'split': NAME}}."
            )
        parts.append(part)
    return parts


def _divided(cell: Any, separator: str) -> Any:
    if is_missing(cell) or not isinstance(cell, str):
        return cell
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _listed(text: str) -> list[Any]:
    """Read a list that was saved as text: "['cat', 'dog']" by pandas, "['cat' 'dog']" or "[0 2]" by NumPy."""
    return [single or double or _number(bare) for single, double, bare in _ITEM.findall(text.strip()[1:-1])]


def _number(text: str) -> Any:
    return float(text) if _DECIMAL.fullmatch(text) else text


def _positive(table: Table, index: int, names: Sequence[str]) -> list[str] | None:
    """Return the labels whose cell in the row is 1, or None if the row has no values."""
    row = table.rows[index]
    if all(is_missing(row[name]) for name in names):
        return None
    for name in names:
        if _zero_or_one(row[name]) is None:
            raise InputError(
                f"{table.where(index)}: label columns must contain only 0 or 1. Received: {name}={shown(row[name])}. "
                "Replace uncertain and empty cells with 0 or 1 first."
            )
    return [name_of(name) for name in names if _zero_or_one(row[name])]


def _zero_or_one(cell: Any) -> bool | None:
    if isinstance(cell, str):
        return _INDICATORS.get(cell.strip().lower())
    try:
        return bool(cell) if cell in (0, 1) else None
    except (TypeError, ValueError):  # pandas.NA, and lists
        return None
