"""Read Hugging Face data sets: objects of the package `datasets`, and folders with a metadata file."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tlkeras.data.listing import PART_NAMES, ImageFile
from tlkeras.data.table_columns import USUAL, check_columns
from tlkeras.data.tables import SUFFIXES
from tlkeras.errors import InputError
from tlkeras.utils.naming import comparable
from tlkeras.utils.validation import shown

_IMAGES = ("image", "img", "images", "picture", "pixelvalues")


def is_hugging_face(source: Any) -> bool:
    """Return whether `source` is a data set from the package `datasets`, or a dictionary of such data sets."""
    if isinstance(source, dict):
        return bool(source) and all(hasattr(part, "cast_column") for part in source.values())
    return hasattr(source, "cast_column")


def metadata_files(folder: Path) -> list[tuple[Path, str | None]]:
    """Return the metadata files of an ImageFolder with their splits: a file in the folder, or one per split folder."""
    found = [(folder / f"metadata{suffix}", None) for suffix in SUFFIXES]
    if folder.is_dir() and not any(path.is_file() for path, _ in found):
        parts = sorted(entry.name for entry in folder.iterdir() if entry.name.lower() in PART_NAMES)
        found = [
            (folder / part / f"metadata{suffix}", PART_NAMES[part.lower()]) for part in parts for suffix in SUFFIXES
        ]
    return [(path, part) for path, part in found if path.is_file()]


def list_rows(
    source: Any, columns: Mapping[str, Any] | None = None, groups: Any = None
) -> tuple[list[str], list[ImageFile], tuple[str, ...]]:
    """List the images of a Hugging Face data set without decoding them.

    Returns:
        The class names that are listed in the features of the data set, the images with their original labels, and the
        column names.

    Raises:
        InputError: The data set is streamed, or a column is missing.
    """
    sets = dict(source) if isinstance(source, dict) else {"all": source}
    files, known, names = [], [], ()
    for split, part in kept_splits(sets).items():
        rows = sets[split]
        if not hasattr(rows, "__len__"):
            raise InputError("A streamed data set cannot be split. Load it with streaming=False.")
        names = tuple(rows.column_names)
        chosen = _columns(rows, check_columns(columns), groups)
        classes = listed_classes(rows.features[chosen["label"]])
        known += classes or ()
        members = rows[chosen["group"]] if chosen["group"] else [None] * len(rows)
        for index, (label, group) in enumerate(zip(rows[chosen["label"]], members, strict=True)):
            content = partial(_cell, rows, index, chosen["path"])
            label = named(label, classes) if classes else label
            files.append(ImageFile(f"{split}/{index}", f"{split} {index}", label, part, group, content))
    return known, files, names


def kept_splits(splits: Any) -> dict[str, str | None]:
    """Map split names to train, validation or test; a single split maps to None, and unknown names are left out."""
    names = list(splits)
    if len(names) == 1:
        return {names[0]: None}
    return {name: PART_NAMES[name.lower()] for name in names if name.lower() in PART_NAMES}


def listed_classes(feature: Any) -> Any:
    """Return the class names listed by a feature or by a sequence of such features; None if there are none."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)


def named(label: Any, classes: list[str]) -> Any:
    """Return the class name for an index into `classes`, or a list of names for a list; -1 means unlabeled."""
    if label is None:
        return None
    if hasattr(label, "__len__"):
        return [named(one, classes) for one in label]
    number = int(label)
    if number >= len(classes):
        raise InputError(f"Label {number} is out of range: the data set lists {len(classes)} classes.")
    return classes[number] if number >= 0 else None


def _columns(rows: Any, given: Mapping[str, Any], groups: Any) -> dict[str, str | None]:
    usual = {comparable(name): name for name in reversed(rows.column_names)}
    known = {"path": _IMAGES, "label": USUAL["label"], "group": USUAL["group"]}
    chosen = {what: next((usual[name] for name in names if name in usual), None) for what, names in known.items()}
    chosen.update(given)
    if isinstance(groups, str) and groups in rows.column_names:
        chosen["group"] = groups
    if chosen["path"] is None or chosen["label"] is None:
        raise InputError(
            "A Hugging Face data set needs the columns `image` and `label`. This one has "
            f"{', '.join(rows.column_names)}. If the columns have other names, pass "
            "columns={'path': NAME, 'label': NAME}."
        )
    for what in ("path", "label", "group"):
        if chosen[what] is not None and chosen[what] not in rows.column_names:
            raise InputError(
                f"There is no column {shown(chosen[what])}. The columns are {', '.join(rows.column_names)}."
            )
    return chosen


def _cell(rows: Any, index: int, column: str) -> Any:
    return rows[index][column]
