"""The unfinished run: a hidden folder beside the output, from which a killed `fit` resumes."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError
from tlkeras.utils.files import file_written_whole

CALL = "call.json"


class Unfinished:
    """The folder of a run that is not finished yet: `.NAME.unfinished`, beside the output folder NAME.

    It holds the arguments of the call, the log, checkpoints of fine-tuning and, if the user's cache is off, features.

    Args:
        output: The output folder, or None for a run that is kept in memory only.

    Example:

    >>> Unfinished("runs/flowers").folder.name
    '.flowers.unfinished'
    """

    def __init__(self, output):
        path = None if output is None else Path(output).resolve()
        self.folder = None if path is None else path.with_name(f".{path.name}.unfinished")

    def __truediv__(self, name):
        return None if self.folder is None else self.folder / name

    @property
    def exists(self):
        """Whether a run was left unfinished."""
        return self.folder is not None and (self.folder / CALL).exists()

    def check(self, resume, overwrite):
        """Refuse, before any work, to overwrite what an earlier call left.

        Raises:
            InputError: There is an unfinished run, and neither `resume` nor `overwrite` is set.
        """
        if self.exists and not (resume or overwrite):
            raise InputError(
                f"An unfinished run is in {str(self.folder)!r}; add --resume (`resume=True`) to continue it, or "
                "--overwrite to start over."
            )

    def start(self, call, resume):
        """Create the folder, or resume the one of the same call.

        Args:
            call: Dict of what must be equal for a run to resume: arguments, and digests of images.
            resume: Whether to resume from what is there; otherwise it is removed.

        Returns:
            `pathlib.Path` of the folder, or None without output.

        Raises:
            InputError: The folder was left by another call.
        """
        if self.folder is None:
            return None
        call = json.loads(json.dumps(call, default=str))
        if self.exists and resume:
            before = json.loads((self.folder / CALL).read_text("utf-8"))
            if other := sorted(name for name in {*before, *call} if before.get(name) != call.get(name)):
                raise InputError(
                    f"The unfinished run in {str(self.folder)!r} was started with other arguments or images "
                    f"({', '.join(other)}). Repeat that call, or add --overwrite without --resume to start over."
                )
            return self.folder
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with file_written_whole(self.folder / CALL) as part:
            part.write_text(json.dumps(call, indent=2) + "\n", "utf-8")
        return self.folder

    @contextmanager
    def kept_if(self, pattern):
        """Remove the folder if a `with` block fails, unless it holds files to resume from, which match a pattern."""
        try:
            yield
        except BaseException:
            if self.folder is not None and not any(self.folder.glob(pattern)):
                self.remove()
            raise

    def remove(self):
        """Remove the folder."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
