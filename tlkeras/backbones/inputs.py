"""The image input of a backbone: checked, and gray images made three channels."""

import keras
from keras import layers

from tlkeras.errors import InputError


def check_image_shape(name, input_shape, example=(224, 224, 3)):
    """Refuses what is no shape of images; `example` is shown then, as one that would do for `name`."""
    try:
        height, width, channels = input_shape
    except (TypeError, ValueError):
        raise InputError(
            f"input_shape must be (height, width, channels), e.g. {example}. Received: input_shape={input_shape!r}"
        ) from None
    if channels not in (1, 3):
        raise InputError(
            f"{name} takes images of 3 channels (RGB), or of 1 (gray). Received: input_shape={input_shape!r}"
        )
    if not all(side is None or (isinstance(side, int) and side > 0) for side in (height, width)):
        raise InputError(f"Height and width are positive integers or None. Received: input_shape={input_shape!r}")
    return height, width, channels


def image_input(name, input_shape, default_size, minimum_size, input_tensor=None):
    """Makes the input of a backbone.

    Args:
        name: The backbone's name, for messages.
        input_shape: `(height, width, channels)`, channels 3 or 1, or None for `default_size` squared and RGB.
        default_size: Height and width, in pixels; None for any.
        minimum_size: Smallest height and width, in pixels.
        input_tensor: KerasTensor of pixels to take instead of a new input; its shape goes before `input_shape`.

    Returns:
        `(inputs, rgb)`: the `keras.Input`, or that which `input_tensor` comes from, and the KerasTensor of three
        channels made from it.

    Raises:
        InputError: The shape is no image shape, or too small.

    Example:

    >>> inputs, rgb = image_input("resnet50", (64, 64, 1), 224, 32)
    >>> inputs.shape, rgb.shape
    ((None, 64, 64, 1), (None, 64, 64, 3))
    """
    example = (default_size, default_size, 3)
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            raise InputError(
                "input_tensor is a KerasTensor, such as keras.Input((224, 224, 3)) or what a layer makes of one. "
                f"Received: {type(input_tensor).__name__}"
            )
        input_shape = tuple(input_tensor.shape[1:])
    elif input_shape is None:
        input_shape = example
    height, width, channels = check_image_shape(name, input_shape, example)
    if any(side is not None and side < minimum_size for side in (height, width)):
        raise InputError(
            f"{name} needs images of at least {minimum_size} x {minimum_size} pixels. "
            f"Received: input_shape={input_shape!r}"
        )
    if input_tensor is None:
        x = inputs = keras.Input((height, width, channels), name="image")
    else:
        x, (inputs,) = input_tensor, keras.utils.get_source_inputs(input_tensor)
    if channels == 1:
        x = layers.Concatenate(name="preprocessing_gray_to_rgb")([x, x, x])
    return inputs, x
