"""Whatever `fit` takes, as batches that can be gone through more than once."""

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.images.batches import ImageBatches


def as_batches(data, size, *, shuffle=False, seed=0, mix=None, classes=None, name="train"):
    """Turns training or validation data into batches.

    Args:
        data: A split of `tlkeras.load_images`; a pair of arrays `(images, labels)`; or what is batched already: a
            `keras.utils.PyDataset`, a `tf.data.Dataset` or a torch `DataLoader` of such pairs.
        size: Images a batch, for what is not batched yet; at most as many as there are images.
        shuffle: Whether each epoch has a new order, likewise.
        seed: Of the order.
        mix: A layer that blends images and labels within a batch, for what is not batched yet.
        classes: Number of classes, for `mix`.
        name: What to call the data in errors.

    Returns:
        What `fit` takes; the batched kinds as they are.

    Raises:
        InputError: There are no images, or the data is of another kind.

    Example:

    >>> x, y = np.zeros((5, 32, 32, 3)), np.zeros(5, int)
    >>> len(as_batches((x, y), 2))
    3
    """
    if isinstance(data, keras.utils.PyDataset) or _is_stream(data):
        if mix is not None:
            raise InputError(f"{name} is batched already: mix its images in its own pipeline, or give arrays.")
        return data
    if hasattr(data, "batches"):
        count = len(data)
    elif isinstance(data, tuple | list) and len(data) == 2:
        images, labels = (np.asarray(part) for part in data)
        count = len(images)
        if count != len(labels):
            raise InputError(f"{name} has {count} images and {len(labels)} labels; each image needs one.")
    else:
        raise InputError(
            f"{name} must be a split of load_images, a pair (images, labels), a PyDataset, a tf.data.Dataset or a "
            f"DataLoader. Received: {type(data).__name__}"
        )
    if count == 0:
        raise InputError(f"{name} holds no images.")
    size = min(size, count)
    if hasattr(data, "batches"):
        return data.batches(size, shuffle=shuffle, seed=seed, mix=mix)
    if mix is not None:
        labels = class_numbers(labels)
    return ImageBatches(images.__getitem__, labels, size, shuffle, seed, mix=mix, classes=classes)


def each_batch(batches):
    """Goes through batches once, yielding pairs of NumPy arrays `(images, labels)`."""
    if isinstance(batches, keras.utils.PyDataset):
        source = map(batches.__getitem__, range(batches.num_batches))
    else:
        source = batches
    for images, labels, *_ in source:
        yield keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(labels)


def all_labels(batches):
    """The labels of one pass over the data, in one array; its images are not read where labels can be had alone."""
    if isinstance(batches, ImageBatches):
        return batches.labels
    return np.concatenate([labels for _, labels in each_batch(batches)])


def labels_are_rows(batches):
    """Whether labels are rows, one-hot or multi-label, and not class numbers."""
    labels = batches.labels if isinstance(batches, ImageBatches) else next(each_batch(batches))[1]
    return labels.ndim == 2 and labels.shape[1] > 1


def class_numbers(labels):
    """Labels as class numbers of shape `(images,)`, from numbers, a column of them, or one-hot rows."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.argmax(axis=1)
    return labels.reshape(len(labels)).astype("int64")


def _is_stream(data):
    """Whether it is a `tf.data.Dataset` or a `DataLoader`, told by name so that neither library is imported."""
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(data).__mro__}
    return bool(kinds & {"tensorflow.DatasetV2", "tensorflow.Dataset", "torch.DataLoader"})
