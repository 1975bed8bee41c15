"""The store gives back what was put into it, or nothing; never something else."""

import itertools
import multiprocessing
import sqlite3

import numpy as np
import pytest

from tlkeras.errors import InputError
from tlkeras.utils.store import DiskStore


@pytest.fixture
def store(tmp_path):
    store = DiskStore(tmp_path)
    yield store
    store.close()


def _entries(count, width=8, seed=0):
    rng = np.random.default_rng(seed)
    return [(b"key %d" % i, rng.normal(size=width).astype("float32").tobytes()) for i in range(count)]


def _found(store, entries):
    return [store.get(key) for key, _ in entries]


def test_gives_back_what_was_put_to_the_last_bit(store):
    entries = _entries(10)
    store.put(entries)
    assert _found(store, entries) == [value for _, value in entries]
    assert store.get(b"another") is None
    assert len(store) == 10


def test_another_process_finds_what_one_has_put(store, tmp_path):
    entries = _entries(10)
    store.put(entries)
    assert all(found is not None for found in _found(DiskStore(tmp_path), entries))


def _put_range(folder, start, barrier):
    barrier.wait()
    store = DiskStore(folder)
    for i in range(start, start + 40):
        store.put(_entries(i + 1)[i:])
    store.close()


def test_processes_that_start_and_write_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    workers = [context.Process(target=_put_range, args=(tmp_path, start, barrier)) for start in (0, 20, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    entries = _entries(80)
    assert _found(DiskStore(tmp_path), entries) == [value for _, value in entries]


def _put_for_ever(folder, started):
    store = DiskStore(folder)
    for i in itertools.count():
        store.put(_entries(10, width=1000, seed=i))
        started.set()


def test_a_process_killed_while_writing_leaves_whole_batches(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    worker = context.Process(target=_put_for_ever, args=(tmp_path, started))
    worker.start()
    assert started.wait(60)
    worker.kill()
    worker.join()
    store, entries = DiskStore(tmp_path), _entries(10, width=1000)
    assert _found(store, entries) == [value for _, value in entries]
    assert len(store) == 10


def test_a_damaged_entry_counts_as_missing_and_can_be_put_again(store):
    entries = _entries(3)
    store.put(entries)
    store._connection.execute("UPDATE features SET data = zeroblob(32) WHERE key = ?", (b"key 1",))
    assert [found is None for found in _found(store, entries)] == [False, True, False]
    store.put(entries)
    assert store.get(b"key 1") == entries[1][1]


@pytest.mark.parametrize("damage", ["zeros", "noise", "cut", "flipped"])
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_gives_right_answers_or_none_and_works_again(tmp_path, damage, seed):
    entries = _entries(400, width=256)
    store = DiskStore(tmp_path)
    store.put(entries)
    store.close()
    content = bytearray(store.path.read_bytes())
    rng = np.random.default_rng(seed)
    if damage == "cut":
        content = content[: rng.integers(100, len(content))]
    elif damage == "flipped":
        for place in rng.integers(0, len(content), 200):
            content[place] ^= 0xFF
    else:
        start = 0 if seed == 0 else rng.integers(0, len(content) - 20_000)
        content[start : start + 20_000] = bytes(20_000) if damage == "zeros" else rng.bytes(20_000)
    store.path.write_bytes(content)

    again = DiskStore(tmp_path)
    for (_, value), found in zip(entries, _found(again, entries), strict=True):
        assert found in (None, value)
    for _ in range(2):  # the first may be what notices the damage, and drop it
        again.put(entries)
    assert _found(again, entries) == [value for _, value in entries]


def test_what_is_no_database_is_set_aside(tmp_path):
    (tmp_path / "features.sqlite").write_bytes(b"not a database" * 1000)
    store = DiskStore(tmp_path)
    store.put(_entries(1))
    assert len(store) == 1
    assert (tmp_path / "features.sqlite.damaged").read_bytes().startswith(b"not a database")


def test_what_was_used_longest_ago_goes_first(store, monkeypatch):
    entries = _entries(210, width=1000)
    old, new = entries[:150], entries[150:]
    store.put(old)
    monkeypatch.setattr("tlkeras.utils.store._hour", lambda: 10**6)
    used = old[:20]
    assert all(found is not None for found in _found(store, used))
    store.limit = store.size + 100_000
    store.put(new)
    assert store.size <= store.limit
    kept = [found is not None for found in _found(store, old)]
    assert all(kept[:20])
    assert not all(kept)
    assert all(found is not None for found in _found(store, new))


def test_the_limit_is_remembered_and_clearing_gives_the_room_back(store, tmp_path):
    store.limit = 5_000_000
    store.put(_entries(200, width=1000))
    before = store.size
    assert DiskStore(tmp_path).limit == 5_000_000
    store.clear()
    assert len(store) == 0
    assert store.path.stat().st_size < before / 4


def test_a_transaction_that_fails_leaves_nothing(store):
    with pytest.raises((sqlite3.Error, TypeError)):
        store.put([*_entries(2), (b"bad", object())])  # no type that SQLite knows
    assert len(store) == 0


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        DiskStore(tmp_path / "file" / "folder")
