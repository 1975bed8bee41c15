"""Folders and files that appear whole or not at all."""

import os
import platform
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError


def check_output(path, replaceable=frozenset()):
    """Refuses an output folder early, before any work, rather than late. Makes nothing.

    Args:
        path: The folder to be written.
        replaceable: Names of files that it may hold already, all of which will be replaced.

    Raises:
        InputError: It holds other things, or cannot be written.
    """
    try:
        _check(Path(path), Path(path).resolve(), replaceable)
    except OSError as error:
        raise InputError(f"The output folder {str(path)!r} cannot be written: {error.strerror}.") from error


def check_folder(path):
    """Refuses a folder, there or to be made, that cannot be written to, as far as can be told without trying.

    Args:
        path: The folder.

    Raises:
        InputError: The folder, or the one that it would be made in, is a file or not open to writing.
    """
    place = _existing(Path(path).resolve())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        why = "not open to writing" if place.is_dir() else "a file"
        raise InputError(f"The folder {str(path)!r} cannot be written: {str(place)!r} is {why}.")


def check_outside(path, directory):
    """Refuses a folder to be written that lies within a folder of images, where it would count as a class.

    Args:
        path: The folder to be written.
        directory: The folder of images.

    Raises:
        InputError: It lies there, or is the same.
    """
    if Path(path).resolve().is_relative_to(Path(directory).resolve()):
        raise InputError(
            f"The folder {str(path)!r} lies within {str(directory)!r} and would count as a class there; choose a "
            "folder outside."
        )


def check_room(path, size):
    """Refuses a folder, there or to be made, on whose disk there is no room.

    Args:
        path: The folder.
        size: Bytes that it takes at least.

    Raises:
        InputError: Fewer are free.
    """
    place = _existing(Path(path).resolve())
    free = shutil.disk_usage(place).free
    if free < size:
        raise InputError(
            f"The folder {str(path)!r} needs {size / 1e6:.0f} MB or more, and {free / 1e6:.0f} MB are free on its "
            "disk: make room, or name a folder elsewhere."
        )


def _existing(path):
    """A folder, or of those it lies in the nearest that there is."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _check(path, resolved, replaceable):
    if resolved == Path.cwd() or resolved in Path.cwd().parents:
        raise InputError(f"The output folder {str(path)!r} holds the folder you are in; name another one.")
    if resolved.exists() and not resolved.is_dir():
        raise InputError(f"The output {str(path)!r} is a file; name a folder that may be made.")
    if resolved.exists() and any(entry.name not in replaceable for entry in resolved.iterdir()):
        raise InputError(f"The output folder {str(path)!r} holds other things; name another one.")
    check_folder(resolved.parent)
    parent = _existing(resolved.parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{resolved.name}."):  # a name too long shows itself here
        pass


@contextmanager
def written_whole(path, replaceable=frozenset()):
    """A folder that appears under its name only when all of it is written.

    Args:
        path: The folder to be.
        replaceable: As in `check_output`.

    Yields:
        `pathlib.Path` of a temporary folder beside it, renamed at the end and removed if an error passes through.

    Raises:
        InputError: As in `check_output`.
    """
    check_output(path, replaceable)
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield part
        part.chmod(0o755)  # mkdtemp's is for the owner alone
        if path.exists():
            _replace(path, part)
        else:
            part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def file_written_whole(path):
    """A file that appears under its name, or replaces the one that is there, only when all of it is written.

    Args:
        path: `pathlib.Path` of the file to be.

    Yields:
        `pathlib.Path` of a hidden file beside it, of this process alone, to be written.
    """
    part = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _replace(path, part):
    """Puts `part` in the place of `path`, which goes back there if that fails."""
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    old = path.rename(aside / path.name)
    try:
        part.rename(path)
    except BaseException:
        old.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
