"""Whatever `fit` takes, as batches that can be gone through more than once."""

from numbers import Real

import keras
import numpy as np

from tlkeras.data.batches import ImageBatches
from tlkeras.errors import InputError


def as_batches(data, batch_size, *, shuffle=False, seed=0, mix=None, classes=None, name="train"):
    """Turns training or validation data into batches.

    Args:
        data: A split of `tlkeras.load_images`; a pair of arrays `(images, labels)`; or what is batched already: a
            `keras.utils.PyDataset`, a `tf.data.Dataset` or a torch `DataLoader` of such pairs.
        batch_size: Images a batch, for what is not batched yet; at most as many as there are images.
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
        images, labels = _arrays(data, name)
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
            f"{name} holds images or labels of several shapes; bring images to one size, as `tlkeras.read_images` does."
        ) from None
    if not images.ndim or not labels.ndim:
        kinds = " and ".join(type(part).__name__ for part in data)
        raise InputError(f"{name} must be a pair of arrays, (images, labels). Received: {kinds}")
    return images, labels


class ArrayBatches(ImageBatches):
    """Batches of `images`, an array in memory, of which all can be looked at without reading."""

    def __init__(self, images, *arguments, **options):
        super().__init__(images.__getitem__, *arguments, **options)
        self.images = images


def each_batch(batches, name="data", weighted=True):
    """Goes through batches once, yielding pairs of NumPy arrays `(images, labels)`.

    Args:
        batches: See `as_batches`.
        name: What to call the data in errors.
        weighted: Whether sample weights may be left out; else they are refused.

    Raises:
        InputError: A batch is no pair of images and labels, or holds sample weights that are refused.
    """
    if isinstance(batches, keras.utils.PyDataset):
        source = map(batches.__getitem__, range(batches.num_batches))
    else:
        source = batches
    for batch in source:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise InputError(f"{name} must yield pairs (images, labels). Received: {type(batch).__name__}")
        images, labels, *rest = batch
        if rest and rest[0] is not None and not weighted:
            raise InputError(
                "The data yield sample weights, which the linear probe cannot heed: give class_weight instead, or "
                "probe=False."
            )
        yield keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(labels)


def outputs(network, batches):
    """Goes through batches once, yielding what a network makes of their images, and their labels, as NumPy arrays.

    A smaller batch than the first, the last one as a rule, is filled up with images of its own and the answers to these
    are dropped: a backend compiles a network anew for each size, which takes longer than they do.
    """
    size = None
    for images, labels in each_batch(batches, weighted=False):
        count, size = len(images), size or len(images)
        if count < size:
            images = images[np.arange(size) % count]
        yield keras.ops.convert_to_numpy(network.predict_on_batch(images))[:count], labels


def is_endless(batches):
    """Whether the data say of themselves that they never end: a repeated `tf.data` set, or a `PyDataset` so made."""
    if hasattr(batches, "cardinality"):
        return int(batches.cardinality()) == -1  # tf.data.INFINITE_CARDINALITY
    return isinstance(batches, keras.utils.PyDataset) and batches.num_batches is None


def all_labels(batches):
    """The labels of one pass over the data, in one array; its images are not read where labels can be had alone."""
    if isinstance(batches, ImageBatches):
        return batches.labels
    return np.concatenate([labels for _, labels in each_batch(batches)])


def are_rows(labels):
    """Whether labels are rows, one-hot or multi-label, and not class numbers."""
    return labels.ndim == 2 and labels.shape[1] > 1


def class_numbers(labels):
    """Labels as class numbers of shape `(images,)`, from numbers, a column of them, or one-hot rows."""
    labels = np.asarray(labels)
    if are_rows(labels):
        return labels.argmax(axis=1)
    return labels.reshape(len(labels)).astype("int64")


def class_weights(choice, batches, head):
    """The weight of each class, as `fit` takes it.

    Args:
        choice: `None`, `"balanced"` for weights inverse to how often a class occurs, or a dict that is only checked.
        batches: Training batches.
        head: `tlkeras.training.steps.probe_head.Head`.

    Returns:
        A dict from class number to weight, or None.

    Raises:
        InputError: It is neither of these, or the head is multi-label.
    """
    if choice is None:
        return None
    if head.task == "multilabel":
        raise InputError("class_weight is for classes that exclude each other; the head is multi-label: leave it None.")
    if choice == "balanced":
        labels = class_numbers(all_labels(batches))
        classes, counts = np.unique(labels, return_counts=True)
        return dict(zip(classes.tolist(), (len(labels) / (len(classes) * counts)).tolist(), strict=True))
    classes = range(max(head.layer.units, 2))
    fits = isinstance(choice, dict) and all(isinstance(one, Real) and one >= 0 for one in choice.values())
    if not fits or not all(number in classes for number in choice):
        raise InputError(
            f"class_weight must be None, 'balanced' or a dict from class numbers, 0 to {classes[-1]}, to weights, "
            f"0 or more. Received: class_weight={choice!r}"
        )
    return choice


def _is_stream(data):
    """Whether it is a `tf.data.Dataset` or a `DataLoader`, told by name so that neither library is imported."""
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(data).__mro__}
    return bool(kinds & {"tensorflow.DatasetV2", "tensorflow.Dataset", "torch.DataLoader"})
