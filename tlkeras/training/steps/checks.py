"""What data must be like for a classifier to be trained on it: told in a sentence, before anything is changed."""

import math
from numbers import Integral, Real

import keras
import numpy as np

from tlkeras.data.batches import ImageBatches
from tlkeras.data.pixel_range import check_finite, warn_of_pixel_range
from tlkeras.errors import InputError
from tlkeras.training.steps.data import ArrayBatches, are_rows, each_batch, is_endless


def check_data(batches, model, head, name):
    """Refuses batches that a classifier cannot be trained or measured on.

    Looked at are all images of arrays and the first batch of others, since the rest would have to be read; and all
    labels, where they can be had without reading images. Later batches of a stream with pixels that do not run from
    0 to 255 are thus not warned of.

    Args:
        batches: From `tlkeras.training.steps.data.as_batches`.
        model: The classifier.
        head: Its `tlkeras.training.steps.probe_head.Head`.
        name: What to call the data in errors.

    Returns:
        The labels that were looked at.

    Raises:
        InputError: There is nothing in it, or no end to it; images or labels are not such as the model takes.
    """
    if is_endless(batches):
        raise InputError(f"{name} never ends: give it a length, such as `dataset.take(batches)` of a repeated one.")
    images, labels = next(each_batch(batches, name), (None, None))
    if images is None:
        raise InputError(f"{name} holds no batch of images.")
    _check_shape(images.shape, model, name)
    images = batches.images if isinstance(batches, ArrayBatches) else images
    check_finite(images, name)
    warn_of_pixel_range(images, model)
    labels = batches.labels if isinstance(batches, ImageBatches) else labels
    check_labels(labels, head, name)
    return labels


def _check_shape(shape, model, name):
    wanted = model.inputs[0].shape
    if len(shape) != len(wanted) or any(size not in (None, given) for size, given in zip(wanted, shape, strict=True)):
        hint = (
            "batch it, with `.batch(16)` or `batch_size`"
            if len(shape) == len(wanted) - 1
            else "bring them to that, as `load_images(image_size=...)` does"
        )
        raise InputError(f"{name} gives images of shape {shape}; the model takes batches of shape {wanted}: {hint}.")


def check_labels(labels, head, name):
    """Refuses labels that do not fit a head: class numbers or one-hot rows for several classes, 0 and 1 for others.

    Args:
        labels: Array of shape `(images,)`, `(images, 1)` or `(images, units)`.
        head: `tlkeras.training.steps.probe_head.Head`.
        name: What to call the data in errors.

    Raises:
        InputError: They have another shape, or are no numbers in the range.
    """
    labels, units = np.asarray(labels), head.layer.units
    rows = are_rows(labels)
    if labels.dtype.kind not in "biuf":
        raise InputError(f"The labels of {name} are {labels.dtype}, such as {labels.flat[0]!r}: number the classes.")
    if (rows and labels.shape[1] != units) or labels.ndim > 2 or (head.task == "multilabel" and not rows):
        raise InputError(
            f"The head is {head.task} with {units} units, which takes labels of shape {_shapes(head)}. "
            f"Received: {name} with labels of shape {labels.shape}"
        )
    if not rows and labels.dtype.kind == "f" and (labels % 1).any():
        raise InputError(f"The labels of {name} are no whole numbers, such as {labels[labels % 1 != 0].flat[0]}.")
    highest = 1 if rows or head.task == "binary" else units - 1
    if labels.size and not (labels.min() >= 0 and labels.max() <= highest):
        raise InputError(
            f"The head is {head.task} with {units} units, which takes labels from 0 to {highest}. "
            f"Received: {name} with labels from {labels.min()} to {labels.max()}"
        )


def find_fault(data, head):
    """Goes through data by which the loss is not a number, in search of the reason.

    The later batches of a stream are not looked at before, since that would take a pass of reading; `ImageBatches` are.

    Args:
        data: Dict from what to call data in errors to batches, from `tlkeras.training.steps.data.as_batches`.
        head: `tlkeras.training.steps.probe_head.Head`.

    Raises:
        InputError: It lies in a batch: images that are not finite, or labels that do not fit the head.
    """
    for name, batches in data.items():
        streamed = () if isinstance(batches, ImageBatches) else each_batch(batches, name)
        for number, (images, labels) in enumerate(streamed):
            check_finite(images, f"batch {number} of {name}")
            check_labels(labels, head, f"batch {number} of {name}")


def _shapes(head):
    rows = f"(images, {head.layer.units})"
    return {"multilabel": rows, "binary": "(images,)", "multiclass": f"(images,) or {rows}"}[head.task]


def check_options(options):
    """Refuses options that are out of range.

    Args:
        options: Dict of the arguments of `tlkeras.fine_tune`.

    Raises:
        InputError: An option is out of range, or a callback is no Keras callback.
    """
    for name, (fits, wanted) in _RANGES.items():
        value = options[name]
        if not fits(value):
            raise InputError(f"{name} must be {wanted}. Received: {name}={value!r}")
    for callback in keras.tree.flatten(options["callbacks"]):
        if not isinstance(callback, keras.callbacks.Callback | None):
            raise InputError(f"callbacks must be Keras callbacks. Received: {callback!r}")


def _whole(lowest):
    return (lambda value: isinstance(value, Integral) and value >= lowest), f"an integer, {lowest} or more"


def _number(fits, wanted):
    return (lambda value: isinstance(value, Real) and fits(value)), wanted


def _or_none(fits, wanted):
    return (lambda value: value is None or fits(value)), f"None or {wanted}"


_RANGES = {
    "epochs": _whole(0),
    "batch_size": _whole(1),
    "patience": _whole(1),
    "runs": _whole(1),
    "cached_views": _whole(1),
    "seed": _whole(0),
    "learning_rate": _number(lambda value: 0 < value < math.inf, "a number above 0"),
    "layer_decay": _number(lambda value: 0 < value <= 1, "in (0, 1]"),
    "warmup": _number(lambda value: 0 <= value < 1, "a share of the steps, in [0, 1)"),
    "weight_decay": _number(lambda value: value >= 0, "0 or more"),
    "label_smoothing": _number(lambda value: 0 <= value < 1, "in [0, 1)"),
    "l2_sp": _number(lambda value: value >= 0, "0 or more"),
    "ema_momentum": _or_none(*_number(lambda value: 0 < value < 1, "in (0, 1)")),
    "average_with_probe": (
        (lambda value: value in (None, "auto") or (isinstance(value, Real) and 0 <= value <= 1)),
        "'auto', None or in [0, 1]",
    ),
    "cache": ((lambda value: value in ("auto", True, False)), "'auto', True or False"),
    "batchnorm": ((lambda value: value in ("frozen", "train")), "'frozen' or 'train'"),
}
