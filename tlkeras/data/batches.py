"""Batches of images for `fit`, `evaluate` and `predict`: read by worker threads, and usable with any backend."""

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tlkeras.utils.validation import check_integer, invalid

# A layer's random state is set for each batch before the layer draws from it. Threads share that state, and so can
# several batch objects, such as those for training and validation or for two folds.
_ONE_AT_A_TIME = threading.Lock()


class ImageBatches(keras.utils.PyDataset):
    """Batches of images and labels that are read when needed. They are created by `ImageSplit.batches`.

    Args:
        read: Function that takes image indices and returns the pixels of these images, uint8 of shape
            `(n, height, width, 3)`.
        labels: Int64 array of shape `(images,)`, or float32 array of 0s and 1s of shape `(images, classes)`.
        batch_size: Images per batch. The last batch may be smaller.
        shuffle: Whether to use a new random order in each epoch.
        seed: Seed for shuffling. A given seed and epoch produce the same order on every machine.
        augment: Layer or function, called as `augment(images, training=True)` on each batch. A layer's random state is
            reset for every batch from `seed`, the epoch and the batch number.
        mix: Like `augment`, but called with `{"images": ..., "labels": ...}`, where the labels are one-hot.
        classes: Number of classes, for one-hot labels.
        workers: Number of threads that prepare batches ahead of time.
    """

    def __init__(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        labels: Sequence[int],
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[..., Any] | None = None,
        mix: Callable[..., Any] | None = None,
        classes: int | None = None,
        workers: int | None = None,
    ):
        batch_size = check_integer("batch_size", batch_size, minimum=1)
        for name, layer in (("augment", augment), ("mix", mix)):
            if not (layer is None or callable(layer)):
                raise invalid(name, layer, "be a layer or a function that takes a batch")
        # Keras prefetches only with at least two workers.
        super().__init__(workers=max(2, workers or os.cpu_count() or 2))
        self.labels = np.asarray(labels)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.augment, self.mix, self.classes = augment, mix, classes
        self.epoch = 0
        self._read = read

    @property
    def num_batches(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < self.num_batches:
            raise IndexError(index)
        return self._batch(self.epoch, index)

    def as_dataset(self) -> Any:
        """Return these batches, in the same order, as a `tf.data.Dataset`. Requires TensorFlow.

        Use this data set for pipelines that continue in `tf.data` (`map`, `cache`, distribution strategies). `fit`
        accepts the batches directly too; neither form is reliably faster. Each pass over the data set is one epoch.

        Returns:
            `tf.data.Dataset` of `(images, labels)` with a known number of batches.

        Example:

        >>> import tlkeras
        >>> train = tlkeras.load_images("data/clipart10").train
        >>> train.batches(32, shuffle=True).as_dataset().element_spec[0].shape
        TensorShape([None, 224, 224, 3])
        """
        import tensorflow as tf

        passes = itertools.count()
        first = self[0]

        def places():
            epoch = next(passes)
            return ((epoch, index) for index in range(self.num_batches))

        def load(epoch, index):
            kinds = [tf.as_dtype(part.dtype) for part in first]
            parts = tf.numpy_function(lambda *place: self._batch(*map(int, place)), [epoch, index], kinds)
            shapes = [(None, *part.shape[1:]) for part in first]
            return tuple(tf.ensure_shape(part, shape) for part, shape in zip(parts, shapes, strict=True))

        number = tf.TensorSpec((), tf.int64)
        epochs = tf.data.Dataset.from_generator(places, output_signature=(number, number))
        epochs = epochs.apply(tf.data.experimental.assert_cardinality(self.num_batches))
        return epochs.map(load, num_parallel_calls=self.workers, deterministic=True).prefetch(2)

    def _batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        images, labels = self._read(chosen), self.labels[chosen]
        if self.augment is None and self.mix is None:
            return images, labels
        with _ONE_AT_A_TIME:
            images = images.astype("float32")
            if self.augment is not None:
                reseed(self.augment, [self.seed, epoch, index])
                images = keras.ops.convert_to_numpy(self.augment(images, training=True))
            if self.mix is not None:
                reseed(self.mix, [self.seed, epoch, index])
                rows = labels if labels.ndim == 2 else np.eye(self.classes, dtype="float32")[labels]
                mixed = self.mix({"images": images, "labels": rows}, training=True)
                images, labels = (keras.ops.convert_to_numpy(mixed[name]) for name in ("images", "labels"))
        return images, labels

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.labels))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.labels))


def reseed(layer: Callable[..., Any], seed: list[int]) -> None:
    """Reset the random state of a layer or model so that the random numbers it draws next depend only on `seed`."""
    draws = np.random.default_rng(seed)
    for variable in getattr(layer, "variables", ()):
        if variable.name == "seed_generator_state":
            variable.assign(draws.integers(2**31 - 1, size=2).astype(variable.dtype))
