"""A progress bar in a terminal, and an occasional plain line in a log file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

#: Number of seconds between two lines if stderr is not a terminal.
INTERVAL = 10


class _Lines(tqdm):
    """A progress bar that writes new lines instead of redrawing a single line."""

    @staticmethod
    def status_printer(file: Any) -> Any:
        def write(text: str) -> None:
            if text:
                file.write(f"{text}\n")
                file.flush()

        return write

    def close(self) -> None:
        """End without the carriage return that tqdm writes."""
        if not self.disable:
            self.disable = True
            self._decr_instances(self)


def progress(
    iterable: Iterable | None = None, *, description: str, unit: str, total: int | None = None, verbose: bool = True
) -> tqdm:
    """Report the progress of a loop to stderr.

    In a terminal, this function shows a progress bar. Elsewhere, such as in a log file, it writes a plain line at most
    every `INTERVAL` seconds, and nothing for a loop that takes less time.

    Args:
        iterable: Iterable to loop over, or None to call `update` manually.
        description: Name of the activity, such as `"predicting"`.
        unit: Name of the counted items, in the singular, such as `"image"`.
        total: Number of items. Defaults to the length of `iterable`.
        verbose: Whether to show progress.

    Returns:
        A `tqdm` object, which is an iterable and a context manager.

    Example:

    >>> [2 * number for number in progress([1, 2, 3], description="doubling", unit="number", verbose=False)]
    [2, 4, 6]
    """
    common = {"total": total, "desc": description, "unit": unit, "disable": not verbose}
    if sys.stderr.isatty():
        return tqdm(iterable, **common)
    counts = "{desc}: {n_fmt} of {total_fmt} {unit}s, {elapsed} elapsed, {remaining} to go"
    return _Lines(iterable, **common, mininterval=INTERVAL, delay=INTERVAL, bar_format=counts)
