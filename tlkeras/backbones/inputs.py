"""The image input of a backbone: check the image size and channels, and convert gray images to three channels."""

from dataclasses import dataclass
from numbers import Integral

import keras
from keras import layers

from tlkeras.errors import InputError
from tlkeras.utils.validation import check_choice, invalid


@dataclass(frozen=True)
class ImageInput:
    """The size and channels of the images that a network is built for.

    Args:
        image_size: Height and width in pixels, or one integer for both. Use None for a side that may vary. Defaults to
            None, which means the size that the network was trained at.
        channels: 3 for RGB images, 1 for gray images.
        tensor: KerasTensor of pixels to build on, instead of a new input. Its shape replaces `image_size` and
            `channels`.

    Raises:
        InputError: `image_size` is not an image size, `channels` is not 1 or 3, or `tensor` is not a KerasTensor of
            images.

    Example:

    >>> ImageInput(64), ImageInput((48, 64), channels=1).image_size
    (ImageInput(image_size=(64, 64), channels=3, tensor=None), (48, 64))
    """

    image_size: int | tuple[int | None, int | None] | None = None
    channels: int = 3
    tensor: keras.KerasTensor | None = None

    def __post_init__(self):
        if self.tensor is not None:
            if not keras.backend.is_keras_tensor(self.tensor):
                advice = "`keras.Input((224, 224, 3))` returns one, and so does every layer that is called on it."
                raise invalid("input_tensor", self.tensor, "be a KerasTensor of images", advice)
            if len(self.tensor.shape) != 4 or self.tensor.shape[-1] not in (1, 3):
                advice = "Its shape must be (batch, height, width, channels), with 3 channels or 1."
                raise invalid("input_tensor", self.tensor, "be a KerasTensor of images", advice)
            object.__setattr__(self, "image_size", tuple(self.tensor.shape[1:3]))
            object.__setattr__(self, "channels", self.tensor.shape[-1])
        check_choice("channels", self.channels, (3, 1), "Use 3 for RGB images and 1 for grayscale images.")
        object.__setattr__(self, "image_size", _sides(self.image_size))

    def connect(self, name, default_size, minimum_size):
        """Create a network's input, or find the input that `tensor` comes from, and convert images to three channels.

        Args:
            name: Name of the network, for error messages.
            default_size: Height and width in pixels to use if no `image_size` was given; None to accept any size.
            minimum_size: Smallest height and width in pixels that the network accepts.

        Returns:
            `(inputs, rgb)`: the `keras.Input`, and a KerasTensor with three channels computed from it.

        Raises:
            InputError: The images are smaller than `minimum_size`.

        Example:

        >>> inputs, rgb = ImageInput(64, channels=1).connect("resnet50", 224, 32)
        >>> inputs.shape, rgb.shape
        ((None, 64, 64, 1), (None, 64, 64, 3))
        """
        size = self.image_size or (default_size, default_size)
        if any(side is not None and side < minimum_size for side in size):
            raise invalid(
                "image_size", size, f"be at least {minimum_size} x {minimum_size} pixels for the backbone {name}"
            )
        if self.tensor is None:
            x = inputs = keras.Input((*size, self.channels), name="image")
        else:
            x, sources = self.tensor, keras.utils.get_source_inputs(self.tensor)
            if len(sources) != 1:
                raise InputError(
                    f"`input_tensor` must be computed from one input. Received: a tensor computed from {len(sources)} "
                    "inputs."
                )
            (inputs,) = sources
        if self.channels == 1:
            x = layers.Concatenate(name="preprocessing_gray_to_rgb")([x, x, x])
        return inputs, x


def _sides(image_size):
    """Return an image size as `(height, width)`; None stays None."""
    if image_size is None:
        return None
    pair = isinstance(image_size, tuple | list) and len(image_size) == 2
    sides = tuple(image_size) if pair else (image_size,)
    positive = [isinstance(side, Integral) and not isinstance(side, bool) and side > 0 for side in sides]
    allowed = [valid or (pair and side is None) for valid, side in zip(positive, sides, strict=True)]
    if not all(allowed):
        requirement = "be a positive integer or a pair of them, (height, width)"
        advice = "In a pair, None means any length."
        raise invalid("image_size", image_size, requirement, advice)
    height, width = sides if pair else sides * 2
    return tuple(None if side is None else int(side) for side in (height, width))
