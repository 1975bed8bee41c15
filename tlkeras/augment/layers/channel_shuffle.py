"""Color channels in a random order."""

from typing import Any

import keras

from tlkeras.augment.layers.random_change import RandomChange


@keras.saving.register_keras_serializable("tlkeras")
class RandomChannelShuffle(RandomChange):
    """Random order of the color channels of some images, in training only.

    Use it for classes that color does not tell apart: red objects become blue, and grays stay as they are.

    Args:
        rate: Share of the images whose channels are put into a random order, which may be the old one. Defaults to 0.5.
        seed: Seed of the random numbers. Defaults to `None`, which draws a random one.

    Example:

    >>> import numpy as np, tlkeras
    >>> red = np.full((1, 1, 1, 3), (255, 0, 0), "float32")
    >>> sorted(np.ravel(tlkeras.RandomChannelShuffle(rate=1.0)(red, training=True)).tolist())
    [0.0, 0.0, 255.0]
    """

    def change(self, images: Any) -> Any:
        ops = keras.ops
        shape = ops.shape(images)
        keys = keras.random.uniform((shape[0], 1, 1, shape[-1]), seed=self.seed_generator)
        return ops.take_along_axis(images, ops.broadcast_to(ops.argsort(keys, axis=-1), shape), axis=-1)
