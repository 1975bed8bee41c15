"""Images whose color channels have changed places."""

from typing import Any

import keras

from tlkeras.augment.layers.random_change import RandomChange


@keras.saving.register_keras_serializable("tlkeras")
class RandomChannelShuffle(RandomChange):
    """Puts the color channels of some images into a random order, in training only.

    For classes that color does not tell apart: red things become blue, grays stay as they are.

    Args:
        rate: share of the images whose channels are put into a random order, which may be the old one.
        seed: of the random numbers; `None` draws one.

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
