"""Write folders and files atomically, and reject unusable locations early."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError


def check_output(path: str | os.PathLike, replaceable: Collection[str] = frozenset()) -> None:
    """Reject an unusable output folder before any work is done, without creating anything.

    Args:
        path: The output folder.
        replaceable: Names of files that the folder may already contain, since they will be replaced.

    Raises:
        InputError: The folder contains other files or is not writable.
    """
    try:
        _check(Path(path), Path(path).resolve(), replaceable)
    except OSError as error:
        raise InputError(f"Cannot write to the output folder {str(path)!r}: {error.strerror}.") from error


def check_folder(path: str | os.PathLike) -> None:
    """Reject a folder that is not writable, whether or not it exists, without trying to write to it.

    Args:
        path: The folder to check.

    Raises:
        InputError: The folder, or the existing folder in which it would be created, is a file or is not writable.
    """
    place = _existing(Path(path).resolve())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        why = "not writable" if place.is_dir() else "a file"
        raise InputError(f"Cannot write to the folder {str(path)!r}: {str(place)!r} is {why}.")


def check_outside(path: str | os.PathLike, directory: str | os.PathLike) -> None:
    """Reject an output folder inside a folder of images, where it would be read as a class.

    Args:
        path: The output folder.
        directory: The folder of images.

    Raises:
        InputError: `path` is inside `directory`, or is `directory` itself.
    """
    if Path(path).resolve().is_relative_to(Path(directory).resolve()):
        raise InputError(
            f"The folder {str(path)!r} is inside {str(directory)!r}, where it would be read as a class. Choose "
            "another folder."
        )


def check_room(path: str | os.PathLike, size: int) -> None:
    """Reject a folder on a disk without enough free space, whether or not the folder exists.

    Args:
        path: The folder to check.
        size: Number of bytes that must be free.

    Raises:
        InputError: Fewer than `size` bytes are free.
    """
    place = _existing(Path(path).resolve())
    free = shutil.disk_usage(place).free
    if free < size:
        raise InputError(
            f"The folder {str(path)!r} needs at least {size / 1e6:.0f} MB, but only {free / 1e6:.0f} MB "
            "are free on its disk. Free up some space, or choose a folder on another disk."
        )


def _existing(path):
    """Return the folder, or its nearest ancestor that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _check(path, resolved, replaceable):
    """Reject an unusable output folder, or raise the `OSError` that the system reports."""
    if resolved == Path.cwd() or resolved in Path.cwd().parents:
        raise InputError(f"The output folder {str(path)!r} contains the current folder. Choose another folder.")
    if resolved.exists() and not resolved.is_dir():
        raise InputError(f"The output {str(path)!r} is a file. Choose a folder.")
    if resolved.exists() and any(entry.name not in replaceable for entry in resolved.iterdir()):
        raise InputError(f"The output folder {str(path)!r} contains other files. Choose another folder.")
    check_folder(resolved.parent)
    parent = _existing(resolved.parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{resolved.name}."):  # a name that is too long fails here
        pass


@contextmanager
def written_whole(
    path: str | os.PathLike, replaceable: Collection[str] = frozenset(), within: Path | None = None
) -> Iterator[Path]:
    """Write a folder under a temporary name, and rename it when it is complete.

    Args:
        path: The output folder.
        replaceable: As in `check_output`.
        within: Existing folder for the temporary folder, on the disk of `path`. Defaults to None, the parent of `path`.

    Yields:
        Path of a temporary folder. It is renamed at the end, or removed if an error occurs.

    Raises:
        InputError: As in `check_output`.
    """
    check_output(path, replaceable)
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=within or path.parent, prefix=f".{path.name}."))
    try:
        yield part
        part.chmod(0o755)  # mkdtemp gives access only to the owner
        if path.exists():
            _replace(path, part)
        else:
            part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def file_written_whole(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, and rename it, replacing any older file, when it is complete.

    Args:
        path: The file to write.

    Yields:
        Path of a hidden file next to `path`, used only by this process.
    """
    part = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_picture(save: Callable, path: Path, **options) -> None:
    """Save a picture or a figure to a file, which gets its name only when it is complete.

    Args:
        save: Method `save` of a PIL image, or `savefig` of a matplotlib figure.
        path: The file to write. The suffix determines the format.
        **options: Further arguments of `save`.
    """
    with file_written_whole(path) as part:
        save(part, format=path.suffix[1:], **options)


def _replace(path, part):
    """Replace `path` with `part`, and restore `path` if that fails."""
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    old = path.rename(aside / path.name)
    try:
        part.rename(path)
    except BaseException:
        old.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
