"""Measure, read and set the statistics of BatchNorm layers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

from tlkeras.models.layer_tree import descendants, is_batchnorm


class Moments:
    """Mean and variance of each channel, pooled over batches of any size.

    Example:

    >>> moments = Moments()
    >>> moments.add(np.array([[0.0], [2.0]]), axis=-1)
    >>> moments.add(np.array([[4.0]]), axis=-1)
    >>> moments.mean.tolist(), moments.variance.round(3).tolist()
    ([2.0], [2.667])
    """

    def __init__(self):
        self.count, self.mean, self.variance = 0, 0.0, 0.0

    def add(self, values, axis: int) -> None:
        """Add a batch, reducing all axes except `axis`."""
        axes = [one for one in range(len(values.shape)) if one != axis % len(values.shape)]
        mean, variance = map(_float64, ops.moments(ops.cast(values, "float32"), axes))
        count = int(np.prod([values.shape[one] for one in axes]))
        # Chan et al., 1979: avoids subtracting large numbers.
        share, apart = count / (self.count + count), mean - self.mean
        self.mean = self.mean + share * apart
        self.variance = (1 - share) * self.variance + share * variance + share * (1 - share) * apart**2
        self.count += count


def _float64(values):
    return ops.convert_to_numpy(values).astype("float64")


def batchnorm_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """List the BatchNorm layers of a model, including nested ones."""
    return [layer for layer in descendants(model) if is_batchnorm(layer)]


def statistics_of(layers) -> list[tuple[np.ndarray, np.ndarray]]:
    """Copy the moving means and variances of BatchNorm layers, in double precision."""
    return [(_float64(layer.moving_mean), _float64(layer.moving_variance)) for layer in layers]


def assign_statistics(layers, statistics) -> None:
    """Set the moving means and variances of BatchNorm layers."""
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def record_moments(
    model: keras.Model,
    layers: list[keras.layers.BatchNormalization],
    batches: Iterable[np.ndarray],
    before: Callable[[int, Moments], None] | None = None,
) -> list[Moments]:
    """Call a model on batches and record the moments of the inputs to its BatchNorm layers.

    The model is called in inference mode, so dropout and augmentation do nothing, and no statistics change.

    Args:
        model: `keras.Model` to call.
        layers: BatchNorm layers of the model.
        batches: Batches of images, as arrays of pixels.
        before: Function called with the index of a layer and the layer's moments so far, just before the layer
            normalizes its inputs; the function may assign statistics. Defaults to None.

    Returns:
        A list with the `Moments` of each layer.
    """
    moments = [Moments() for _ in layers]
    with _watched(layers, moments, before):
        for pixels in batches:
            model(pixels, training=False)
    return moments


@contextmanager
def _watched(layers, moments, before) -> Iterator[None]:
    """Record the inputs to each layer before the layer normalizes them."""

    def watched(number, layer, call):
        def record_and_call(inputs, training=None, mask=None):
            moments[number].add(inputs, layer.axis)
            if before is not None:
                before(number, moments[number])
            return call(inputs, training=False, mask=mask)

        return record_and_call

    try:
        for number, layer in enumerate(layers):
            layer.call = watched(number, layer, layer.call)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)
