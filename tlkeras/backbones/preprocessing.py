"""Use core Keras layers to convert raw RGB pixels to the format that a pretrained network was trained on.

The constants are those of `keras.applications.imagenet_utils.preprocess_input`. They are stored as one scale and one
offset per channel, so a saved model needs only Keras.
"""

from dataclasses import dataclass

from keras import layers, ops

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Preprocessing:
    """Affine map of each channel, `scale * pixel + offset`, after an optional flip from RGB to BGR.

    Args:
        scale: One float for all channels, or one float per channel.
        offset: Value that is added after scaling: one float for all channels, or one float per channel.
        bgr: Whether the network expects the channels in the order blue, green, red.

    Example:

    >>> Preprocessing(1 / 127.5, -1.0)
    Preprocessing(scale=0.00784313725490196, offset=-1.0, bgr=False)
    """

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]
    bgr: bool = False

    @classmethod
    def standardize(cls, mean, std):
        """Return the map `(pixel / 255 - mean) / std`, with `mean` and `std` for pixels in [0, 1].

        Example:

        >>> Preprocessing.standardize(mean=(0.5,), std=(0.5,))
        Preprocessing(scale=(0.00784313725490196,), offset=(-1.0,), bgr=False)
        """
        return cls(tuple(1 / (255 * s) for s in std), tuple(-m / s for m, s in zip(mean, std, strict=True)))

    def __call__(self, x):
        """Apply the map to a KerasTensor of shape `(batch, height, width, 3)`.

        Pixels are scaled in float32 under every dtype policy, because float16 would lose precision.
        """
        if self.bgr:
            x = ops.flip(x, axis=-1)
        scale, offset = (list(v) if isinstance(v, tuple) else v for v in (self.scale, self.offset))
        return layers.Rescaling(scale, offset, dtype="float32", name="preprocessing_rescaling")(x)


#: The preprocessing modes in the catalog. A network with mode "inside" has the preprocessing in its own first layers.
PREPROCESSING = {
    "tf": Preprocessing(1 / 127.5, -1.0),
    "torch": Preprocessing.standardize(_IMAGENET_MEAN, _IMAGENET_STD),
    "caffe": Preprocessing(1.0, tuple(-mean for mean in _CAFFE_MEAN_BGR), bgr=True),
    "unit": Preprocessing(1 / 255, 0.0),
    "inside": None,
}
