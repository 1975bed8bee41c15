"""Listing a data set on disk: which files there are, of which class, and in which split where that is given."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkeras.errors import InputError

_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}
PART_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_WANTED = "it wants a folder for each class, with image files in it"


@dataclass(frozen=True)
class ImageFile:
    """A file that should be an image, or what stands for one in a data set that is not made of files.

    Attributes:
        key: unique name within the data set: the path, with forward slashes, or a number.
        path: path that opens it, or its name in messages.
        label: name of its class.
        part: `"train"`, `"validation"` or `"test"` where the data set gives it, else `None`.
        group: what must stay together with it, such as the patient; `None` if nothing is known.
        content: what `read_image` takes; by default the path.
    """

    key: str
    path: str
    label: str
    part: str | None = None
    group: Any = None
    content: Any = None

    @property
    def source(self) -> Any:
        return self.path if self.content is None else self.content


def list_folder(directory: str | os.PathLike) -> tuple[tuple[str, ...], list[ImageFile]]:
    """Lists the class folders of a directory and the files in them, in an order that does not depend on the disk.

    A directory of the folders `train` and `val` or `test` (or a usual name for them), each with class folders, is
    taken as already split. Hidden files and files outside of class folders are left out.

    Returns:
        The class names, sorted, and the files, sorted by class and path.

    Raises:
        InputError: no such directory, not a directory, no class folders in it, or splits with something else beside
            them, without a train among them or without class folders.
    """
    if not isinstance(directory, str | os.PathLike):
        raise InputError(f"A directory of images is wanted. Received: {type(directory).__name__}")
    root = Path(directory)
    if not root.exists():
        raise InputError(f"There is no directory {str(root)!r}.")
    if not root.is_dir():
        raise InputError(f"{str(root)!r} is not a directory: {_WANTED}.")
    try:
        folders = [(name, None) for name in _folders(root)]
        if _is_split(root, [name for name, _ in folders]):
            folders = [
                (f"{part}/{name}", PART_NAMES[part.lower()]) for part, _ in folders for name in _folders(root / part)
            ]
        files = [
            ImageFile(key, str(root / key), Path(folder).name, part)
            for folder, part in folders
            for key in sorted(_files_within(root, folder))
        ]
    except OSError as error:
        raise InputError(f"Cannot list {error.filename!r}: {error.strerror}.") from error
    if not folders:
        raise InputError(f"No images in {str(root)!r}: {_WANTED}.")
    return tuple(sorted({Path(folder).name for folder, _ in folders})), files


def _folders(root: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))


def _is_split(root: Path, names: list[str]) -> bool:
    """Whether folders are splits: all are called so and hold class folders. What is nearly so is refused."""
    parts = [name for name in names if name.lower() in PART_NAMES]
    if not any(_folders(root / name) for name in parts):
        return False  # classes that happen to be called like splits
    within = {name: set(_folders(root / name)) for name in names}
    others = [name for name in names if name not in parts]
    if others:
        pairs = ((part, name) for part in parts for name in names if name != part)
        if not any(within[part] & within[name] for part, name in pairs):
            return False  # a class with folders of its own
        raise InputError(
            f"{str(root)!r} is split into {', '.join(parts)}, but {others[0]!r} lies beside them; move it elsewhere, "
            "or call it train, val or test if it is a split. A class with folders in it wants another name."
        )
    if len(parts) < 2:
        return False
    if "train" not in {PART_NAMES[name.lower()] for name in parts}:
        raise InputError(f"{str(root)!r} is split into {', '.join(parts)}, but none of them is called train.")
    if bare := [name for name in parts if not within[name]]:
        raise InputError(f"{str(root)!r} is split into {', '.join(parts)}, but {bare[0]!r} has no class folders in it.")
    return True


def _files_within(root: Path, folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    for place, subfolders, names in os.walk(root / folder, onerror=refuse):
        subfolders[:] = [one for one in subfolders if not one.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower() not in _SYSTEM_FILES:
                yield (Path(place) / name).relative_to(root).as_posix()
