"""Convert any data that `fit` accepts to batches that can be iterated over more than once."""

from operator import length_hint

import keras
import numpy as np

from tlkeras.data.batches import ImageBatches
from tlkeras.errors import InputError


def as_batches(data, batch_size, *, shuffle=False, seed=0, mix=None, classes=None, name="train"):
    """Convert training or validation data to batches.

    Args:
        data: A split of `tlkeras.load_images`; a pair of arrays `(images, labels)`; or batched data: a
            `keras.utils.PyDataset`, a `tf.data.Dataset` or a torch `DataLoader` of such pairs.
        batch_size: Number of images per batch, for data that is not batched yet; at most the number of images.
        shuffle: Whether to shuffle the images in each epoch, for data that is not batched yet.
        seed: Seed for the order of the images.
        mix: A layer that blends images and labels within a batch, for data that is not batched yet.
        classes: Number of classes, which `mix` needs to convert class indices to one-hot rows.
        name: Name of the data in error messages.

    Returns:
        Batches in a form that `fit` accepts.

    Raises:
        InputError: There are no images, or the data is of an unsupported kind.

    Example:

    >>> x, y = np.zeros((5, 32, 32, 3)), np.zeros(5, int)
    >>> len(as_batches((x, y), 2))
    3
    """
    if isinstance(data, keras.utils.PyDataset) or _is_stream(data):
        if mix is not None:
            raise InputError(f"{name} is already batched. Mix the images in its own pipeline, or pass arrays.")
        return _with_known_shapes(data, name)
    if hasattr(data, "batches"):
        count = len(data)
    elif isinstance(data, tuple | list) and len(data) == 2:
        images, labels = _arrays(data, name)
        count = len(images)
        if count != len(labels):
            raise InputError(f"{name} has {count} images and {len(labels)} labels. Each image needs one label.")
    else:
        raise InputError(
            f"{name} must be a split of `load_images`, a pair (images, labels), a PyDataset, a tf.data.Dataset or a "
            f"DataLoader. Received: {type(data).__name__}."
        )
    if count == 0:
        raise InputError(f"{name} contains no images.")
    batch_size = min(batch_size, count)
    if hasattr(data, "batches"):
        return data.batches(batch_size, shuffle=shuffle, seed=seed, mix=mix)
    if mix is not None:
        labels = class_numbers(labels)
    return ArrayBatches(images, labels, batch_size, shuffle, seed, mix=mix, classes=classes)


def _arrays(data, name):
    try:
        images, labels = map(np.asarray, data)
    except ValueError:
        raise InputError(
            f"{name} contains images or labels of different shapes. Resize the images, as `tlkeras.read_images` does."
        ) from None
    if not images.ndim or not labels.ndim:
        kinds = " and ".join(type(part).__name__ for part in data)
        raise InputError(f"{name} must be a pair of arrays, (images, labels). Received: {kinds}.")
    return images, labels


class ArrayBatches(ImageBatches):
    """Batches of images in memory, which can all be checked without reading files."""

    def __init__(self, images, *arguments, **options):
        super().__init__(images.__getitem__, *arguments, **options)
        self.images = images


def each_batch(batches, name="data"):
    """Yield each batch once as a pair of NumPy arrays `(images, labels)`, without sample weights.

    Args:
        batches: See `as_batches`.
        name: Name of the data in error messages.

    Raises:
        InputError: A batch is not a pair of images and labels.
    """
    for images, labels, *_ in _each_whole_batch(batches, name):
        yield keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(labels)


def are_weighted(batches, name="data"):
    """Return whether the first batch contains sample weights."""
    for _, _, *rest in _each_whole_batch(batches, name):
        return bool(rest) and rest[0] is not None
    return False


def _each_whole_batch(batches, name):
    """Yield each batch once, unchanged, and reject batches that are not pairs or triples."""
    if isinstance(batches, keras.utils.PyDataset):
        source = map(batches.__getitem__, range(batches.num_batches))
    else:
        source = batches
    for batch in source:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise InputError(f"{name} must yield pairs (images, labels). Received: {type(batch).__name__}.")
        yield batch


def outputs(network, batches):
    """Yield a network's outputs and the labels for each batch as NumPy arrays.

    A batch that is smaller than the first, usually the last one, is padded with its own images, and the outputs for the
    padding are dropped. Padding saves time, because a backend recompiles the network for each batch size.
    """
    size = None
    for images, labels in each_batch(batches):
        count, size = len(images), size or len(images)
        if count < size:
            images = images[np.arange(size) % count]
        yield keras.ops.convert_to_numpy(network.predict_on_batch(images))[:count], labels


def is_endless(batches):
    """Return whether the data declares itself endless, as repeated `tf.data` and some `PyDataset` objects do."""
    if hasattr(batches, "cardinality"):
        return int(batches.cardinality()) == -1  # tf.data.INFINITE_CARDINALITY
    return isinstance(batches, keras.utils.PyDataset) and batches.num_batches is None


def all_labels(batches):
    """Return the labels from one pass over the data; read no images if the labels are available separately."""
    if isinstance(batches, ImageBatches):
        return batches.labels
    return np.concatenate([labels for _, labels in each_batch(batches)])


def are_rows(labels):
    """Return whether labels are rows (one-hot or multi-label) instead of class indices."""
    return labels.ndim == 2 and labels.shape[1] > 1


def class_numbers(labels):
    """Return labels as class indices of shape `(images,)`, from indices, a column of indices, or one-hot rows."""
    labels = np.asarray(labels)
    if are_rows(labels):
        return labels.argmax(axis=1)
    return labels.reshape(len(labels)).astype("int64")


def steps_per_epoch(batches):
    """Return the number of steps in an epoch; count the batches if the data does not declare their number."""
    count = batches.num_batches if isinstance(batches, keras.utils.PyDataset) else length_hint(batches, -1)
    return count if count > 0 else sum(1 for _ in each_batch(batches))


def set_epoch(batches, epoch):
    """Tell tlkeras' own batches which epoch comes next, so that the order of images depends only on the epoch."""
    if isinstance(batches, ImageBatches):
        batches.epoch = epoch
    elif hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)


class ChangedBatches(keras.utils.PyDataset):
    """Batches transformed by a function, in the order of the original batches.

    Args:
        batches: A `keras.utils.PyDataset` of pairs of arrays `(images, labels)`.
        change: Function that takes a batch's images and labels and returns their replacements.
        workers: Number of threads that read batches.
    """

    def __init__(self, batches, change, workers=1):
        super().__init__(workers=workers)
        self._batches, self._change = batches, change

    @property
    def num_batches(self):
        return self._batches.num_batches

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        return self._change(*self._batches[index])

    def set_epoch(self, epoch):
        """Move to an epoch, whose number determines the order of images."""
        set_epoch(self._batches, epoch)

    def on_epoch_end(self):
        self._batches.on_epoch_end()


def preprocessed(batches, model, name="train"):
    """Return batches in the form that the model's graph accepts: if the model has a preprocessor, apply it.

    Raises:
        InputError: The model has a preprocessor, and the data is a torch `DataLoader`.
    """
    if getattr(model, "preprocessor", None) is None:
        return batches
    if isinstance(batches, keras.utils.PyDataset):

        def prepared(images, labels):
            return tuple(map(keras.ops.convert_to_numpy, model.preprocess_samples(images, labels)))

        return ChangedBatches(batches, prepared)
    if hasattr(batches, "element_spec"):
        return _with_known_shapes(batches.map(model.preprocess_samples), name)
    raise InputError(
        f"{name} must be arrays, a split, a PyDataset or a tf.data.Dataset for a model with a preprocessor. Received: "
        f"{type(batches).__name__}. Preprocess the images in the loader, and set `model.preprocessor = None`."
    )


def _with_known_shapes(data, name):
    """Set unknown shapes of a `tf.data.Dataset` to those in its first batch; return other data unchanged."""
    kinds = getattr(data, "element_spec", None)
    if not isinstance(kinds, tuple) or all(kind.shape.rank is not None for kind in keras.tree.flatten(kinds)):
        return data
    import tensorflow as tf

    first = next(iter(data), None)
    if first is None:
        raise InputError(f"{name} contains no batch of images.")
    shapes = [(None, *part.shape[1:]) for part in first]
    return data.map(lambda *parts: tuple(map(tf.ensure_shape, parts, shapes)))


def _is_stream(data):
    """Check by class name for a `tf.data.Dataset` or a `DataLoader`, so that neither library is imported."""
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(data).__mro__}
    return bool(kinds & {"tensorflow.DatasetV2", "tensorflow.Dataset", "torch.DataLoader"})
