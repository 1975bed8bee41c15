"""Hide parts of images with a grid of squares (GridMask)."""

import math
from typing import Any

import keras

from tlkeras.augment.layers.random_change import RandomChange, check_interval
from tlkeras.utils.validation import check_number


@keras.saving.register_keras_serializable("tlkeras")
class GridMask(RandomChange):
    """Layer that hides parts of some images behind a grid of squares, so that a model cannot rely on a single detail.

    Unlike a single erased rectangle, a grid hides parts of an object without hiding the whole object. The spacing,
    position and angle of the grid are random.

    Args:
        rate: Fraction of images that get a grid, in [0, 1]. Defaults to 0.5.
        hidden: Side length of a hidden square, as a fraction of the grid spacing, in [0, 1]. Defaults to 0.4, which
            hides 16% of the image and worked best for ImageNet in the paper (`r` = 0.6 in the paper's notation).
        distance: Smallest and largest grid spacing, as fractions of the longer side of the image. Defaults to the
            paper's values, which are 96 and 224 pixels for images of 224 pixels.
        fill: Value of the hidden pixels, in [0, 255]. Defaults to 127, a gray near the mean of photographs.
        seed: Seed for the random numbers. Defaults to `None`, which draws a random seed.

    References: [Chen et al., GridMask Data Augmentation](https://arxiv.org/abs/2001.04086).

    Example:

    >>> import numpy as np, tlkeras
    >>> hidden = np.asarray(tlkeras.GridMask(rate=1.0, seed=0)(np.zeros((64, 96, 96, 3)), training=True)) == 127
    >>> round(float(hidden.mean()), 1)
    0.2
    """

    def __init__(
        self,
        rate: float = 0.5,
        hidden: float = 0.4,
        distance: tuple[float, float] = (96 / 224, 1.0),
        fill: float = 127.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(rate, seed, **kwargs)
        self.hidden = check_number("hidden", hidden, "[0, 1]")
        self.distance = check_interval("distance", distance, 0.01, 1)
        self.fill = check_number("fill", fill, "[0, 255]")

    def change(self, images: Any) -> Any:
        ops = keras.ops
        height, width = images.shape[1:3]
        distance = self.draw(images, *self.distance) * max(height, width)
        angle = self.draw(images, 0.0, 2 * math.pi)
        rows = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1, 1))
        columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1, 1))
        # Positions in the rotated grid, in units of its spacing. A square starts at each whole number.
        across = (columns * ops.cos(angle) + rows * ops.sin(angle)) / distance + self.draw(images)
        down = (rows * ops.cos(angle) - columns * ops.sin(angle)) / distance + self.draw(images)
        hidden = (across - ops.floor(across) < self.hidden) & (down - ops.floor(down) < self.hidden)
        return ops.where(hidden, ops.cast(self.fill, images.dtype), images)

    def get_config(self) -> dict[str, Any]:
        own = {"hidden": self.hidden, "distance": self.distance, "fill": self.fill}
        return {**super().get_config(), **own}
