"""The log of a run: one line of JSON per event, written immediately."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from tlkeras.utils.files import file_written_whole

LOG = "log.jsonl"


class RunLog:
    """Events of a run, in memory and, once `continue_in` has been called, in a JSON Lines file.

    Example:

    >>> log = RunLog()
    >>> log({"phase": "features", "images": 427})
    >>> log.events[0]["phase"], log.events[0]["images"]
    ('features', 427)
    """

    def __init__(self):
        self.events, self.path = [], None

    def __call__(self, event):
        """Append an event, given as a dict, and add the current UTC time to it."""
        self.events.append({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
        self._append(self.events[-1:])

    @contextmanager
    def phase(self, name):
        """Time a `with` block, and log it as an event. Yield a dict to which the block can add details."""
        facts, start = {}, perf_counter()
        yield facts
        self({"phase": name, "seconds": perf_counter() - start, **facts})

    def continue_in(self, folder):
        """Write all past and future events to `log.jsonl` in a folder, after any events of an earlier process.

        Args:
            folder: Folder of the log, `pathlib.Path`, or None to keep the events only in memory.
        """
        if folder is None:
            return
        self.path, new = folder / LOG, self.events
        before = read_log(self.path) if self.path.exists() else []
        self.events = [*before, *new]
        with file_written_whole(self.path) as part:
            part.write_text("".join(map(_line, self.events)), "utf-8")

    def _append(self, events):
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(map(_line, events)))


def read_log(path):
    """Read the events of a log file, and ignore an incomplete last line."""
    lines = Path(path).read_text("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _line(event):
    """Return an event as a line of JSON."""
    return json.dumps(event) + "\n"
