"""Replace randomly shaped patches of images with patches from other images in the batch, and mix the labels (FMix)."""

from typing import Any

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.utils.validation import check_number


@keras.saving.register_keras_serializable("tlkeras")
class FourierMix(keras.layers.Layer):
    """Layer that pastes randomly shaped patches from one image of a batch into another, and mixes their labels (FMix).

    The layer works like `keras.layers.CutMix`, but its patches are not rectangles: they cover the area where
    low-frequency noise exceeds a threshold. Labels are mixed in proportion to the number of pixels from each image.
    Pass the layer to `batches(..., mix=...)`.

    Args:
        alpha: Parameter of the Beta(alpha, alpha) distribution from which the fraction of pixels that an image keeps is
            drawn. Defaults to 1, the paper's value, which makes all fractions equally likely.
        decay_power: Exponent with which the amplitude of the noise decays with frequency. A larger value produces fewer
            and larger patches. Defaults to 3, the paper's value.
        seed: Seed for the random numbers. Defaults to `None`, which draws a random seed.

    Input and output: a dictionary with `images` of shape `(n, height, width, channels)` and one-hot `labels` of shape
    `(n, classes)`; or only an array of images, as in `keras.layers.CutMix`.

    Raises:
        InputError: `alpha` or `decay_power` is not positive, or the layer is called on a single image.

    References: [Harris et al., FMix](https://arxiv.org/abs/2002.12047).

    Example:

    >>> import numpy as np, tlkeras
    >>> batch = {"images": np.zeros((4, 32, 32, 3)), "labels": np.eye(4)}
    >>> tlkeras.FourierMix(seed=0)(batch, training=True)["labels"].shape
    TensorShape([4, 4])
    """

    def __init__(self, alpha: float = 1.0, decay_power: float = 3.0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.alpha = check_number("alpha", alpha, "(0, inf)")
        self.decay_power = check_number("decay_power", decay_power, "(0, inf)")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        ops = keras.ops
        images = inputs["images"] if isinstance(inputs, dict) else inputs
        if len(images.shape) != 4:
            raise InputError(
                f"`FourierMix` must be called on a batch, since it mixes images. Received: shape {tuple(images.shape)}."
            )
        partners = keras.random.shuffle(ops.arange(ops.shape(images)[0]), seed=self.seed_generator)
        own = self._masks(images)
        mixed = ops.where(own[..., None], images, ops.take(images, partners, axis=0))
        if not isinstance(inputs, dict):
            return mixed
        labels = inputs["labels"]
        share = ops.mean(ops.cast(own, labels.dtype), axis=(1, 2))[:, None]
        return {**inputs, "images": mixed, "labels": share * labels + (1 - share) * ops.take(labels, partners, axis=0)}

    def _masks(self, images: Any) -> Any:
        """Draw masks of shape `(n, height, width)`, one per image, that are True for the pixels the image keeps."""
        ops = keras.ops
        count, (height, width) = ops.shape(images)[0], images.shape[1:3]
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
        decay = np.maximum(frequency, 1 / max(height, width)) ** -self.decay_power
        decay = ops.convert_to_tensor(decay, "float32")
        noise = keras.random.normal((count, height, width), dtype="float32", seed=self.seed_generator)
        real, imaginary = ops.fft2((noise, ops.zeros_like(noise)))
        smooth, _ = ops.ifft2((real * decay, imaginary * decay))
        wanted = keras.random.beta((count,), self.alpha, self.alpha, "float32", seed=self.seed_generator)
        flat = ops.reshape(smooth, (-1, height * width))
        ranks = ops.argsort(ops.argsort(flat, axis=-1), axis=-1)
        mask = ops.cast(ranks, "float32") < ops.round(wanted * height * width)[:, None]
        return ops.reshape(mask, (-1, height, width))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"alpha": self.alpha, "decay_power": self.decay_power, "seed": self.seed}
        return {**super().get_config(), **own}
