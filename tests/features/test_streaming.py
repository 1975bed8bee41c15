"""Images go in and features come out in order, however many threads compute them."""

import itertools
import threading
import time

import numpy as np
import pytest

from tlkeras.features.inputs import Images, Reader
from tlkeras.features.streaming import stream_features

READER = Reader((2, 2), "stretch")


class Engine:
    """Gives the mean color, from each thread that calls, and the later the fewer calls there were."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.sizes, self.threads = [], set()

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        self.threads.add(threading.current_thread())
        time.sleep(0.02 if len(self.sizes) % 2 else 0)
        return pixels.mean((1, 2))


def _images(count):
    return Images([np.full((2, 2, 3), index, "float32") for index in range(count)], count)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_features_come_in_order_and_bad_images_keep_their_place(batch_size):
    images = _images(50)
    images.sources[7] = images.sources[8] = b"no image"
    engine = Engine(batch_size)
    items = list(itertools.chain(*stream_features(images, READER, lambda: engine, 4)))
    assert [item.index for item in items] == list(range(50))
    assert [item.index for item in items if item.error] == [7, 8]
    good = [item for item in items if not item.error]
    np.testing.assert_array_equal([item.features for item in good], [[item.index] * 3 for item in good])
    assert all(item.pixels is None for item in items)
    if batch_size:  # never padded, and never more than the engine wants
        assert sum(engine.sizes) == 48 and max(engine.sizes) == 3
        assert threading.main_thread() not in engine.threads
    else:
        assert engine.sizes == [4] * 12
        assert engine.threads == {threading.main_thread()}


@pytest.mark.parametrize("batch_size", [None, 3])
def test_no_more_than_a_few_batches_are_under_way_and_nothing_runs_on_when_the_caller_stops(batch_size):
    read = 0

    def sources():
        nonlocal read
        while True:
            read += 1
            yield np.zeros((2, 2, 3))

    engine = Engine(batch_size)
    coming = stream_features(Images(sources(), None), READER, lambda: engine, 4)
    done = 0
    for items in itertools.islice(coming, 100):
        done += len(items)
        assert read - done < 100
    coming.close()
    calls = len(engine.sizes)
    time.sleep(0.1)
    assert len(engine.sizes) == calls


@pytest.mark.parametrize("batch_size", [None, 3])
def test_what_an_engine_raises_reaches_the_caller(batch_size):
    class Broken(Engine):
        def __call__(self, pixels):
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        list(stream_features(_images(50), READER, lambda: Broken(batch_size), 4))


def test_no_engine_is_made_where_nothing_is_to_be_computed():
    images = Images([b"no image"] * 3, 3)
    (items,) = stream_features(images, READER, lambda: pytest.fail("made"), 4)
    assert all(item.error for item in items)
