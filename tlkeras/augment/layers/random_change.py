"""What the layers of this folder have in common: a change of some of the images, in training only."""

from numbers import Real
from typing import Any

import keras

from tlkeras.errors import InputError


class RandomChange(keras.layers.Layer):
    """Changes a share of the images in training; at inference, and in a plain call, it changes none.

    Args:
        rate: share of the images that are changed, in [0, 1].
        seed: of the random numbers; `None` draws one.

    Input and output: pixels in [0, 255] of shape `(n, height, width, channels)`.
    """

    def __init__(self, rate: float = 0.5, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = share(rate, "rate")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def change(self, images: Any) -> Any:
        """Gives all images changed, float32 as they come."""
        raise NotImplementedError

    def draw(self, images: Any, low: float = 0.0, high: float = 1.0) -> Any:
        """Draws a number for each image, float32 of shape `(n, 1, 1, 1)`."""
        shape = (keras.ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, low, high, "float32", seed=self.seed_generator)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return keras.ops.cast(images, self.compute_dtype)
        images = keras.ops.cast(images, "float32")
        changed = keras.ops.where(self.draw(images) < self.rate, self.change(images), images)
        return keras.ops.cast(changed, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def share(value: float, name: str) -> float:
    """Returns `value` if it is a share."""
    if not (isinstance(value, Real) and 0 <= value <= 1):
        raise InputError(f"{name} is a share, from 0 to 1. Received: {name}={value!r}.")
    return float(value)


def interval(value: tuple[float, float], name: str, low: float, high: float) -> tuple[float, float]:
    """Returns `value` if it is an interval within `low` and `high`."""
    pair = isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(end, Real) for end in value)
    if not (pair and low <= value[0] <= value[1] <= high):
        raise InputError(f"{name} is (lowest, highest), within {low:g} and {high:g}. Received: {name}={value!r}.")
    return value[0], value[1]
