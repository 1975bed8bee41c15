"""A stub run that answers with the mean color of an image."""

import numpy as np
import pytest


class MeanColor:
    """An engine whose probabilities are the shares of red, green and blue, and that records sizes of batches."""

    batch_size = None

    def __init__(self):
        self.sizes, self.fails = [], False

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        if self.fails and pixels.any():
            raise RuntimeError("out of memory")
        means = pixels.reshape(len(pixels), -1, 3).mean(axis=1, dtype="float64")
        return (means / np.maximum(means.sum(axis=1, keepdims=True), 1)).astype("float32")


@pytest.fixture
def run():
    """Make a run of three colors."""
    from tlkeras.runs.run import Run

    return Run(None, ("red", "green", "blue"), (8, 8), "stretch", litert=MeanColor())
