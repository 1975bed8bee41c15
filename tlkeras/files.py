"""Folders that appear whole or not at all."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError


def check_output(path, overwrite=False, mark="metrics.json"):
    """Refuses an output folder early, before any work, rather than late.

    Args:
        path: The folder to be written.
        overwrite: Whether one of ours that is there may be replaced. Anything else is never replaced.
        mark: Name of the file by which one of ours is known.

    Raises:
        InputError: It is there already, holds other things, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"The output {str(path)!r} is a file; name a folder that may be made.")
    if path.exists() and any(path.iterdir()):
        if not (path / mark).is_file():
            raise InputError(f"The output folder {str(path)!r} holds other things than a run; name another one.")
        if not overwrite:
            raise InputError(f"The output folder {str(path)!r} exists; add --overwrite to replace that run.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise InputError(f"The output folder {str(path)!r} cannot be written: {error.strerror}.") from error


@contextmanager
def written_whole(path, overwrite=False):
    """A folder that appears under its name only when all of it is written.

    Args:
        path: The folder to be.
        overwrite: Whether a run that is there is replaced.

    Yields:
        `pathlib.Path` of a temporary folder beside it, renamed at the end and removed if an error passes through.
    """
    check_output(path, overwrite)
    path = Path(path)
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield part
        part.chmod(0o755)  # mkdtemp's is for the owner alone
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.rename(old / path.name)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
