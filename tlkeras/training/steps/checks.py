"""Reject data that a classifier cannot be trained on, before anything is changed."""

import keras
import numpy as np

from tlkeras.data.batches import ImageBatches
from tlkeras.data.pixel_range import check_finite, warn_of_pixel_range
from tlkeras.errors import InputError
from tlkeras.training.steps.data import ArrayBatches, are_rows, each_batch, is_endless

#: Losses for models that predict quantities.
_REGRESSION_LOSSES = {
    kind().fn: kind.__name__
    for kind in (
        keras.losses.MeanSquaredError,
        keras.losses.MeanAbsoluteError,
        keras.losses.MeanAbsolutePercentageError,
        keras.losses.MeanSquaredLogarithmicError,
        keras.losses.Huber,
        keras.losses.LogCosh,
        keras.losses.Poisson,
    )
}

_REGRESSION_ADVICE = "`fine_tune` trains classifiers. To predict quantities such as ages or boxes, use Keras' `fit`."


def refuse_regression(model, head):
    """Reject a model that is compiled for regression.

    A model with a softmax head is treated as a classifier, whatever its loss.

    Raises:
        InputError: The loss is a regression loss, and the head has no softmax.
    """
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    try:
        loss = keras.losses.get(loss)
    except (TypeError, ValueError):
        return  # several losses, or a custom loss
    function = getattr(loss, "fn", loss)
    if callable(function) and function in _REGRESSION_LOSSES and head.activation != "softmax":
        raise InputError(
            f"The model {model.name!r} is compiled for regression, with the loss {_REGRESSION_LOSSES[function]}. "
            f"{_REGRESSION_ADVICE}"
        )


def check_data(raw, batches, model, head, name):
    """Reject batches that a classifier cannot be trained or evaluated on.

    If the images are in arrays, all of them are checked. For other data, only the images of the first batch are
    checked, since checking the rest would mean reading them. There is therefore no warning if pixels do not range from
    0 to 255 in a later batch of a stream. All labels that are available without reading images are checked too.

    Args:
        raw: Batches from `tlkeras.training.steps.data.as_batches`.
        batches: The batches of `raw` as returned by the model's own preprocessor; `raw` itself if the model has none.
        model: The classifier.
        head: The classifier's `tlkeras.models.heads.Head`.
        name: Name of the data in error messages.

    Returns:
        The labels that were checked.

    Raises:
        InputError: The data is empty or endless, or the model does not accept the images or labels.
    """
    if is_endless(raw):
        raise InputError(f"{name} is infinite. Limit it, for example with `dataset.take(batches)`.")
    images, labels = next(each_batch(raw, name), (None, None))
    if images is None:
        raise InputError(f"{name} contains no batch of images.")
    shown = images if raw is batches else next(each_batch(batches, name))[0]
    _check_shape(shown.shape, model, name)
    images = raw.images if isinstance(raw, ArrayBatches) else images
    check_finite(images, name)
    if raw is batches:  # a model's own preprocessor expects its own pixel range
        warn_of_pixel_range(images, model)
    labels = raw.labels if isinstance(raw, ImageBatches) else labels
    check_labels(labels, head, name)
    return labels


def _check_shape(shape, model, name):
    wanted = model.inputs[0].shape
    if len(shape) != len(wanted) or any(size not in (None, given) for size, given in zip(wanted, shape, strict=True)):
        hint = (
            "Batch it with `.batch(16)` or `batch_size`"
            if len(shape) == len(wanted) - 1
            else "Resize the images, as `load_images(image_size=...)` does"
        )
        raise InputError(f"{name} has images of shape {shape}, but the model takes batches of shape {wanted}. {hint}.")


def check_labels(labels, head, name):
    """Reject labels that do not fit a head.

    A head with several classes accepts class indices, one-hot rows, or rows of probabilities that sum to 1. A head with
    one unit accepts 0 and 1. A multi-label head accepts rows of values from 0 to 1.

    Args:
        labels: Array of shape `(images,)`, `(images, 1)` or `(images, units)`.
        head: The classifier's `tlkeras.models.heads.Head`.
        name: Name of the data in error messages.

    Raises:
        InputError: The labels do not have one of the shapes above, or are not in the range that the head accepts.
    """
    labels, units = np.asarray(labels), head.layer.units
    rows = are_rows(labels)
    if labels.dtype.kind not in "biuf":
        raise InputError(
            f"The labels of {name} are {labels.dtype} values, such as {labels.flat[0]!r}. Use class numbers as labels."
        )
    if (rows and labels.shape[1] != units) or labels.ndim > 2 or (head.task == "multilabel" and not rows):
        raise InputError(
            f"The head is {head.task} with {units} units and takes labels of shape {_shapes(head)}. "
            f"Received: {name} with labels of shape {labels.shape}."
        )
    highest = 1 if rows or head.task == "binary" else units - 1
    if labels.size and not (labels.min() >= 0 and labels.max() <= highest):
        advice = f" {_REGRESSION_ADVICE}" if labels.dtype.kind == "f" or (head.task == "binary" and rows) else ""
        raise InputError(
            f"The head is {head.task} with {units} units and takes labels from 0 to {highest}. "
            f"Received: {name} with labels from {labels.min()} to {labels.max()}.{advice}"
        )
    if not rows and labels.dtype.kind == "f" and (labels % 1).any():
        raise InputError(
            f"The labels of {name} are not whole numbers, such as {labels[labels % 1 != 0].flat[0]}. "
            f"{_REGRESSION_ADVICE}"
        )
    if rows and head.task == "multiclass":
        sums = labels.sum(axis=1, dtype="float64")
        if (wrong := np.flatnonzero(abs(sums - 1) > 1e-2)).size:
            raise InputError(
                f"The rows of labels of a head with {units} exclusive classes must sum to 1. Received: {name} with a "
                f"row that sums to {sums[wrong[0]]:.3g}. For several labels per image, build the head with sigmoid. "
                f"{_REGRESSION_ADVICE}"
            )


def find_fault(data, head):
    """Search for the cause of a NaN loss in the data that produced it.

    `ImageBatches` were checked in full beforehand, but only the first batch of a stream was, since checking the rest
    would have taken a full pass.

    Args:
        data: Dict of batches from `tlkeras.training.steps.data.as_batches`. The keys are the names that errors use for
            the data.
        head: The classifier's `tlkeras.models.heads.Head`.

    Raises:
        InputError: A batch has images that are not finite, or labels that do not fit the head.
    """
    for name, batches in data.items():
        streamed = () if isinstance(batches, ImageBatches) else each_batch(batches, name)
        for number, (images, labels) in enumerate(streamed):
            check_finite(images, f"batch {number} of {name}")
            check_labels(labels, head, f"batch {number} of {name}")


def _shapes(head):
    rows = f"(images, {head.layer.units})"
    return {"multilabel": rows, "binary": "(images,)", "multiclass": f"(images,) or {rows}"}[head.task]
