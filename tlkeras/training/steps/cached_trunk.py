"""Compute the output of a frozen trunk once, and train on it many times."""

import errno
import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from tlkeras.data.batches import ImageBatches, reseed
from tlkeras.models.graph import cut
from tlkeras.training.steps.data import all_labels, are_weighted, each_batch, outputs, steps_per_epoch
from tlkeras.training.steps.distributed import own_methods, replicas_of

#: Maximum number of bytes kept in memory. Larger outputs go to a memory-mapped file in the system's temporary folder.
MEMORY_BYTES = 1_000_000_000


class CachedTrunk(keras.utils.PyDataset):
    """Batches of a frozen trunk's output, to train on instead of images.

    If images are augmented, the trunk sees several random views of each image; epoch `e` trains on view `e % views`. A
    view depends only on `seed`, the number of the view and the number of times it has been drawn, so a later process
    can draw the same view again. Values are stored as float16, whose three digits are enough for the features of
    trained networks. Once a value exceeds the range of float16, all values are stored as float32.

    Args:
        trunk: The frozen part of a model, which maps images to one tensor; see `tlkeras.models.graph.cut`.
        batches: Batches of images and labels that can be iterated over repeatedly.
        views: Number of augmented views of each image to keep. Only one is kept if nothing is random.
        random: Whether the trunk's output for an image differs from call to call in training; see `is_random`.
        refresh: Number of epochs after which the oldest view is drawn again; 0 for never. It has no effect if nothing
            is random.
        batch_size: Number of images per batch.
        shuffle: Whether to shuffle the images in each epoch. Otherwise, they have the same order as in `batches`.
        seed: Seed for the order of the images and the random views.

    Raises:
        OSError: The disk does not have enough free space.
    """

    def __init__(self, trunk, batches, *, views=1, random=False, refresh=0, batch_size=32, shuffle=False, seed=0):
        super().__init__(workers=1)
        self.trunk, self.batches, self.views = trunk, batches, views
        self.random, self.refresh = random, refresh if random else 0
        self.batch_size, self.shuffle, self.seed, self.epoch = batch_size, shuffle, seed, 0
        self._folder, self._dtype = None, "float16"
        self._features, self._labels = None, None
        self._drawn = [None] * views  # number of times that each view has been drawn again
        try:
            self.set_epoch(0)
        except BaseException:  # Ctrl-C too
            self.close()
            raise

    @property
    def num_batches(self):
        return -(-len(self._labels[0]) // self.batch_size)

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        view = self.epoch % self.views
        order = np.arange(len(self._labels[view]))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        # Ascending order, so that a mapped file is read in one direction.
        chosen = np.sort(order[index * self.batch_size : (index + 1) * self.batch_size])
        return self._features[view, chosen].astype("float32"), self._labels[view][chosen]

    def set_epoch(self, epoch):
        """Move to an epoch, and redraw the views that are due by that epoch."""
        self.epoch = epoch
        for view in range(self.views):
            times = self._refreshes(view)
            if self._drawn[view] != times:
                self._draw(view, times)
                self._drawn[view] = times

    def _refreshes(self, view):
        """Return how many times a view has been redrawn by the current epoch; the views take turns."""
        turns = self.epoch // self.refresh if self.refresh else 0
        return (turns - view - 1) // self.views + 1 if turns > view else 0

    def close(self):
        """Remove the mapped file and its folder, if they exist."""
        self._features = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _draw(self, view, times):
        start, labels = 0, []
        for features, batch_labels in self._pass([self.seed, view, times]):
            end = start + len(features)
            if self._features is None:
                self._features = self._allocate(self._most_images(len(features)), features.shape[1:])
            elif end > self._features.shape[1]:
                self._move(count=len(all_labels(self.batches)))
            if self._dtype == "float16" and (np.abs(features) > np.finfo("float16").max).any():
                self._move(dtype="float32")
            self._features[view, start:end] = features
            labels.append(batch_labels)
            start = end
        self._labels = self._labels or [None] * self.views
        self._labels[view] = np.concatenate(labels)

    def _most_images(self, first):
        """Return the number of images, or an upper bound if counting takes a pass; requires the largest batch first."""
        if isinstance(self.batches, ImageBatches):
            return len(self.batches.labels)
        return first * steps_per_epoch(self.batches)

    def _move(self, count=None, dtype=None):
        """Move the features to an array that has room for more images or a different dtype."""
        before, folder = self._features, self._folder
        self._folder, self._dtype = None, dtype or self._dtype
        try:
            self._features = self._allocate(count or before.shape[1], before.shape[2:])
            self._features[:, : before.shape[1]] = before
        finally:
            del before
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _pass(self, seed):
        if not self.random:
            yield from outputs(self.trunk, self.batches)
            return
        reseed(self.trunk, seed)
        for images, labels in each_batch(self.batches):
            # Training mode, as in `fit`: augmentation is active, and frozen BatchNorm does not change.
            yield keras.ops.convert_to_numpy(self.trunk(images, training=True)), labels

    def _allocate(self, images, shape):
        shape = (self.views, images, *shape)
        count = int(np.prod(shape, dtype="int64")) * np.dtype(self._dtype).itemsize
        if count <= MEMORY_BYTES:
            return np.empty(shape, self._dtype)
        self._folder = tempfile.mkdtemp(prefix="tlkeras-")
        path = Path(self._folder) / "trunk.npy"
        _refuse_full_disk(path.parent, count)
        features = np.lib.format.open_memmap(path, "w+", self._dtype, shape)
        _reserve(path)
        return features


def cached_top(model, data, options, progress):
    """Cut a model below everything that trains, and cache the output of the lower part.

    Args:
        model: The classifier, a `keras.Model`.
        data: The data of the call, as `tlkeras.training.steps.training_data.TrainingData`.
        options: The settings of the call, as `tlkeras.training.steps.options.Options`.
        progress: `tlkeras.training.steps.result.Progress`. It reports why there is no cache, unless `cache` is False
            or, with `"auto"`, caching is impossible.

    Returns:
        `(top, data)`: the model to train, and the data to train it on, with the trunk's output in place of images. The
        caller must close the data. None if there is no cache.
    """
    if not options.cache:
        return None
    parts = cut(model)
    if reason := why_not_cached(model, data, options, parts):
        if options.cache is True:
            progress.say(f"No cache: {reason}.")
        return None
    trunk, top = parts
    images, _ = next(each_batch(data.in_order))
    random = is_random(trunk, images)
    views = options.cached_views if random else 1
    epochs = options.count_epochs(steps_per_epoch(data.shuffled)) * options.runs
    if options.cache == "auto" and views >= epochs:
        progress.say(f"No cache: computing {views} views of each image would take longer than {epochs} epochs.")
        return None
    drawn = {"views": views, "random": random, "refresh": views, "shuffle": True, "seed": options.seed}
    try:
        with progress.phase("cache") as details, ExitStack() as opened:
            details.update(shape=trunk.output_shape[1:], views=views)
            shuffled = opened.enter_context(closing(CachedTrunk(trunk, data.in_order, batch_size=len(images), **drawn)))
            held_out = data.held_out
            if held_out is not None:
                held_out = opened.enter_context(closing(CachedTrunk(trunk, held_out, batch_size=len(images))))
            opened.pop_all()
    except OSError as error:
        progress.say(f"No cache: {error.strerror}.")
        return None
    return top, replace(data, shuffled=shuffled, held_out=held_out)


def why_not_cached(model, data, options, parts):
    """Return the reason a model cannot be trained on cached outputs of its trunk, or None if it can be.

    Args:
        model: As in `cached_top`.
        data: As in `cached_top`.
        options: As in `cached_top`.
        parts: The result of `tlkeras.models.graph.cut` for the model.
    """
    if options.mix is not None:
        return "images are mixed again in each batch"
    if options.callbacks:
        return "callbacks need the whole model"
    if replicas_of(model) > 1:
        return "several devices share a batch"
    if own := own_methods(model):
        return f"the model has its own {own[0]}, which would get features instead of images"
    if parts is None:
        return "there is no frozen part that can be separated from the trainable part"
    if any(are_weighted(batches) for batches in (data.in_order, data.held_out) if batches is not None):
        return "the data yields sample weights"
    return None


def is_random(trunk, images):
    """Return whether augmentation, or dropout in frozen blocks, makes the trunk's output random in training."""
    once, again = (keras.ops.convert_to_numpy(trunk(images, training=True)) for _ in range(2))
    return not np.array_equal(once, again)


def _refuse_full_disk(folder, count):
    free = shutil.disk_usage(folder).free
    if count > free:
        raise OSError(
            errno.ENOSPC, f"the trunk's output needs {count:,} bytes of disk space, but only {free:,} are free"
        )


def _reserve(path):
    """Reserve disk space now: if the disk fills up, a signal kills the process that writes to a mapped file."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
