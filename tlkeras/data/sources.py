"""Where images come from: folders, tables, arrays, TensorFlow Datasets, Hugging Face datasets."""

import csv
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.listing import PART_NAMES, ImageFile, list_folder
from tlkeras.data.pixel_range import scaled_pixels
from tlkeras.errors import InputError
from tlkeras.utils.naming import suggestions

_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "image"),
    "label": ("label", "class", "category"),
    "part": ("split", "part"),
    "group": ("group", "patient", "session"),
}


def list_images(
    source: Any, labels: Sequence[Any] | None = None, label_of: Callable[[str], str] | None = None
) -> tuple[tuple[str, ...], list[ImageFile]]:
    """Lists the images of any source that `load_images` takes: the class names and the images."""
    if isinstance(source, str) and source.startswith("tfds:"):
        return _from_tfds(_tfds_builder(source.removeprefix("tfds:")))
    if isinstance(source, str | os.PathLike):
        if source == "":  # which a Path would take for the folder one is in
            raise InputError("There is no directory ''.")
        if labels is not None:
            raise InputError(f"labels= belong to images or paths in a sequence. Received them with {str(source)!r}.")
        if label_of is not None:
            if not callable(label_of):
                raise InputError(f"label_of is a function from a path to a label. Received: label_of={label_of!r}")
            return _named(_flat_folder(Path(source), label_of))
        if Path(source).suffix.lower() in (".csv", ".tsv") and not Path(source).is_dir():
            return _named(_table(Path(source)))
        return list_folder(source)
    if hasattr(source, "as_dataset") and hasattr(source, "info"):
        return _from_tfds(source)
    if hasattr(source, "cast_column"):
        return _from_hugging_face(source)
    if labels is not None:
        return _named(_pairs(source, labels))
    raise InputError(
        "load_images takes a directory, a CSV file, 'tfds:NAME', a TFDS builder, a Hugging Face data set, or images "
        f"with labels=. Received: {type(source).__name__} without labels."
    )


def _named(files: list[ImageFile]) -> tuple[tuple[str, ...], list[ImageFile]]:
    """Names the classes in order; numbers by value, so that labels 0, 1, ... 11 stay what they are."""
    names = {file.label for file in files}
    return tuple(sorted(names, key=int if all(name.isdecimal() for name in names) else None)), files


def _pairs(images: Sequence[Any], labels: Sequence[Any]) -> list[ImageFile]:
    labels = _flat_labels(labels)
    if hasattr(images, "__array__"):  # a tensor
        images = np.asarray(images)
    if not (hasattr(images, "__len__") and hasattr(labels, "__len__")):
        kinds = f"{type(images).__name__} and {type(labels).__name__}"
        raise InputError(f"Images and their labels are sequences or arrays of one length. Received: {kinds}.")
    if len(images) != len(labels):
        raise InputError(f"There must be a label for each image. Received: {len(images)} images, {len(labels)} labels.")
    if np.ndim(labels) != 1:
        raise InputError(
            "A label is a number or a name: make it of one-hot rows by labels.argmax(axis=1). "
            f"Received: labels of shape {np.shape(labels)}."
        )
    if wrong := scaled_pixels(images):
        raise InputError(wrong)
    files = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        named = isinstance(image, str | os.PathLike)
        path = os.fspath(image) if named else f"image {index}"
        files.append(ImageFile(path if named else str(index), path, str(label), content=None if named else image))
    return files


def _flat_labels(labels: Sequence[Any]) -> Sequence[Any]:
    """The labels one by one, also of a column of them or of a tensor."""
    if not hasattr(labels, "__array__"):
        return labels
    labels = np.asarray(labels)
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _flat_folder(root: Path, label_of: Callable[[str], str]) -> list[ImageFile]:
    if not root.is_dir():
        raise InputError(f"There is no directory {str(root)!r}.")
    keys = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    keys = [key for key in keys if not any(part.startswith(".") for part in Path(key).parts)]
    labels = {key: label_of(key) for key in keys}
    return [ImageFile(key, str(root / key), str(labels[key])) for key in keys if labels[key] is not None]


def _table(path: Path) -> list[ImageFile]:
    try:
        return _rows(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {str(path)!r}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not in UTF-8; save it so.") from error


def _rows(path: Path) -> list[ImageFile]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        names = {name.strip().lower(): name for name in rows.fieldnames or ()}
        columns = {
            what: next((names[name] for name in known if name in names), None) for what, known in _COLUMNS.items()
        }
        for what in ("path", "label"):
            if columns[what] is None:
                raise InputError(
                    f"{str(path)!r} has no column for the {what}: call it {' or '.join(_COLUMNS[what])}. "
                    f"Received: {', '.join(rows.fieldnames or ())}."
                )
        return [_row(path, number, row, columns) for number, row in enumerate(rows, start=2)]


def _row(path: Path, number: int, row: dict[str, str], columns: dict[str, str | None]) -> ImageFile:
    values = {what: (row[column] or "").strip() if column else "" for what, column in columns.items()}
    if not values["path"] or not values["label"]:
        raise InputError(f"{str(path)!r}, line {number}: a path and a label are wanted. Received: {row}.")
    part = values["part"].lower()
    if part and part not in PART_NAMES:
        raise InputError(f"{str(path)!r}, line {number}: split is train, validation or test. Received: {part!r}.")
    file = str(path.parent / values["path"])
    return ImageFile(values["path"], file, values["label"], PART_NAMES.get(part), values["group"] or None)


def _tfds_builder(name: str) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError("Data sets named 'tfds:...' need the package tensorflow-datasets.") from error
    try:
        builder = tfds.builder(name)
    except ValueError:  # DatasetNotFoundError is one, whose message lists all that there are
        near = suggestions(name, tfds.list_builders(with_community_datasets=False))
        raise InputError(f"TensorFlow Datasets knows no data set {name!r}.{near}") from None
    if not builder.data_path.exists():
        raise InputError(
            f"The data set {name!r} is not on this machine. Fetch it once, which needs a network: "
            f"import tensorflow_datasets; tensorflow_datasets.builder({name!r}).download_and_prepare()"
        )
    return builder


def _from_tfds(builder: Any) -> tuple[tuple[str, ...], list[ImageFile]]:
    import tensorflow_datasets as tfds

    if "label" not in builder.info.features or "image" not in builder.info.features:
        raise InputError(f"A data set of images with labels is wanted. Received: features {builder.info.features}.")
    names = builder.info.features["label"].names
    splits, files = _parts(builder.info.splits), []
    for split, part in splits.items():
        try:  # the compressed content takes far less memory than the pixels
            examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        except NotImplementedError:  # ImageFolder decodes by itself
            examples = builder.as_dataset(split=split)
        for index, example in enumerate(examples.as_numpy_iterator()):
            label, key = names[int(example["label"])], f"{split}/{index}"
            files.append(ImageFile(key, f"{builder.name} {key}", label, part, content=example["image"]))
    return tuple(sorted(names)), files


def _from_hugging_face(source: Any) -> tuple[tuple[str, ...], list[ImageFile]]:
    sets = dict(source) if isinstance(source, dict) else {"all": source}
    splits, files = _parts(sets), []
    for split, part in splits.items():
        one = sets[split]
        images = next((name for name in ("image", "img") if name in one.column_names), None)
        labels = next((name for name in ("label", "labels") if name in one.column_names), None)
        if images is None or labels is None:
            raise InputError(f"The columns image and label are wanted. Received: {', '.join(one.column_names)}.")
        names = getattr(one.features[labels], "names", None)
        for index, label in enumerate(one[labels]):
            name = names[label] if names else str(label)
            content = partial(_cell, one, index, images)
            files.append(ImageFile(f"{split}/{index}", f"{split} {index}", name, part, content=content))
    return _named(files)


def _cell(rows: Any, index: int, column: str) -> Any:
    return rows[index][column]


def _parts(splits: Any) -> dict[str, str | None]:
    """Which splits to read, and as which part: a single one is split by us, of several the known ones are kept."""
    names = list(splits)
    if len(names) == 1:
        return {names[0]: None}
    return {name: PART_NAMES[name.lower()] for name in names if name.lower() in PART_NAMES}


def given_groups(files: Sequence[ImageFile], groups: Sequence[Any] | Callable[[str], Any] | None) -> np.ndarray | None:
    """The groups that the user or the data set gives, one number an image; `None` where there are none."""
    if callable(groups):
        values = [groups(file.key) for file in files]
    elif groups is not None:
        if not hasattr(groups, "__iter__"):
            raise InputError(f"groups are a value for each image, or a function of its path. Received: {groups!r}.")
        values = list(groups)
        if len(values) != len(files):
            raise InputError(f"There must be a group for each image. Received: {len(values)} for {len(files)} images.")
    elif any(file.group is not None for file in files):
        values = [file.group if file.group is not None else f"alone {file.key}" for file in files]
    else:
        return None
    return np.unique([str(value) for value in values], return_inverse=True)[1]
