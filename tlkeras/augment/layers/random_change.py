"""Base class of the layers in this folder, which change some of the images during training."""

from numbers import Real
from typing import Any

import keras

from tlkeras.utils.validation import check_number, invalid


class RandomChange(keras.layers.Layer):
    """Layer that changes a fraction of the images during training, and none in inference or in plain calls.

    Args:
        rate: Fraction of images that are changed, in [0, 1]. Defaults to 0.5.
        seed: Seed for the random numbers. Defaults to `None`, which draws a random seed.

    Input and output: pixels in [0, 255] of shape `(n, height, width, channels)`, or one image of shape
    `(height, width, channels)`.
    """

    def __init__(self, rate: float = 0.5, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = check_number("rate", rate, "[0, 1]")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def change(self, images: Any) -> Any:
        """Apply the change to all images of a float32 batch."""
        raise NotImplementedError

    def draw(self, images: Any, low: float = 0.0, high: float = 1.0) -> Any:
        """Draw one number per image, float32 of shape `(n, 1, 1, 1)`."""
        shape = (keras.ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, low, high, "float32", seed=self.seed_generator)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return keras.ops.cast(images, self.compute_dtype)
        images = keras.ops.cast(images, "float32")
        batch = images[None] if len(images.shape) == 3 else images
        changed = keras.ops.where(self.draw(batch) < self.rate, self.change(batch), batch)
        return keras.ops.cast(changed[0] if len(images.shape) == 3 else changed, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def check_interval(name: str, value: tuple[float, float], low: float, high: float) -> tuple[float, float]:
    """Return `value` as a pair of numbers, or raise if it is not an interval between `low` and `high`.

    Example:

    >>> check_interval("quality", (20, 80), 1, 100)
    (20, 80)
    >>> check_interval("quality", (80, 20), 1, 100)
    Traceback (most recent call last):
    tlkeras.errors.InputError: `quality` must be a pair (lowest, highest) of numbers in [1, 100]. Received: ...
    """
    pair = isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(end, Real) for end in value)
    if not (pair and low <= value[0] <= value[1] <= high):
        raise invalid(name, value, f"be a pair (lowest, highest) of numbers in [{low:g}, {high:g}]")
    return value[0], value[1]
