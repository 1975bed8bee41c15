"""Write features to a `.npy` file row by row, with only one batch in memory."""

import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from tlkeras.errors import InputError


class FeatureFile:
    """A `.npy` file that grows row by row and gets its final name when it is complete.

    The file is written with plain writes rather than through a memory map. On a full disk, plain writes fail with an
    error, while a memory map kills the process. Plain writes also do not increase the memory use of the process.

    Args:
        path: The `.npy` file to write. An existing file is replaced at the end.

    Example:

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "features.npy")
    >>> with FeatureFile(path) as file:
    ...     file.append(np.ones((2, 3), "float32"))
    >>> np.load(path, mmap_mode="r").shape
    (2, 3)
    """

    def __init__(self, path):
        self.path = Path(path)
        if self.path.suffix != ".npy":
            raise InputError(f"`out` must be a .npy file. Received: out={str(path)!r}.")
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._rows, self._width = 0, 0

    def __enter__(self):
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise InputError(f"{str(self.path)!r} cannot be written: {error.strerror}.") from error
        return self

    def append(self, rows):
        """Append rows, float32 `(n, features)`."""
        if not self._rows:
            self._width = rows.shape[1]
            self._write_header()
        self._file.write(np.ascontiguousarray(rows, "<f4").data)
        self._rows += len(rows)

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                # The header has room for more digits in the number of rows, so it can be overwritten in place.
                self._file.seek(0)
                self._write_header()
            self._file.close()
            if kind is None:
                self._part.replace(self.path)
        finally:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _write_header(self):
        shape = (self._rows, self._width)
        npy.write_array_header_1_0(self._file, {"descr": "<f4", "fortran_order": False, "shape": shape})
