"""Pair images in memory, or paths of images, with their labels."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkeras.data.labels import is_missing, label_names, name_of
from tlkeras.data.listing import ImageFile, normalized
from tlkeras.data.pixel_range import scaled_pixels
from tlkeras.data.tables import is_frame
from tlkeras.errors import InputError, warn
from tlkeras.utils.validation import shown


def pair(images: Sequence[Any], labels: Sequence[Any], classes: Sequence[Any] | None = None) -> list[ImageFile]:
    """Pair images or paths with their labels.

    Args:
        images: Paths, pixels in [0, 255], or anything else that `read_image` accepts.
        labels: One entry per image: a name or number, a list of names or numbers, or a row of 0s and 1s.
        classes: Names of the columns if `labels` are rows of 0s and 1s. Defaults to the column numbers, or to the
            column names of a data frame.

    Raises:
        InputError: `images` and `labels` differ in length, pixels have already been scaled, labels are not names or
            whole numbers, or a path occurs twice with different labels.
    """
    labels = unpacked_labels(labels, classes)
    if hasattr(images, "__array__"):  # a tensor
        images = np.asarray(images)
    if not (hasattr(images, "__len__") and hasattr(labels, "__len__")):
        kinds = f"{type(images).__name__} and {type(labels).__name__}"
        raise InputError(f"`source` and `labels` must be sequences or arrays. Received: {kinds}.")
    if len(images) != len(labels):
        raise InputError(
            f"`labels` must contain one label per image. Received: {len(images)} images, {len(labels)} labels."
        )
    if wrong := scaled_pixels(images):
        raise InputError(wrong)
    files: list[ImageFile] = []
    first: dict[str, int] = {}
    repeated = 0
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        is_path = isinstance(image, str | os.PathLike)
        path = os.fspath(image) if is_path else f"image {index}"
        key = normalized(path) if is_path else str(index)
        files.append(ImageFile(key, path, label, content=None if is_path else image))
        if first.setdefault(key, index) != index:
            repeated += 1
            _check_same_label(files, first[key], index)
    if repeated:
        warn(f"{repeated} of {len(files)} paths repeat an earlier path, so their images are counted more than once.")
    return files


def _check_same_label(files: Sequence[ImageFile], index: int, other: int) -> None:
    names = [label_names(files[one].label) for one in (index, other)]
    if names[0] != names[1]:
        raise InputError(
            f"Images {index} and {other} are the same file, {files[index].path!r}, but have different labels: "
            f"{', '.join(names[0])} and {', '.join(names[1])}. List each file once; if images have several labels, "
            "pass a list of labels for each image."
        )


def unpacked_labels(labels: Any, classes: Sequence[Any] | None = None) -> Any:
    """Convert a column, a tensor or rows of 0s and 1s to one label, or one list of labels, per image."""
    names = None
    if is_frame(labels):
        names = [name_of(name) for name in labels.columns]
    if isinstance(labels, np.ma.MaskedArray):
        labels = np.array(labels.tolist(), object)  # masked values become None
    elif hasattr(labels, "__array__"):
        labels = np.asarray(labels)
    elif _is_matrix(labels):
        labels = np.array([list(row) for row in labels])
    if not isinstance(labels, np.ndarray) or labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim != 2:
        raise InputError(f"`labels` must contain one label or one row per image. Received: shape {labels.shape}.")
    if labels.dtype.kind in "US":
        return labels.tolist()
    if names is None and classes is not None and len(classes) == labels.shape[1]:
        names = [name_of(name) for name in classes]
    return [_positive(index, row, names or range(len(row))) for index, row in enumerate(labels.tolist())]


def _is_matrix(labels: Any) -> bool:
    """Return whether labels are rows of numbers of equal length rather than lists of names."""
    if not isinstance(labels, list | tuple) or not labels:
        return False
    rows = [row for row in labels if isinstance(row, list | tuple | np.ndarray)]
    if len(rows) < len(labels) or len({len(row) for row in rows}) != 1 or not len(rows[0]):
        return False
    return all(isinstance(value, int | float | np.number | np.bool_) for row in rows for value in row)


def _positive(index: int, row: list[Any], names: Sequence[Any]) -> list[str] | None:
    """Return the names of the columns that are 1, or None if all values in the row are missing."""
    if all(is_missing(value) for value in row):
        return None
    if any(value not in (0, 1) for value in row):
        raise InputError(
            f"Rows of labels must contain only 0 and 1. Received: {shown(row)} for image {index}. `load_images` does "
            "not support boxes, scores or soft labels."
        )
    return [str(name) for name, value in zip(names, row, strict=True) if value]
