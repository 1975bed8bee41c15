"""Compute the features of images in order, while threads read and decode the files of the next images."""

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from tlkeras.data.reading import ImageError, quiet

#: Number of images that a thread reads at a time, large enough that the overhead of passing them on is negligible.
_CHUNK = 8


@dataclass
class Item:
    """One image in the stream. It ends up with either `features` or an `error`.

    Attributes:
        index: Position of the image in the input.
        source: The image, as passed by the caller.
        key: Key of the image's features in the store, or None if the features are not stored.
        pixels: Decoded pixels, kept until the features are computed.
        features: Features of the image, float32 array of shape `(features,)`.
        error: Error that says why the image cannot be read.
    """

    index: int
    source: object
    key: bytes | None = None
    pixels: np.ndarray | None = None
    features: np.ndarray | None = None
    error: ImageError | None = None


def stream_features(images, reader, make_engine, batch_size, store=None, prefix=b""):
    """Compute the features of images in order, with only a small number of batches in memory.

    One thread per core reads images. If the engine uses one core, these threads also run the engine, one batch each, so
    no core waits for another core. If the engine uses all cores or a GPU, the caller's thread runs the engine.

    Args:
        images: `Images` whose features are computed.
        reader: `Reader` that decodes and resizes the images.
        make_engine: Function that returns an engine (see `engines.choice.make_engine`). The function is called once,
            and only if there is something to compute.
        batch_size: Images per forward pass of an engine that has no batch size of its own.
        store: `DiskStore`, or None (the default) to store nothing.
        prefix: Prefix of the keys in the store, which identifies the network and the engine. Defaults to no bytes.

    Yields:
        Lists of `Item`, in the order of `images`, as they become ready.
    """
    workers = os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers)
    engine, pending, waiting, computing = None, deque(), deque(), deque()

    def launch():
        batch = [waiting.popleft() for _ in range(min(len(waiting), size))]
        submit = pool.submit if engine.batch_size else _at_once
        computing.append((batch, submit(_compute, batch, engine, size, store)))

    try:
        for chunk in _read_ahead(pool, images, reader, batch_size, store, prefix):
            pending.extend(chunk)
            waiting.extend(item for item in chunk if item.pixels is not None)
            if waiting and engine is None:
                engine = make_engine()
                size = engine.batch_size or batch_size
            # Finished items wait for earlier ones, but not indefinitely.
            enough = len(pending) >= 16 * batch_size
            while waiting and (len(waiting) >= size or enough):
                launch()
            # Allow one batch more than cores, so that no core is idle between two batches.
            _settle(computing, 0 if enough else workers + 1)
            done = []
            while pending and pending[0].pixels is None:
                done.append(pending.popleft())
            if done:
                yield done
        while waiting:
            launch()
        _settle(computing, 0)
        if pending:
            yield list(pending)
    finally:
        pool.shutdown(cancel_futures=True)


def _read_ahead(pool, images, reader, batch_size, store, prefix):
    """Yield lists of items in order, and keep reading two batches ahead of the batch that is being computed."""

    def read(chunk):
        with quiet():
            return [_read(index, source, reader, store, prefix) for index, source in chunk]

    chunk_size = min(_CHUNK, batch_size)
    ahead = (os.cpu_count() or 1) + -(-2 * batch_size // chunk_size)
    coming = deque()
    numbered = enumerate(images)
    while chunk := list(islice(numbered, chunk_size)):
        coming.append(pool.submit(read, chunk))
        if len(coming) > ahead:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _read(index, source, reader, store, prefix):
    item = Item(index, source)
    try:
        if callable(source):
            source = source()
        content = None
        if store is not None and (content := reader.content(source)) is not None:
            item.key = prefix + reader.hash(content)
            stored = store.get(item.key)
            item.features = None if stored is None else np.frombuffer(stored, "<f4")
        if item.features is None:
            item.pixels = reader.pixels(source, content)
    except ImageError as error:
        item.error = error
    return item


def _compute(items, engine, batch_size, store):
    pixels = np.stack([item.pixels for item in items])
    missing = 0 if engine.batch_size else batch_size - len(items)
    if missing:  # a smaller last batch would compile the network a second time
        pixels = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
    features = engine(pixels)[: len(items)]
    if store is not None:
        rows = zip(items, features.astype("<f4"), strict=True)
        store.put([(item.key, row.tobytes()) for item, row in rows if item.key is not None])
    return features


def _settle(computing, left):
    """Store the features of finished batches in their items, oldest first, until at most `left` batches remain."""
    while len(computing) > left or (computing and computing[0][1].done()):
        items, features = computing.popleft()
        for item, row in zip(items, features.result(), strict=True):
            item.features, item.pixels = row, None


def _at_once(function, *args):
    future = Future()
    future.set_result(function(*args))
    return future
