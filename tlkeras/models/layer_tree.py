"""List the layers inside a layer or model, and the weights that belong directly to each layer."""

import re
from collections.abc import Iterator

import keras

from tlkeras.utils.validation import invalid


def check_model(model) -> None:
    """Raise an error if the argument `model` is not a Keras model.

    Raises:
        InputError: `model` is not a Keras model.
    """
    if not isinstance(model, keras.Model):
        advice = "`keras.models.load_model` and `tlkeras.image_classifier` return one."
        raise invalid("model", model, "be a keras.Model", advice)


def own_weights(layer: keras.Layer) -> list[keras.Variable]:
    """Return the weights that belong directly to the layer, without those of its sublayers."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def has_kernel(layer: keras.Layer) -> bool:
    """Check whether the layer itself owns a weight with two or more dimensions, unlike a normalization layer."""
    return any(len(weight.shape) > 1 for weight in own_weights(layer))


def is_batchnorm(layer: keras.Layer) -> bool:
    """Check whether the layer is a `BatchNormalization`."""
    return isinstance(layer, keras.layers.BatchNormalization)


def is_norm(layer: keras.Layer) -> bool:
    """Check by class name whether a layer, such as LayerNormalization or RmsNorm2d, normalizes activations.

    `SpectralNormalization` normalizes a kernel, not activations, and is excluded.
    """
    name = type(layer).__name__
    return name != "SpectralNormalization" and re.search(r"norm(alization)?(\dd)?$", name, re.IGNORECASE) is not None


def is_bias(weight: keras.Variable) -> bool:
    """Check whether a weight is only added to activations, like a bias or the offset of a normalization."""
    return weight.name in ("bias", "beta") or weight.name.endswith("_bias")


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Return the direct sublayers of a layer, in the order in which they were assigned to it."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def descendants(layer: keras.Layer) -> Iterator[keras.Layer]:
    """Yield the layer and all layers inside it, each only once, with outer layers before inner ones."""
    seen = set()

    def walk(layer):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            for inner in sublayers(layer):
                yield from walk(inner)

    return walk(layer)
