"""Shifted-window attention (Swin) with core layers and operations, for batches of any size.

KerasHub's own code divides by the batch size, which is unknown in a graph. In this module, the windows have an axis of
their own, and the table of position biases is an `Embedding`. Indices that do not depend on the image are computed in
the graph, so they are not saved in files.

Source: Liu et al., Swin Transformer, 2021, https://arxiv.org/abs/2103.14030
"""

from keras import layers, ops

from tlkeras.errors import InputError

#: Added to the scores of pairs that must not attend to each other, so that softmax makes them nearly zero.
_APART = -100.0


def check_sides(name, backbone, height, width):
    """Reject an image size if a feature map of a Swin Transformer cannot be halved or is smaller than a window.

    Args:
        name: Name of the backbone, for the error message.
        backbone: A `SwinTransformerBackbone` from KerasHub, built for any size.
        height: Height of the images in pixels; None is rejected.
        width: Width of the images in pixels; None is rejected.

    Raises:
        InputError: The network cannot process images of this size.

    Example:

    >>> from types import SimpleNamespace
    >>> swin_tiny = SimpleNamespace(patch_size=4, depths=(2, 2, 6, 2), window_size=7)
    >>> check_sides("Swin-T", swin_tiny, 256, 224)
    >>> check_sides("Swin-T", swin_tiny, 240, 240)
    Traceback (most recent call last):
    tlkeras.errors.InputError: Swin-T needs images whose height and width are at least 224 pixels and ...
    """
    shrinkage = 2 ** (len(backbone.depths) - 1)
    step = backbone.patch_size * shrinkage
    for side in (height, width):
        patches = (side or 0) // backbone.patch_size
        if patches % shrinkage or patches // shrinkage < backbone.window_size:
            raise InputError(
                f"{name} needs images whose height and width are at least {step * backbone.window_size} pixels and "
                f"multiples of {step}, so that its windows fit each feature map. Received: images of {height} x "
                f"{width} pixels."
            )


def windowed_block(block, tokens, **kwargs):
    """Apply KerasHub's `SwinTransformerBlock` to tokens of shape `(batch, height * width, channels)`."""
    (height, width), size, shift = block.input_resolution, block.window_size, block.shift_size
    channels = tokens.shape[-1]
    x = ops.reshape(block.norm1(tokens), (-1, height, width, channels))
    if shift:
        x = ops.roll(x, (-shift, -shift), axis=(1, 2))
    regions = _split(_regions(x, size, shift), size) if shift else None
    x = _join(block.attn(_split(x, size), regions), -(-height // size), -(-width // size))
    if shift:
        x = ops.roll(x, (shift, shift), axis=(1, 2))
    x = ops.reshape(x[:, :height, :width], (-1, height * width, channels))
    tokens = tokens + block.drop_path(x)
    return tokens + block.drop_path(block.mlp(block.norm2(tokens)))


def window_attention(attention, x, regions=None):
    """Apply KerasHub's `WindowAttention` to windows of shape `(batch, windows, positions, channels)`.

    `regions` has shape `(1, windows, positions, 1)` and contains the number of the image region that each position
    belongs to. Positions in different regions do not attend to each other.
    """
    windows, positions = x.shape[1:3]

    def heads(part):
        part = ops.reshape(part, (-1, windows, positions, attention.num_heads, attention.head_dim))
        return ops.transpose(part, (0, 1, 3, 2, 4))

    query, key, value = map(heads, ops.split(attention.qkv(x), 3, axis=-1))
    scores = ops.matmul(query * attention.scale, ops.transpose(key, (0, 1, 2, 4, 3))) + _bias(attention, x)
    if regions is not None:
        apart = ops.cast(ops.not_equal(regions, ops.transpose(regions, (0, 1, 3, 2))), scores.dtype)
        scores = scores + _APART * ops.expand_dims(apart, 2)
    shares = attention.attention_dropout_layer(ops.softmax(scores))
    x = ops.transpose(ops.matmul(shares, value), (0, 1, 3, 2, 4))
    x = ops.reshape(x, (-1, windows, positions, attention.attn_dim))
    return attention.proj_drop(attention.proj(x))


def _split(x, size):
    """Pad a feature map and split it into windows, of shape `(batch, windows, size * size, channels)`."""
    height, width, channels = x.shape[1:]
    x = ops.pad(x, ((0, 0), (0, -height % size), (0, -width % size), (0, 0)))
    rows, columns = -(-height // size), -(-width // size)
    x = ops.transpose(ops.reshape(x, (-1, rows, size, columns, size, channels)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, rows * columns, size * size, channels))


def _join(x, rows, columns):
    """Join windows into the feature map that they came from."""
    size, channels = round(x.shape[2] ** 0.5), x.shape[-1]
    x = ops.transpose(ops.reshape(x, (-1, rows, columns, size, size, channels)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, rows * size, columns * size, channels))


def _numbers(like, axis):
    """Number the positions 0, 1, 2, ... along one axis."""
    return ops.cumsum(ops.ones_like(like, dtype="int32"), axis=axis) - 1


def _regions(x, size, shift):
    """Number the nine regions of a rolled feature map; different regions are not adjacent in the image."""

    def part(numbers, length):
        return ops.cast(numbers >= length - size, "int32") + ops.cast(numbers >= length - shift, "int32")

    height, width = x.shape[1:3]
    rows, columns = _numbers(x[:1, :, :, :1], axis=1), _numbers(x[:1, :, :, :1], axis=2)
    return 3 * part(rows, height) + part(columns, width)


def _bias(attention, x):
    """Return the relative position bias of the attention scores, of shape `(1, 1, heads, positions, positions)`."""
    size = attention.win_h
    number = _numbers(x[:1, 0, :, 0], axis=1)

    def distance(place):
        return ops.expand_dims(place, 2) - ops.expand_dims(place, 1) + size - 1

    values = attention.relative_position_bias_table
    table = layers.Embedding(
        *values.shape, dtype=attention.dtype_policy, name=f"{attention.name}_relative_position_bias"
    )
    bias = table((2 * size - 1) * distance(number // size) + distance(number % size))
    table.embeddings.assign(values)
    return ops.expand_dims(ops.transpose(bias, (0, 3, 1, 2)), 1)
