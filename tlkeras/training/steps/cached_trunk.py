"""The output of a frozen trunk, computed once and trained on many times."""

import errno
import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.models.graph import cut
from tlkeras.training.steps.data import all_labels, each_batch, outputs
from tlkeras.training.steps.distributed import replicas_of

#: Up to this many bytes stay in memory; more goes to a file in the system's temporary folder that is mapped into it.
MEMORY_BYTES = 1_000_000_000


class CachedTrunk(keras.utils.PyDataset):
    """Batches of a frozen trunk's output, in place of images.

    Where images are augmented, the trunk sees each in several random views; epoch `e` trains on view `e % views`.
    Values are kept as float16, which has the three digits that features of trained networks carry.

    Args:
        trunk: The frozen part of a model, from images to one tensor; see `tlkeras.models.graph.cut`.
        batches: Batches of images and labels that can be gone through again and again.
        views: How many augmented views of each image to keep; 1 where nothing is random.
        random: Whether the trunk answers otherwise each time in training; see `is_random`.
        refresh: After so many epochs the oldest view is drawn anew, between epochs; 0 for never, and never where
            nothing is random.
        batch_size: Images a batch.
        shuffle: Whether each epoch has a new order; else the images come as in `batches`.
        seed: Of the order.

    Raises:
        OSError: The disk has no room for it.
    """

    def __init__(self, trunk, batches, *, views=1, random=False, refresh=0, batch_size=32, shuffle=False, seed=0):
        super().__init__(workers=1)
        self.trunk, self.batches, self.views = trunk, batches, views
        self.random, self.refresh = random, refresh if random else 0
        self.batch_size, self.shuffle, self.seed, self.epoch = batch_size, shuffle, seed, 0
        self._folder = None
        self._features, self._labels = None, None
        try:
            for view in range(views):
                self._draw(view)
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
        # Ascending, so that a mapped file is read in one direction.
        chosen = np.sort(order[index * self.batch_size : (index + 1) * self.batch_size])
        return self._features[view, chosen].astype("float32"), self._labels[view][chosen]

    def on_epoch_end(self):
        self.epoch += 1
        if self.refresh and self.epoch % self.refresh == 0:
            self._draw((self.epoch // self.refresh - 1) % self.views)

    def close(self):
        """Removes the mapped file and its folder, if there are any."""
        self._features = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _draw(self, view):
        start, labels = 0, []
        for features, batch_labels in self._pass():
            if self._features is None:
                self._features = self._allocate(features.shape[1:])
            self._features[view, start : start + len(features)] = features
            labels.append(batch_labels)
            start += len(features)
        self._labels = self._labels or [None] * self.views
        self._labels[view] = np.concatenate(labels)

    def _pass(self):
        if not self.random:
            yield from outputs(self.trunk, self.batches)
        else:
            for images, labels in each_batch(self.batches):
                # In training mode, as `fit` would run it: augmentation acts, and frozen BatchNorm stays as it is.
                yield keras.ops.convert_to_numpy(self.trunk(images, training=True)), labels

    def _allocate(self, shape):
        shape = (self.views, len(all_labels(self.batches)), *shape)
        count = int(np.prod(shape, dtype="int64")) * 2
        if count <= MEMORY_BYTES:
            return np.empty(shape, "float16")
        self._folder = tempfile.mkdtemp(prefix="tlkeras-")
        path = Path(self._folder) / "trunk.npy"
        _refuse_full_disk(path.parent, count)
        features = np.lib.format.open_memmap(path, "w+", "float16", shape)
        _reserve(path)
        return features


def cached_top(model, data, options, progress, stack):
    """Cuts a model where all that trains lies above, and caches what lies below, where that can be, pays and fits.

    Args:
        model: `keras.Model`.
        data: Dataclass with the batches `in_order` and `shuffled`, for training, and `held_out`, or None.
        options: Has the arguments of `tlkeras.fine_tune` as attributes.
        progress: `tlkeras.training.steps.result.Progress`, which is told why there is no cache, but for `cache=False`,
            and for `"auto"` where none can be.
        stack: `contextlib.ExitStack`; it removes the cache.

    Returns:
        `(top, data)`: the model to train and its data, now the trunk's output; or None.
    """
    if not options.cache:
        return None
    obstacle = _obstacle(model, options)
    parts = None if obstacle else cut(model)
    if parts is None:
        if options.cache != "auto":
            progress.say(f"No cache: {obstacle or 'nothing that is frozen can be cut off below what trains'}.")
        return None
    trunk, top = parts
    try:
        (images, _), *_ = [
            next(each_batch(batches, weighted=False))
            for batches in (data.in_order, data.held_out)
            if batches is not None
        ]
    except InputError:
        progress.say("No cache: the data yield sample weights.")
        return None
    random, batch_size = is_random(trunk, images), len(images)
    views = options.cached_views if random else 1
    epochs = options.epochs * options.runs
    if options.cache == "auto" and views >= epochs:
        progress.say(f"No cache: {views} views of each image would cost more than {epochs} epochs.")
        return None
    drawn = {"views": views, "random": random, "refresh": views, "shuffle": True, "seed": options.seed}
    try:
        with progress.phase("cache") as phase, ExitStack() as opened:
            phase["shape"], phase["views"] = trunk.output_shape[1:], views
            shuffled = opened.enter_context(closing(CachedTrunk(trunk, data.in_order, batch_size=batch_size, **drawn)))
            held_out = data.held_out
            if held_out is not None:
                held_out = opened.enter_context(closing(CachedTrunk(trunk, held_out, batch_size=batch_size)))
            stack.enter_context(opened.pop_all())
    except OSError as error:
        progress.say(f"No cache: {error.strerror}.")
        return None
    return top, replace(data, shuffled=shuffled, held_out=held_out)


def _obstacle(model, options):
    """Why there can be no cache, whatever the model, or None."""
    if options.mix is not None:
        return "images are mixed anew in each batch"
    if options.callbacks:
        return "callbacks are to see the whole model"
    return "several devices share a batch" if replicas_of(model) > 1 else None


def is_random(trunk, images):
    """Whether the trunk answers otherwise each time in training: augmentation, or dropout in frozen blocks."""
    once, again = (keras.ops.convert_to_numpy(trunk(images, training=True)) for _ in range(2))
    return not np.array_equal(once, again)


def _refuse_full_disk(folder, count):
    free = shutil.disk_usage(folder).free
    if count > free:
        raise OSError(errno.ENOSPC, f"the trunk's output takes {count:,} bytes of disk, and {free:,} are free")


def _reserve(path):
    """Has the disk blocks given now: a mapped file that finds the disk full later ends the process by a signal."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
