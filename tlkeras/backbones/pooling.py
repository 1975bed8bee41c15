"""Pool the last features of a network into one vector per image."""

from keras import layers

from tlkeras.errors import InputError
from tlkeras.utils.validation import check_choice

POOLINGS = ("avg", "max", "concat", "cls")


def check_pooling(pooling, optional=False):
    """Raise if `pooling` is not the name of a pooling method.

    Args:
        pooling: The value that the caller received.
        optional: Whether None, for no pooling, is allowed.

    Raises:
        InputError: `pooling` is not one of the allowed values.
    """
    choices = (*POOLINGS, None) if optional else POOLINGS
    check_choice("pooling", pooling, choices)


def pool(x, pooling, prefix_tokens=0, name=""):
    """Pool a feature map or a sequence of tokens with core layers.

    Args:
        x: KerasTensor of shape `(batch, height, width, channels)`, or `(batch, tokens, channels)` from a transformer.
        pooling: `"avg"` or `"max"` over positions, `"concat"` for both, concatenated (twice as wide, as in fastai's
            head), or `"cls"` for the class token of a transformer that has one.
        prefix_tokens: Number of leading tokens that are not patches (class, distillation and register tokens). `"avg"`,
            `"max"` and `"concat"` leave these tokens out.
        name: Prefix of the layers' names, needed if one model pools several tensors.

    Returns:
        KerasTensor of shape `(batch, channels)`, or `(batch, 2 * channels)` with `"concat"`.

    Raises:
        InputError: The pooling is unknown, or needs a class token that the network does not have.

    Example:

    >>> import keras
    >>> pool(keras.Input((7, 7, 320)), "concat").shape
    (None, 640)
    """
    check_pooling(pooling)
    tokens = len(x.shape) == 3
    if pooling == "cls":
        if not tokens or prefix_tokens < 1:
            raise InputError(
                "`pooling='cls'` needs a network with a class token. This network returns features of shape "
                f"{tuple(x.shape)} without one. Use 'avg', 'max' or 'concat'."
            )
        first = layers.Cropping1D((0, x.shape[1] - 1), name=f"{name}cls_token_crop")(x)
        return layers.Flatten(name=f"{name}cls_pool")(first)
    if tokens and prefix_tokens:
        x = layers.Cropping1D((prefix_tokens, 0), name=f"{name}patch_tokens_crop")(x)
    average, maximum = (
        (layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D)
        if tokens
        else (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
    )
    if pooling == "avg":
        return average(name=f"{name}avg_pool")(x)
    if pooling == "max":
        return maximum(name=f"{name}max_pool")(x)
    both = [average(name=f"{name}avg_pool")(x), maximum(name=f"{name}max_pool")(x)]
    return layers.Concatenate(name=f"{name}concat_pool")(both)
