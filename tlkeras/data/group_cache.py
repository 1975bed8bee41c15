"""Keep the near-duplicate groups of a collection on disk, so that the same images need not be decoded again."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from tlkeras.errors import InputError
from tlkeras.utils.store import DiskStore, cache_folder, open_store

#: Change this number whenever images would be grouped differently.
_VERSION = 1


class GroupCache:
    """The stored groups of one collection, under a key computed from the contents of all files.

    Nothing is stored if caching is disabled, or if an image has no file, as in TFDS.

    Args:
        sources: Sources of the images, in order.
        near_duplicates: Whether near-duplicates are grouped.

    Example:

    >>> GroupCache([np.zeros((8, 8, 3))], near_duplicates=True).read() is None
    True
    """

    def __init__(self, sources: Sequence[Any], near_duplicates: bool):
        self._store, self._key = _default_store(), b""
        if self._store is not None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                digests = list(pool.map(_digest, sources))
            if None in digests:
                self._store = None
            else:
                kind = f"near-duplicate groups {_VERSION} {near_duplicates} Pillow {PIL.__version__}"
                self._key = blake2b(kind.encode() + b"".join(digests), digest_size=16).digest()

    def read(self) -> np.ndarray | None:
        """Return the int64 array that was written for these images, or None."""
        content = None if self._store is None else self._store.get(self._key)
        return None if content is None else np.frombuffer(content, "<i8")

    def write(self, groups: np.ndarray) -> None:
        """Store an int64 array."""
        if self._store is not None:
            self._store.put([(self._key, groups.astype("<i8").tobytes())])


def _default_store() -> DiskStore | None:
    """Open the store in the cache folder; return None if there is no store, or if it cannot be written."""
    folder = cache_folder()
    try:
        return None if folder is None else open_store(folder)
    except InputError:
        return None


def _digest(source: Any) -> bytes | None:
    """Hash the contents of a file; return None for other sources, and for a file that cannot be read."""
    if not isinstance(source, str | os.PathLike) or not Path(source).is_file():  # reading a named pipe would not end
        return None
    try:
        return blake2b(Path(source).read_bytes(), digest_size=16).digest()
    except OSError:
        return None
