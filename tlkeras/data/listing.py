"""List the files of a data set on disk with the class of each file and, if the folders define splits, its split."""

import os
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlkeras.data.labels import name_of, ordered
from tlkeras.errors import InputError, warn

_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}
PART_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
# Folders that systems create next to the user's: NAS thumbnails, resource forks in zip files from macOS, trash.
_SYSTEM_FOLDERS = {"@eadir", "#recycle", "__macosx", "$recycle.bin", "system volume information", "lost+found"}
_SPLIT_NAME = re.compile(
    r"(?:^|[^a-z])(?:train|training|test|testing|val|valid|validation|dev|eval)"
    r"[^a-z]*(?:set|split|data|images|imgs)?(?:[^a-z]|$)",
    re.IGNORECASE,
)
_LAYOUT = "it must contain one folder per class, with image files in each folder"


@dataclass(frozen=True)
class ImageFile:
    """A file that should be an image, or an entry of a data set that is not stored as image files.

    Attributes:
        key: Unique name within the data set: the path, with forward slashes, or a number.
        path: Path to open, or a name for messages.
        label: Name of the image's class; a tuple of names in a multi-label data set. A source may set a number, a list
            or a missing value, which `name_classes` turns into names.
        part: `"train"`, `"validation"` or `"test"` if the data set defines it, else `None`.
        group: Group of images that must stay together, such as those of one patient; `None` if the image has no group.
        content: Image in any form that `read_image` accepts. Defaults to `None`, which means that `path` is read.
    """

    key: str
    path: str
    label: Any
    part: str | None = None
    group: Any = None
    content: Any = None

    @property
    def source(self) -> Any:
        return self.path if self.content is None else self.content


def list_folder(directory: str | os.PathLike) -> tuple[tuple[str, ...], list[ImageFile]]:
    """List the class folders of a directory and the files in them, in an order that does not depend on the file system.

    A directory with the folders `train` and `val` or `test` (or other common names for these splits), each with class
    folders, is treated as already split. Hidden files, system folders such as `__MACOSX` and `@eaDir`, and files
    outside the class folders are left out. Symbolic links to folders are followed, each folder once per class.

    Returns:
        The class names in Unicode's composed form, sorted (by value if all are numbers), and the files, sorted by
        folder and path.

    Raises:
        InputError: The directory does not exist, has no class folders, or has splits that cannot be used: they have
            unusual names (`training_set`), other folders next to them, no `train` among them, or no class folders.
    """
    root = check_directory(directory)
    try:
        folders = [(name, None) for name in _folders(root)]
        if _is_split(root, [name for name, _ in folders]):
            folders = [
                (f"{part}/{name}", PART_NAMES[part.lower()]) for part, _ in folders for name in _folders(root / part)
            ]
        files = [
            ImageFile(path, str(root / path), name_of(Path(folder).name), part)
            for folder, part in folders
            for path in files_within(root, folder)
        ]
    except OSError as error:
        raise InputError(f"Cannot list {error.filename!r}: {error.strerror}.") from error
    if not folders:
        raise InputError(f"No images in {str(root)!r}: {_LAYOUT}.")
    return ordered(name_of(Path(folder).name) for folder, _ in folders), files


def check_directory(directory: str | os.PathLike) -> Path:
    """Return `directory` as a path, or raise if it is not a directory."""
    if not isinstance(directory, str | os.PathLike):
        raise InputError(f"The path of a folder is required. Received: {type(directory).__name__}.")
    root = Path(directory)
    if not root.exists() or directory == "":  # Path("") would be the current folder
        raise InputError(f"There is no directory {str(directory)!r}.")
    if not root.is_dir():
        raise InputError(f"{str(root)!r} is not a directory: {_LAYOUT}.")
    return root


def normalized(path: str) -> str:
    """Return a path in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", path)


def with_normalized_keys(files: list[ImageFile]) -> list[ImageFile]:
    """Return the files with keys in composed form, so that a copy of the data made on macOS is split identically."""
    seen: set[str] = set()
    renamed = []
    for file in files:
        key = normalized(file.key)
        while key in seen:  # two names in a folder can differ only in their Unicode form
            key += "'"
        seen.add(key)
        renamed.append(replace(file, key=key))
    return renamed


def files_within(root: Path, folder: str = "") -> list[str]:
    """List the visible files below a folder as sorted paths relative to `root`.

    Links are followed once per real folder and never to a parent folder, so circular links do no harm.
    """

    def refuse(error: OSError) -> None:
        raise error

    top, real_top = root / folder, Path(os.path.realpath(root / folder))
    seen = {os.path.realpath(parent) for parent in (top, *top.absolute().parents)} | set(map(str, real_top.parents))
    paths = []
    for place, subfolders, names in os.walk(top, onerror=refuse, followlinks=True):
        visible = [name for name in sorted(subfolders) if _is_visible(name)]
        subfolders.clear()
        for name in visible:
            real = os.path.realpath(Path(place) / name)
            if real not in seen:
                seen.add(real)
                subfolders.append(name)
        paths += [
            (Path(place) / name).relative_to(root).as_posix()
            for name in names
            if not name.startswith(".") and name.lower() not in _SYSTEM_FILES
        ]
    return sorted(paths)


def _folders(root: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(root) if _is_visible(entry.name) and entry.is_dir())


def _is_visible(folder: str) -> bool:
    return not folder.startswith(".") and folder.lower() not in _SYSTEM_FOLDERS


def _is_split(root: Path, names: list[str]) -> bool:
    """Return whether folders are splits: all have split names and contain class folders. Raise if only some do."""
    parts = [name for name in names if name.lower() in PART_NAMES]
    if not any(_folders(root / name) for name in parts):
        _check_classes(root, names)
        return False  # classes that happen to have the names of splits
    within = {name: {name_of(one) for one in _folders(root / name)} for name in names}
    others = [name for name in names if name not in parts]
    if others:
        pairs = ((part, name) for part in parts for name in names if name != part)
        if not any(within[part] & within[name] for part, name in pairs):
            return False  # a class that has subfolders
        raise InputError(
            f"{str(root)!r} is split into {', '.join(parts)}, but also contains {others[0]!r}. Move it elsewhere, or "
            "rename it to train, val or test if it is a split. If train is a class, rename that folder."
        )
    if len(parts) < 2:
        return False
    if "train" not in {PART_NAMES[name.lower()] for name in parts}:
        raise InputError(
            f"{str(root)!r} is split into {', '.join(parts)}, but none of them is called train. Rename the one with "
            "the training images to train."
        )
    if bare := [name for name in parts if not within[name]]:
        raise InputError(f"{str(root)!r} is split into {', '.join(parts)}, but {bare[0]!r} contains no class folders.")
    return True


def _check_classes(root: Path, names: list[str]) -> None:
    """Raise if the folder names look like splits, and warn if all folders have the same subfolders, as domains do."""
    splits = [name for name in names if _SPLIT_NAME.search(name)]
    tops = splits if len(splits) > 1 else names
    shared: set[str] | None = None
    for name in tops:
        inner = {name_of(one) for one in _folders(root / name)}
        shared = inner if shared is None else shared & inner
        if not shared:
            return  # usually after the first folder, because most classes have no subfolders
    listed, inside = ", ".join(tops[:3]), ", ".join(sorted(shared or ())[:3])
    if len(splits) > 1:
        raise InputError(
            f"{str(root)!r} appears to be split into {listed}, which contain the same folders ({inside}). Rename "
            "the outer folders to train, val or test, so that they are recognized as splits."
        )
    if len(tops) > 1 and len(shared or ()) > 1:
        warn(
            f"All folders of {str(root)!r} ({listed}, ...) contain folders with the same names ({inside}, ...). The "
            "outer folders are used as classes. To use the inner ones, pass label_of=lambda path: path.split('/')[1]."
        )
