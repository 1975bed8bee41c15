"""The hidden folder of an unfinished run, next to the output folder, which lets `fit` resume after being killed."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError
from tlkeras.utils.files import file_written_whole

CALL = "call.json"


class Unfinished:
    """The folder of an unfinished run: `.NAME.unfinished`, next to the output folder NAME.

    It contains the arguments of the call, the log, fine-tuning checkpoints and, if the user has turned the cache off,
    features.

    Args:
        output: Output folder, or None for a run that exists only in memory.

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
        """Whether there is an unfinished run."""
        return self.folder is not None and (self.folder / CALL).exists()

    def check(self, resume, overwrite):
        """Raise an error, before any work is done, if an unfinished run would be overwritten.

        Raises:
            InputError: There is an unfinished run, and neither `resume` nor `overwrite` is true.
        """
        if self.exists and not (resume or overwrite):
            raise InputError(
                f"There is an unfinished run in {str(self.folder)!r}. Pass --resume (`resume=True`) to continue it, or "
                "--overwrite (`overwrite=True`) to start over."
            )

    def start(self, call, resume):
        """Create the folder, or reuse the folder of an identical earlier call.

        Args:
            call: Dict of arguments and image digests. To resume an earlier call, they must equal the arguments and
                digests of that call.
            resume: Whether to resume from an existing folder. If False, an existing folder is removed.

        Returns:
            Path of the folder, `pathlib.Path`, or None if there is no output folder.

        Raises:
            InputError: The folder is from a call with different arguments or images.
        """
        if self.folder is None:
            return None
        call = json.loads(json.dumps(call, default=str))
        if self.exists and resume:
            before = json.loads((self.folder / CALL).read_text("utf-8"))
            if other := sorted(name for name in {*before, *call} if before.get(name) != call.get(name)):
                raise InputError(
                    f"The unfinished run in {str(self.folder)!r} was started with different arguments or images "
                    f"({', '.join(other)}). Repeat that call, or pass --overwrite without --resume to start over."
                )
            return self.folder
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with file_written_whole(self.folder / CALL) as part:
            part.write_text(json.dumps(call, indent=2) + "\n", "utf-8")
        return self.folder

    @contextmanager
    def kept_if(self, pattern):
        """Remove the folder if the `with` block fails, unless files that match `pattern` make it resumable."""
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
