"""Batches of images for `fit`, `evaluate` and `predict`, read in threads, on any backend."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tlkeras.errors import InputError


class ImageBatches(keras.utils.PyDataset):
    """Reads batches as they are needed. Comes from `ImageSplit.batches`.

    Args:
        read: gives the pixels of the images with the given indices, uint8 `(n, height, width, 3)`.
        labels: int64 array of shape `(images,)`.
        size: images a batch; the last batch may be smaller.
        shuffle: whether to draw a new order each epoch.
        seed: of that order; epoch 0 with one seed is the same order on every machine.
        augment: called as `augment(images, training=True)` on each batch, for instance a Keras layer.
        workers: threads that prepare batches ahead.
    """

    def __init__(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        labels: Sequence[int],
        size: int,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[..., Any] | None = None,
        workers: int | None = None,
    ):
        if not isinstance(size, int) or size < 1:
            raise InputError(f"A batch has one image or more. Received: size={size!r}.")
        # Keras prefetches only with two workers or more.
        super().__init__(workers=max(2, workers or os.cpu_count() or 2))
        self.labels = np.asarray(labels)
        self.size, self.shuffle, self.seed, self.augment = size, shuffle, seed, augment
        self.epoch = 0
        self._read = read

    @property
    def num_batches(self) -> int:
        return -(-len(self.labels) // self.size)

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < self.num_batches:
            raise IndexError(index)
        chosen = self._order()[index * self.size : (index + 1) * self.size]
        images = self._read(chosen)
        if self.augment is not None:
            images = keras.ops.convert_to_numpy(self.augment(images, training=True))
        return images, self.labels[chosen]

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def _order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.labels))
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labels))
