"""Attention to a shrunk map (Mix Transformers, the encoders of SegFormer) in core layers, for batches of any size.

KerasCV's own names the size of the batch, which no graph knows, together with that of the shrunk map.

Source: Xie et al., SegFormer, 2021, https://arxiv.org/abs/2105.15203
"""

import math

from keras import ops

from tlkeras.errors import InputError

#: How many pixels wide a position of the last map is.
_SHRINKAGE = 32


def check_square(name, height, width):
    """Refuses images of a size at which some map of a Mix Transformer is no square of whole patches.

    Args:
        name: The name of the backbone, for the message.
        height: Of the images, in pixels; None is refused.
        width: Likewise.

    Raises:
        InputError: The size does not fit.

    Example:

    >>> check_square("MiT-B0", 224, 224)
    >>> check_square("MiT-B0", 224, 256)
    Traceback (most recent call last):
    tlkeras.errors.InputError: MiT-B0 needs square images of a multiple of 32 pixels. Received: images of 224 x 256 ...
    """
    if height is None or height != width or height % _SHRINKAGE:
        raise InputError(
            f"{name} needs square images of a multiple of {_SHRINKAGE} pixels. "
            f"Received: images of {height} x {width} pixels"
        )


def reduced_attention(attention, tokens):
    """A `SegFormerMultiheadAttention` of KerasCV on the tokens `(batch, side * side, channels)` of a square map."""
    count, channels = tokens.shape[1:]

    def heads(x):
        x = ops.reshape(x, (-1, x.shape[1], attention.num_heads, channels // attention.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    shrunk = tokens
    if attention.sr_ratio > 1:
        # Channels are read as positions and back, as in KerasCV, whose weights were trained so.
        side = math.isqrt(count)
        x = attention.sr(ops.reshape(ops.transpose(tokens, (0, 2, 1)), (-1, side, side, channels)))
        x = ops.reshape(x, (-1, channels, math.prod(x.shape[1:3])))
        shrunk = attention.norm(ops.transpose(x, (0, 2, 1)))
    query, key, value = heads(attention.q(tokens)), heads(attention.k(shrunk)), heads(attention.v(shrunk))
    shares = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * attention.scale)
    x = ops.transpose(ops.matmul(shares, value), (0, 2, 1, 3))
    return attention.proj(ops.reshape(x, (-1, count, channels)))
