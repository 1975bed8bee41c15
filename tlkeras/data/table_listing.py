"""List the image files that are named in the rows of a table."""

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlkeras.data.labels import is_missing, label_names
from tlkeras.data.listing import ImageFile, normalized
from tlkeras.data.table_columns import find_columns, row_labels, row_parts
from tlkeras.data.tables import Table
from tlkeras.errors import InputError, warn
from tlkeras.utils.validation import shown


def list_table(
    table: Table,
    root: Path,
    columns: Mapping[str, Any] | None = None,
    separator: str | None = None,
    multilabel: bool | None = None,
    groups: Any = None,
) -> list[ImageFile]:
    """List the images named in a table, each image once even if several rows name it.

    Args:
        table: `Table` whose rows name the images.
        root: Folder that paths are relative to.
        columns: Names of columns, as in `load_images`.
        separator: Text that separates several labels in a cell.
        multilabel: Whether to combine the labels of several rows that name the same image.
        groups: Name of the column with the groups. Any value that is not a column name is ignored.

    Raises:
        InputError: A column is missing; a path is empty, points outside `root` or does not exist; or rows that name the
            same image contradict each other.
    """
    chosen = find_columns(table, columns, groups)
    labels, parts = row_labels(table, chosen, separator), row_parts(table, chosen)
    files: dict[str, ImageFile] = {}
    first: dict[str, int] = {}
    missing, repeated = [], 0
    for index, (row, label, part) in enumerate(zip(table.rows, labels, parts, strict=True)):
        path = _resolved(table.where(index), row[chosen.path], root)
        key = normalized(path.relative_to(root).as_posix())
        group = row[chosen.group] if chosen.group else None
        file = ImageFile(key, str(path), label, part, group)
        if key in files:
            merged = _merged(files[key], file, f"{table.where(first[key])} and {table.places[index]}", multilabel)
            repeated += merged is files[key]
            files[key] = merged
            continue
        if not path.is_file():
            missing.append(index)
        files[key], first[key] = file, index
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(files)} files listed in {table.name} do not exist, such as "
            f"{table.rows[missing[0]][chosen.path]!r} ({table.places[missing[0]]}). Paths are relative to "
            f"{str(root)!r}; to use a different folder, pass root=FOLDER."
        )
    if repeated:
        warn(f"{repeated} rows of {table.name} repeat an earlier row and are left out.")
    return list(files.values())


def _resolved(where: str, cell: Any, root: Path) -> Path:
    """Return the path that a cell names, resolved below `root`."""
    if is_missing(cell):
        raise InputError(f"{where}: the path is empty. Fill it in or remove the row.")
    text = str(cell).strip()
    if "://" in text:
        raise InputError(f"{where}: {text!r} is a URL. Download the images and list the paths of the files.")
    absolute = Path(text).is_absolute()
    for spelling in (text, text.replace("\\", "/"), *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))):
        relative = os.path.relpath(spelling, root.absolute()) if absolute else os.path.normpath(spelling)
        if (root / relative).is_file():  # the other spellings are for tables written on Windows or macOS
            break
    else:
        relative = os.path.relpath(text, root.absolute()) if absolute else os.path.normpath(text)
    if Path(relative).is_absolute() or Path(relative).parts[:1] == ("..",):
        raise InputError(
            f"{where}: {text!r} is outside {str(root)!r}. Paths are relative to that folder; to use a "
            "different one, pass root=FOLDER."
        )
    return root / relative


def _merged(one: ImageFile, other: ImageFile, where: str, multilabel: bool | None) -> ImageFile:
    """Merge two rows with the same path into one image, or raise if they contradict each other."""
    for what in ("part", "group"):
        values = getattr(one, what), getattr(other, what)
        if values[0] != values[1] and not all(map(is_missing, values)):
            what = "split" if what == "part" else what
            raise InputError(
                f"{where} refer to the same image, {one.path!r}, but have different {what}s: {shown(values)}."
            )
    labels = label_names(one.label), label_names(other.label)
    if labels[0] == labels[1]:
        return one
    if multilabel is not True:
        raise InputError(
            f"{where} refer to the same image, {one.path!r}, but have different labels: {', '.join(labels[0])} and "
            f"{', '.join(labels[1])}. Correct one of them, or pass multilabel=True if images can have several labels."
        )
    return replace(one, label=list({**labels[0], **labels[1]}))
