"""Images in, features out, in order: threads read and decode files ahead while the network computes."""

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from tlkeras.data.reading import ImageError, quiet

#: Images that a thread reads at a time: enough that handing them over costs nothing beside reading them.
_CHUNK = 8


@dataclass
class Item:
    """One image on its way through the stream, which ends with `features` or with an `error`.

    Attributes:
        index: Its position in the input.
        source: The image as given.
        key: Key of its features in the store; None where it has none.
        pixels: Decoded pixels, kept until its features are computed.
        features: float32 array `(features,)`.
        error: Why it cannot be read.
    """

    index: int
    source: object
    key: bytes | None = None
    pixels: np.ndarray | None = None
    features: np.ndarray | None = None
    error: ImageError | None = None


def stream_features(images, reader, make_engine, batch_size, store=None, prefix=b""):
    """Compute the features of images, in order and holding only a few batches in memory.

    One thread per core reads images. These threads also run an engine that uses one core, one batch each, so no core
    waits for another. The caller's thread runs an engine that uses all cores or a GPU.

    Args:
        images: `Images`.
        reader: `Reader`.
        make_engine: Function that returns an engine (see `engines.choice.make_engine`); called once, and only if there
            is something to compute.
        batch_size: Images per forward pass of an engine that has no batch size of its own.
        store: `FeatureStore` or None.
        prefix: Start of the store's keys: what determines the features apart from the image.

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
            # What is done waits for what came before it, but not forever.
            enough = len(pending) >= 16 * batch_size
            while waiting and (len(waiting) >= size or enough):
                launch()
            # One batch more than cores, or a core would be idle between two.
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
    """Yield lists of items, in order, and keep reading two batches beyond the one that is computed."""

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
            item.features = store.get(item.key)
        if item.features is None:
            item.pixels = reader.pixels(source, content)
    except ImageError as error:
        item.error = error
    return item


def _compute(items, engine, batch_size, store):
    pixels = np.stack([item.pixels for item in items])
    missing = 0 if engine.batch_size else batch_size - len(items)
    if missing:  # a last batch of another shape would have the network compiled a second time
        pixels = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
    features = engine(pixels)[: len(items)]
    if store is not None:
        store.put([(item.key, row) for item, row in zip(items, features, strict=True) if item.key is not None])
    return features


def _settle(computing, left):
    """Hand features to their items, oldest first: those of finished batches, and more until `left` batches remain."""
    while len(computing) > left or (computing and computing[0][1].done()):
        items, features = computing.popleft()
        for item, row in zip(items, features.result(), strict=True):
            item.features, item.pixels = row, None


def _at_once(function, *args):
    future = Future()
    future.set_result(function(*args))
    return future
