"""Images in, features out, in order: files are read and decoded ahead, in threads, while the network works."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from tlkeras.images.reading import ImageError, quiet

#: Images a thread reads at a time: enough that handing them over costs nothing beside reading them.
_CHUNK = 8


@dataclass
class Item:
    """One image on its way: it ends with `features` or with an `error`.

    Attributes:
        index: Its place in the row.
        source: What was given.
        key: Under which the store knows its features; None where it cannot.
        pixels: Decoded, until its features are computed.
        features: float32 array `(features,)`.
        error: Why it cannot be read.
    """

    index: int
    source: object
    key: bytes | None = None
    pixels: np.ndarray | None = None
    features: np.ndarray | None = None
    error: ImageError | None = None


def extract(images, reader, engine, batch_size, store=None, prefix=b""):
    """Computes the features of images, in order and with memory for a few batches only.

    Args:
        images: `Images`.
        reader: `Reader`.
        engine: Function from pixels `(n, height, width, channels)`, n always `batch_size`, to features `(n, features)`.
        batch_size: Images a forward pass.
        store: `FeatureStore` or None.
        prefix: Of the store's keys: what determines the features beside the image.

    Yields:
        Lists of `Item`, in the order of `images`, as they are done.
    """
    pending, waiting = deque(), []
    for chunk in _read_ahead(images, reader, batch_size, store, prefix):
        for item in chunk:
            pending.append(item)
            if item.pixels is not None:
                waiting.append(item)
            # What is done waits for what came before it, but not for ever.
            if len(waiting) == batch_size or (waiting and len(pending) >= 16 * batch_size):
                _compute(waiting, engine, batch_size, store)
                waiting = []
        done = []
        while pending and pending[0].pixels is None:
            done.append(pending.popleft())
        if done:
            yield done
    if waiting:
        _compute(waiting, engine, batch_size, store)
    if pending:
        yield list(pending)


def _read_ahead(images, reader, batch_size, store, prefix):
    """Yields lists of items, in order; two batches beyond the one that is worked on are being read."""

    def read(chunk):
        with quiet():
            return [_read(index, source, reader, store, prefix) for index, source in chunk]

    chunk_size = min(_CHUNK, batch_size)
    workers = os.cpu_count() or 1
    ahead = workers + -(-2 * batch_size // chunk_size)
    with ThreadPoolExecutor(workers) as pool:
        coming = deque()
        try:
            numbered = enumerate(images)
            while chunk := list(islice(numbered, chunk_size)):
                coming.append(pool.submit(read, chunk))
                if len(coming) > ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


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
    if len(pixels) < batch_size:
        # A last batch of another shape would have the network compiled a second time.
        pixels = np.pad(pixels, [(0, batch_size - len(pixels)), (0, 0), (0, 0), (0, 0)])
    features = engine(pixels)
    for item, row in zip(items, features, strict=False):
        item.features, item.pixels = row, None
    if store is not None:
        store.put([(item.key, item.features) for item in items if item.key is not None])
