"""List the images from any source: a folder, a table, arrays, TensorFlow Datasets or Hugging Face."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlkeras.data import hugging_face, tfds
from tlkeras.data.arrays import pair
from tlkeras.data.listing import ImageFile, check_directory, files_within, list_folder, normalized, with_normalized_keys
from tlkeras.data.table_columns import check_columns, has_labels
from tlkeras.data.table_listing import list_table
from tlkeras.data.tables import SUFFIXES, is_frame, read_table
from tlkeras.errors import InputError
from tlkeras.utils.validation import invalid, shown


@dataclass(frozen=True)
class Listing:
    """The images from a source, before `name_classes` names the classes.

    Attributes:
        files: Images with their original labels and groups from the source.
        classes: Names of the classes that the source lists, whether or not they have images.
        columns: Names of the source's columns, if it has any.
    """

    files: list[ImageFile]
    classes: Sequence[str] = ()
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class TableOptions:
    """Options for reading a table: the arguments of `load_images` with the same names."""

    columns: Mapping[str, str | Sequence[str]] | None = None
    root: str | os.PathLike | None = None
    label_separator: str | None = None
    multilabel: bool | None = None


def list_source(
    source: Any,
    labels: Sequence[Any] | None = None,
    label_of: Callable[[str], Any] | None = None,
    table: TableOptions = TableOptions(),
    groups: Any = None,
    classes: Sequence[Any] | None = None,
) -> Listing:
    """List the images from any source that `load_images` accepts. The arguments are those of `load_images`.

    Raises:
        InputError: The source cannot be listed, or an argument does not apply to it.
    """
    check_columns(table.columns)
    kind = _kind(source, labels, label_of)
    _check_options(kind, table, labels=labels, label_of=label_of)
    if kind == "a table":
        return _table(read_table(source), source, table, groups)
    if kind == "a Hugging Face data set":
        known, files, columns = hugging_face.list_rows(source, table.columns, groups)
        return Listing(files, known, columns)
    if kind == "a TensorFlow data set":
        builder = tfds.find_builder(source.removeprefix("tfds:")) if isinstance(source, str) else source
        known, files, features = tfds.list_examples(builder, groups)
        return Listing(files, known, features)
    if kind == "images":
        return Listing(pair(source, labels, classes))
    if label_of is not None:
        return Listing(_labeled_files(check_directory(source), label_of))
    return _folder(source, table, groups)


def _kind(source: Any, labels: Any, label_of: Any) -> str:
    """Return the kind of a source in words, for messages."""
    if label_of is not None and not callable(label_of):
        raise invalid("label_of", label_of, "be a function that takes a path and returns a label")
    if isinstance(source, str | os.PathLike):
        if isinstance(source, str) and source.startswith("tfds:"):
            return "a TensorFlow data set"
        path = Path(source)
        return "a table" if path.suffix.lower() in SUFFIXES and not path.is_dir() else "a folder"
    if hasattr(source, "as_dataset") and hasattr(source, "info"):
        return "a TensorFlow data set"
    if hugging_face.is_hugging_face(source):
        return "a Hugging Face data set"
    if is_frame(source) and labels is None:
        return "a table"
    if labels is not None:
        return "images"
    raise InputError(
        "`source` must be a folder, a table (CSV, TSV, JSON Lines, Parquet or a data frame), 'tfds:NAME', a TFDS "
        f"builder, a Hugging Face data set, or images with labels=. Received: {type(source).__name__} without labels."
    )


def _check_options(kind: str, table: TableOptions, labels: Any, label_of: Any) -> None:
    if labels is not None and kind != "images":
        raise InputError(f"`labels` can only be used with a sequence of images or paths. Received: labels with {kind}.")
    if label_of is not None and kind != "a folder":
        raise InputError(f"`label_of` can only be used with folders. Received: label_of={shown(label_of)} with {kind}.")
    for name in ("columns", "root", "label_separator"):
        value = getattr(table, name)
        columns_of_rows = name == "columns" and kind == "a Hugging Face data set"
        if value is not None and kind not in ("a table", "a folder") and not columns_of_rows:
            raise InputError(f"`{name}` can only be used with tables. Received: {name}={value!r} with {kind}.")
    if table.label_separator is not None and not (isinstance(table.label_separator, str) and table.label_separator):
        raise invalid("label_separator", table.label_separator, "be text such as '|'")
    if table.multilabel not in (None, True, False):
        raise invalid("multilabel", table.multilabel, "be True, False or None")


def _table(table: Any, source: Any, options: TableOptions, groups: Any) -> Listing:
    root = options.root
    if root is None:
        root = Path(source).parent if isinstance(source, str | os.PathLike) else Path()
    files = list_table(
        table, check_directory(root), options.columns, options.label_separator, options.multilabel, groups
    )
    return Listing(files, columns=table.columns)


def _folder(source: str | os.PathLike, options: TableOptions, groups: Any) -> Listing:
    root = check_directory(source)
    if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
        raise InputError(
            f"{str(root)!r} was written by save_to_disk. Pass datasets.load_from_disk({str(root)!r}) instead."
        )
    metadata = hugging_face.metadata_files(root)
    tables = [(path, part, read_table(path)) for path, part in metadata]
    if tables and all(has_labels(table, options.columns) for _, _, table in tables):
        files, columns = [], ()
        for path, part, table in tables:
            listing, folder = _table(table, path, options, groups), path.parent.relative_to(root)
            columns = listing.columns
            files += [
                replace(file, key=(folder / file.key).as_posix(), part=part or file.part) for file in listing.files
            ]
        return Listing(files, columns=columns)
    _refuse_unread_groups(tables, groups)
    if given := [name for name in ("columns", "root", "label_separator") if getattr(options, name) is not None]:
        raise InputError(
            f"`{given[0]}` can only be used with tables. {str(root)!r} is a folder without a table of labels."
        )
    names, files = list_folder(root)
    return Listing(with_normalized_keys(files), names)


def _refuse_unread_groups(tables: Sequence[tuple], groups: Any) -> None:
    """Raise if `groups` names a column of a metadata file that has no labels and is therefore not read."""
    for path, _, table in tables:
        if isinstance(groups, str) and groups in table.columns:
            raise InputError(
                f"`groups` must not name a column of {path.name}, which is not read because it has no label column. "
                f"Received: groups={groups!r}. Add a column `label` to the table, or pass columns={{'label': NAME}}."
            )


def _labeled_files(root: Path, label_of: Callable[[str], Any]) -> list[ImageFile]:
    files = []
    for path in files_within(root):
        label = label_of(normalized(path))
        if label is not None:
            files.append(ImageFile(path, str(root / path), label))
    return with_normalized_keys(files)
