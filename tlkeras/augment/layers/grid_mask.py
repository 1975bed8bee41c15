"""Images of which a grid of squares is hidden."""

import math
from numbers import Real
from typing import Any

import keras

from tlkeras.augment.layers.random_change import RandomChange, interval, share
from tlkeras.errors import InputError


@keras.saving.register_keras_serializable("tlkeras")
class GridMask(RandomChange):
    """Hides a grid of squares in some images, in training only, so that no one detail decides.

    Unlike a single erased rectangle, a grid hides a part of everything and the whole of nothing. Grids differ in
    width, place and angle.

    Args:
        rate: share of the images that get a grid.
        hidden: side of a hidden square, as a share of the distance between two. 0.4 hides 0.16 of the image and is
            what the paper found best for ImageNet (its `r` of 0.6).
        distance: smallest and largest distance between two squares, as a share of the longer side of the image; by
            default the paper's 96 to 224 pixels of 224.
        fill: what the squares are filled with, in [0, 255]; by default a gray near the mean of photographs.
        seed: of the random numbers; `None` draws one.

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
        if not (isinstance(fill, Real) and 0 <= fill <= 255):
            raise InputError(f"fill is a gray level, from 0 to 255. Received: fill={fill!r}.")
        self.hidden, self.distance, self.fill = share(hidden, "hidden"), interval(distance, "distance", 0.01, 1), fill

    def change(self, images: Any) -> Any:
        ops = keras.ops
        height, width = images.shape[1:3]
        distance = self.draw(images, *self.distance) * max(height, width)
        angle = self.draw(images, 0.0, 2 * math.pi)
        rows = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1, 1))
        columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1, 1))
        # Positions in the turned grid, counted in its distances; a square begins at each whole number.
        across = (columns * ops.cos(angle) + rows * ops.sin(angle)) / distance + self.draw(images)
        down = (rows * ops.cos(angle) - columns * ops.sin(angle)) / distance + self.draw(images)
        hidden = (across - ops.floor(across) < self.hidden) & (down - ops.floor(down) < self.hidden)
        return ops.where(hidden, ops.cast(self.fill, images.dtype), images)

    def get_config(self) -> dict[str, Any]:
        own = {"hidden": self.hidden, "distance": self.distance, "fill": self.fill}
        return {**super().get_config(), **own}
