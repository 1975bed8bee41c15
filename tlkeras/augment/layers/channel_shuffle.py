"""Shuffle the color channels of images."""

from typing import Any

import keras

from tlkeras.augment.layers.random_change import RandomChange


@keras.saving.register_keras_serializable("tlkeras")
class RandomChannelShuffle(RandomChange):
    """Layer that shuffles the color channels of some images during training.

    Use it if color does not distinguish the classes. A red object may become blue, for example, while gray pixels stay
    unchanged.

    Args:
        rate: Fraction of images whose channels are shuffled, in [0, 1]. The random order may happen to be the original
            one. Defaults to 0.5.
        seed: Seed for the random numbers. Defaults to `None`, which draws a random seed.

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
