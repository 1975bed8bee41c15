"""Store recomputable results on disk, under keys computed from the contents of images.

The store uses SQLite for several reasons. SQLite comes with Python. A transaction is either complete or absent, even if
a process is killed. Several processes can read while another process writes. An indexed lookup takes microseconds per
entry, while one file per entry would need a call to `open` for each entry and a folder with a million files. Single
rows can be deleted, which is hard with Parquet and with LMDB's fixed-size map. The store needs a local disk, because
SQLite's write-ahead log does not work on network file systems.
"""

import contextlib
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import platformdirs

from tlkeras.errors import InputError, warn

#: Largest size of a new store in bytes, enough for 400,000 images with 1280 features each.
DEFAULT_LIMIT = 2_000_000_000

_LAYOUT = 1
#: Uses are recorded by the hour, so that reading from a store rarely writes to it.
_HOUR = 3600
#: Seconds to wait for a lock.
_PATIENCE = 60

_SCHEMA = f"""
PRAGMA page_size = 16384;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS features (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, checksum INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uses (id INTEGER PRIMARY KEY, hour INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS uses_by_hour ON uses (hour);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO settings VALUES ('limit', {DEFAULT_LIMIT});
PRAGMA user_version = {_LAYOUT};
COMMIT;
"""


def cache_folder() -> Path | None:
    """Return the folder where tlkeras stores results that it can recompute.

    Returns:
        `$TLKERAS_CACHE` if it is set, otherwise the system's cache folder: `~/.cache/tlkeras` on Linux,
        `~/Library/Caches/tlkeras` on macOS. None if `$TLKERAS_CACHE` is `off`.
    """
    named = os.environ.get("TLKERAS_CACHE")
    if named == "off":
        return None
    return Path(named) if named else platformdirs.user_cache_path("tlkeras", appauthor=False)


class DiskStore:
    """A dictionary on disk that maps bytes to bytes, shared by threads and processes and limited in size.

    An entry with a wrong checksum is deleted and treated as missing. A file that is no longer a valid database is
    renamed to `...damaged` and created again. When the store exceeds its limit, it deletes the least recently used
    entries.

    Args:
        folder: Folder for the file `features.sqlite`, on a local disk. It is created if it does not exist.

    Raises:
        InputError: The folder is not writable.

    Example:

    >>> import tempfile
    >>> store = DiskStore(tempfile.mkdtemp())
    >>> store.put([(b"key", b"value")])
    >>> store.get(b"key"), store.get(b"another")
    (b'value', None)
    """

    def __init__(self, folder: str | os.PathLike):
        self.path = Path(folder) / "features.sqlite"
        self._lock = threading.RLock()
        self._used: set[int] = set()
        self._unusable = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            raise InputError(f"The cache {str(self.path)!r} cannot be written: {error}.") from error

    def get(self, key: bytes) -> bytes | None:
        """Look up a key; return None if its entry is missing or damaged."""
        if self._unusable:
            return None
        with self._lock, self._repaired():
            row = self._connection.execute(
                "SELECT id, checksum, data, hour FROM features JOIN uses USING (id) WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            number, checksum, data, hour = row
            if checksum != _checksum(key, data):
                self._delete([number])
                return None
            if hour < _hour():
                self._used.add(number)
            return data
        return None

    def put(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Write all entries, or none if interrupted. Existing entries are not changed."""
        if self._unusable:
            return
        with self._lock, self._repaired(), self._transaction():
            self._note_uses()
            for key, data in entries:
                cursor = self._connection.execute(
                    "INSERT OR IGNORE INTO features (key, checksum, data) VALUES (?, ?, ?)",
                    (key, _checksum(key, data), data),
                )
                if cursor.rowcount:
                    self._connection.execute("INSERT OR REPLACE INTO uses VALUES (?, ?)", (cursor.lastrowid, _hour()))
            self._shrink()

    def flush(self) -> None:
        """Record which entries were used, so that the least recently used entries are deleted first."""
        with self._lock, self._repaired():
            if self._used:
                with self._transaction():
                    self._note_uses()

    @property
    def limit(self) -> int:
        """Maximum size of the store in bytes. The limit is saved in the store itself."""
        return self._value("SELECT value FROM settings WHERE name = 'limit'")

    @limit.setter
    def limit(self, count: int) -> None:
        with self._lock, self._transaction():
            self._connection.execute("UPDATE settings SET value = ? WHERE name = 'limit'", (count,))
            self._shrink()

    @property
    def size(self) -> int:
        """Number of bytes that the store uses."""
        pages, free, page = (self._value(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * page

    def __len__(self) -> int:
        return self._value("SELECT count(*) FROM uses")

    def clear(self) -> None:
        """Remove all entries and free their disk space."""
        with self._lock:
            with self._transaction():
                self._connection.execute("DELETE FROM features")
                self._connection.execute("DELETE FROM uses")
            # Run as a script, because a single `execute` would free only one page.
            self._connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")

    def close(self) -> None:
        """Record which entries were used, and close the database file."""
        self.flush()
        self._connection.close()

    def _open(self):
        try:
            return self._connect()
        except sqlite3.OperationalError:  # missing permission or a full disk; the file itself is intact
            raise
        except sqlite3.DatabaseError:
            self._set_aside()
            return self._connect()

    def _connect(self):
        """Connect, and retry while another process creates this file, the one case in which SQLite does not wait."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._connect_once()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _connect_once(self):
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
                connection.executescript(_SCHEMA)
            # After a power failure, the last transactions may be lost, but the cache stays consistent.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("SELECT id FROM uses JOIN features USING (id) LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _repaired(self):
        """Start a new file if the old file is damaged; continue without a cache if no file can be used."""
        try:
            yield
        except sqlite3.OperationalError as error:  # a full disk, or a lock that is never released
            self._unusable = True
            warn(f"The cache {str(self.path)!r} failed and is not used: {error}.")
        except sqlite3.DatabaseError:
            self._connection.close()
            self._used.clear()
            self._connection = self._open_anew()

    def _open_anew(self):
        try:
            fresh = self._connect()  # another process may have repaired it already
            if fresh.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
                return fresh
            fresh.close()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            pass
        self._set_aside()
        return self._connect()

    def _set_aside(self):
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{self.path}{suffix}.damaged")

    @contextlib.contextmanager
    def _transaction(self):
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a damaged file may have ended it already
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _note_uses(self):
        self._connection.executemany("UPDATE uses SET hour = ? WHERE id = ?", ((_hour(), one) for one in self._used))
        self._used.clear()

    def _shrink(self):
        """Delete the least recently used entries down to 80% of the limit, so that most batches delete none."""
        limit, size = self.limit, self.size
        if size <= limit:
            return
        share = 1 - 0.8 * limit / size
        oldest = self._connection.execute(
            "SELECT id FROM uses ORDER BY hour, id LIMIT ?", (1 + int(share * len(self)),)
        ).fetchall()
        self._delete([number for (number,) in oldest])

    def _delete(self, numbers):
        self._connection.executemany("DELETE FROM features WHERE id = ?", ((number,) for number in numbers))
        self._connection.executemany("DELETE FROM uses WHERE id = ?", ((number,) for number in numbers))

    def _value(self, query):
        with self._lock:
            return self._connection.execute(query).fetchone()[0]


def open_store(folder: str | os.PathLike) -> DiskStore:
    """Return the store in a folder, which all threads of a process share.

    Raises:
        InputError: The folder is not writable.
    """
    return _opened(Path(folder), os.getpid())  # a connection must not be shared with a forked process


@lru_cache(maxsize=4)
def _opened(folder, process):
    del process
    return DiskStore(folder)


def _checksum(key, data):
    return zlib.crc32(data, zlib.crc32(key))


def _hour():
    return int(time.time()) // _HOUR
