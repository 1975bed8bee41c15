"""Folders and files that appear whole or not at all."""

import os
import platform
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError

#: What a run consists of. A folder that holds anything else is not ours to replace.
RUN_FILES = frozenset({"model.keras", "labels.json", "metrics.json", "confusion.png"})


def check_output(path, overwrite=False):
    """Refuses an output folder early, before any work, rather than late. Makes nothing.

    Args:
        path: The folder to be written.
        overwrite: Whether a run that is there may be replaced. Anything else is never replaced.

    Raises:
        InputError: It is there already, holds other things, or cannot be written.
    """
    try:
        _check(Path(path), Path(path).resolve(), overwrite)
    except OSError as error:
        raise InputError(f"The output folder {str(path)!r} cannot be written: {error.strerror}.") from error


def check_folder(path):
    """Refuses a folder, there or to be made, that cannot be written to, as far as can be told without trying.

    Args:
        path: The folder.

    Raises:
        InputError: It cannot.
    """
    resolved = Path(path).resolve()
    place = next(folder for folder in (resolved, *resolved.parents) if folder.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        why = "not open to writing" if place.is_dir() else "a file"
        raise InputError(f"The folder {str(path)!r} cannot be written: {str(place)!r} is {why}.")


def _check(path, resolved, overwrite):
    if resolved == Path.cwd() or resolved in Path.cwd().parents:
        raise InputError(f"The output folder {str(path)!r} holds the folder you are in; name another one.")
    if resolved.exists() and not resolved.is_dir():
        raise InputError(f"The output {str(path)!r} is a file; name a folder that may be made.")
    found = {entry.name for entry in resolved.iterdir()} if resolved.exists() else set()
    if found and not ("metrics.json" in found and found <= RUN_FILES):
        raise InputError(f"The output folder {str(path)!r} holds other things than a run; name another one.")
    if found and not overwrite:
        raise InputError(f"The output folder {str(path)!r} exists; add --overwrite to replace that run.")
    check_folder(resolved.parent)
    parent = next(folder for folder in resolved.parents if folder.exists())
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{resolved.name}."):  # a name too long shows itself here
        pass


@contextmanager
def written_whole(path, overwrite=False):
    """A folder that appears under its name only when all of it is written.

    Args:
        path: The folder to be.
        overwrite: Whether a run that is there is replaced.

    Yields:
        `pathlib.Path` of a temporary folder beside it, renamed at the end and removed if an error passes through.

    Raises:
        InputError: As in `check_output`.
    """
    check_output(path, overwrite)
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
