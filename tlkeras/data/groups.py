"""Group images that belong together, such as those of one patient, as the user or the data set specifies."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tlkeras.data.labels import is_missing, name_of
from tlkeras.data.listing import ImageFile
from tlkeras.errors import InputError, warn
from tlkeras.utils.validation import invalid

Groups = str | Sequence[Any] | Callable[[str], Any]


def with_groups(files: Sequence[ImageFile], groups: Groups | None, columns: Iterable[str] = ()) -> list[ImageFile]:
    r"""Set the group of each image; missing groups (None, NaN, NA, "", -1) become None.

    Args:
        files: Images, each with its group from the source, if any.
        groups: A regular expression with one capture group, a function that takes a key, or one value per image. By
            default, or if `groups` is the name of one of `columns`, the groups from the source are used.
        columns: Names of the source's columns.

    Raises:
        InputError: `groups` is none of the options above, or matches no image.

    Example:

    >>> files = [ImageFile(f"p{index // 2}_{index}.png", "", "cat") for index in range(3)]
    >>> [file.group for file in with_groups(files, r"(p\d+)_")]
    ['p0', 'p0', 'p1']
    """
    if groups is None or (isinstance(groups, str) and groups in columns):
        values = [file.group for file in files]
    elif isinstance(groups, str):
        values = _searched(files, groups, list(columns))
    elif callable(groups):
        values = [groups(file.key) for file in files]
    else:
        if not hasattr(groups, "__iter__"):
            raise invalid(
                "groups", groups, "be a regular expression, a function that takes a path, or one value per image"
            )
        values = list(np.asarray(groups) if hasattr(groups, "__array__") else groups)
        if len(values) != len(files):
            raise InputError(
                f"`groups` must contain one value per image. Received: {len(values)} groups for {len(files)} images."
            )
    return [replace(file, group=_group_name(value)) for file, value in zip(files, values, strict=True)]


def group_numbers(files: Sequence[ImageFile]) -> np.ndarray | None:
    """Return a group number per image, int64 of shape `(images,)`, or None if no image has a group."""
    if all(file.group is None for file in files):
        return None
    numbers: dict[Any, int] = {}
    keys = [(file.group,) if file.group is not None else (None, index) for index, file in enumerate(files)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], "int64")


def check_given_splits(files: Sequence[ImageFile]) -> None:
    """Raise if a group has images in more than one of the splits that the data set defines."""
    if all(file.part is None for file in files):
        return
    first: dict[str, ImageFile] = {}
    for file in files:
        if file.group is None:
            continue
        other = first.setdefault(file.group, file)
        parts = other.part or "train", file.part or "train"
        if parts[0] != parts[1]:
            raise InputError(
                f"Group {file.group!r} has images in {parts[0]} ({other.path!r}) and in {parts[1]} ({file.path!r}), "
                "so the model would be tested on a group that it was trained on. Move all images of the group to one "
                "split, or remove the splits."
            )


def _searched(files: Sequence[ImageFile], expression: str, columns: list[str]) -> list[str | None]:
    other = f", or one of the columns {', '.join(columns)}" if columns else ""
    requirement = f"be a regular expression with one capture group{other}"
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise invalid("groups", expression, requirement, f"This expression is invalid: {error}.") from None
    if pattern.groups != 1:
        raise invalid("groups", expression, requirement, r"An example is r'(patient\d+)_'.")
    matches = [pattern.search(file.key) for file in files]
    missing = [file.key for file, match in zip(files, matches, strict=True) if match is None]
    if missing and len(missing) == len(files):
        raise invalid(
            "groups",
            expression,
            "match the paths",
            f"It matches none of the {len(files)} paths, such as {missing[0]!r}.",
        )
    if missing:
        warn(
            f"groups={expression!r} does not match {len(missing)} of {len(files)} paths, such as {missing[0]!r}; each "
            "of these images is a group of its own."
        )
    return [match and match[1] for match in matches]


def _group_name(value: Any) -> str | None:
    if is_missing(value):
        return None
    if isinstance(value, float | np.floating) and not float(value).is_integer():
        return str(value)
    name = str(value) if isinstance(value, tuple) else name_of(value)
    return None if name == "-1" else name
