"""Composite layers of KerasHub and KerasCV laid out as the layers they are made of.

KerasHub keeps all blocks of a transformer in one layer. Keras saves one `trainable` flag for such a layer, and makes
what lies inside trainable when it reads the file, so a frozen transformer would train; some of these layers cannot be
read at all. Laid out, every leaf is a layer of the graph with its own flag, and where all leaves are core layers (ViT,
DeiT) the file opens with Keras alone. A `Lambda`, which no file gives back, is laid out as what it calls.
"""

import contextlib
import functools
import inspect
import math

import keras
from keras import layers, ops

from tlkeras.backbones.segformer import reduced_attention
from tlkeras.backbones.windows import window_attention, windowed_block
from tlkeras.models.graph import forget, graft
from tlkeras.models.layer_tree import own_weights, sublayers

#: Layers of KerasHub and KerasCV whose own code cannot be laid out, by class.
_WRITTEN_ANEW = {
    "SwinTransformerBlock": windowed_block,
    "WindowAttention": window_attention,
    "SegFormerMultiheadAttention": reduced_attention,
}


def lay_out(model, inputs, x):
    """Applies a backbone to `x` leaf by leaf, or as one nested model where its leaves cannot be run or read.

    Args:
        model: A backbone of KerasHub or KerasCV, of one input.
        inputs: The `keras.Input` from which `x` was made.
        x: KerasTensor that takes the place of the backbone's own input.

    Returns:
        A functional model from `inputs` to the features.

    Example:

    >>> import keras
    >>> inputs = keras.Input((2,))
    >>> model = keras.Model(inputs, keras.layers.Dense(3, name="dense")(inputs))
    >>> [layer.name for layer in lay_out(model, inputs, keras.ops.relu(inputs)).layers[1:]]
    ['dense']
    """
    with contextlib.suppress(TypeError, ValueError):
        with unrolled(model):
            result = graft(model, inputs, x)
        _leave_batch_size_open(result)
        return forget(model, result)
    return keras.Model(inputs, model(keras.tree.pack_sequence_as(model.input, [x])))


def _leave_batch_size_open(model):
    """Has what was reshaped to the size of the batch (DINOv3), which no graph knows, take whatever size comes."""
    for operation in model.operations:
        shape = getattr(operation, "newshape", ())
        if isinstance(shape, tuple | list) and None in shape:
            rest = math.prod(operation.input.shape[1:]) // math.prod(size for size in shape if size not in (None, -1))
            free = type(operation)(tuple({None: -1, -1: rest}.get(size, size) for size in shape))
            operation.newshape, operation._auto_config = free.newshape, free._auto_config


@contextlib.contextmanager
def unrolled(model):
    """While it is open, composite layers of `model`, called on KerasTensors, lay their parts into the graph.

    Parts get the name of what they were in before their own, so that names stay unique.

    Args:
        model: A backbone of KerasHub or KerasCV.

    Raises:
        ValueError: A layer can neither be read from a file nor be laid out.

    Example:

    >>> class Twice(keras.layers.Layer):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.first, self.second = keras.layers.Dense(2, name="first"), keras.layers.Dense(2, name="second")
    ...     def call(self, x):
    ...         return self.second(self.first(x))
    >>> inputs = keras.Input((2,))
    >>> model = keras.Model(inputs, Twice(name="twice")(inputs))
    >>> with unrolled(model):
    ...     [layer.name for layer in graft(model, inputs, inputs).layers[1:]]
    ['twice_first', 'twice_second']
    """
    opened = []
    try:
        for layer in model.layers:
            _open(layer, opened)
        yield
    finally:
        for layer in opened:
            layer.__class__ = type(layer).__base__


def _open(layer, opened):
    core = type(layer).__module__.startswith("keras.src.layers")
    parts = [] if core and not isinstance(layer, layers.MultiHeadAttention) else sublayers(layer)
    kind, activation = type(layer).__name__, getattr(layer, "activation", None)
    if kind == "DropPath":
        dropout = _dropout_of_paths(layer)
        _call_with(layer, lambda layer, x, **kwargs: dropout(x), opened)
    elif not parts and _is_readable(layer, core):
        return
    elif isinstance(layer, layers.Identity):
        _call_with(layer, lambda layer, x, **kwargs: x, opened)
    elif isinstance(layer, keras.Sequential):
        _call_with(layer, _one_after_another, opened)
    elif kind in _WRITTEN_ANEW:
        _call_with(layer, _WRITTEN_ANEW[kind], opened)
    elif not own_weights(layer):
        _call_with(layer, type(layer).call, opened)
    elif isinstance(activation, layers.Layer):
        parts = [activation]
        _call_with(layer, _activate_apart, opened)
    elif hasattr(layer, "patch_embedding") or hasattr(layer, "patch_embeddings"):
        _call_with(layer, _embed, opened)
    else:
        raise ValueError(f"{kind} can neither be read from a file nor be laid out.")
    for part in parts:
        part.name = f"{layer.name}_{part.name}"
        _open(part, opened)


def _call_with(layer, call, opened):
    """Lets a layer be called as a mere function, which leaves no node of its own in the graph."""
    cls = type(layer)
    layer.__class__ = type(cls.__name__, (cls,), {"__call__": call})
    opened.append(layer)


def _is_readable(layer, core):
    """Whether `layer` can be made anew from its own configuration, one of KerasHub with every argument it was given."""
    try:
        config = layer.get_config()
        type(layer).from_config(dict(config))
    except (TypeError, ValueError, AttributeError, NotImplementedError):  # each a way in which a configuration fails
        return False
    arguments = inspect.signature(type(layer).__init__).parameters.values()
    named = {p.name for p in arguments if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self", "data_format"}
    return core or named <= config.keys()


def _one_after_another(model, x, **kwargs):
    """The layers of a `Sequential`, whose own call would have the graph convert what it is given."""
    return functools.reduce(lambda x, layer: layer(x), model.layers, x)


def _dropout_of_paths(layer):
    """A provider's layer of stochastic depth in core Keras, which drops a whole sample of tokens."""
    rate = layer.rate if hasattr(layer, "rate") else layer.drop_prob
    return layers.Dropout(float(rate), noise_shape=(None, 1, 1), dtype=layer.dtype_policy, name=layer.name)


def _activate_apart(layer, x, **kwargs):
    """A core layer whose activation is a layer (squeeze and excite of MobileNetV3), as one and then the other."""
    linear = type(layer).__base__.from_config({**layer.get_config(), "activation": "linear"})
    x = linear(x)
    for weight, value in zip(linear.weights, layer.weights, strict=True):
        weight.assign(value)
    return layer.activation(x)


def _embed(layer, images, **kwargs):
    """Patches, tokens and positions of a ViT, DeiT or DINOv2 in core layers.

    Core Keras has no layer for a weight that is added as it is, so tokens and positions are rows of an `Embedding`,
    looked up by their number. What only pretraining reads is left out: the token that stands for a masked patch.
    """
    convolve = layer.patch_embedding if hasattr(layer, "patch_embedding") else layer.patch_embeddings.projection
    x = convolve(images)
    x = layers.Reshape((-1, x.shape[-1]), name=f"{layer.name}_patches")(x)
    names = ("class_token", "cls_token", "distillation_token")
    tokens = [getattr(layer, name)[0] for name in names if hasattr(layer, name)]
    if tokens:
        x = ops.concatenate([_rows(layer, "tokens", ops.concatenate(tokens), x[:, : len(tokens)]), x], axis=1)
    positions = _positions(layer)
    if positions is not None:
        x = layers.Add(name=f"{layer.name}_sum", dtype=layer.dtype_policy)([x, _rows(layer, "positions", positions, x)])
    if count := getattr(layer, "num_register_tokens", 0):
        registers = _rows(layer, "registers", layer.register_tokens[0], x[:, :count])
        x = ops.concatenate([x[:, :1], registers, x[:, 1:]], axis=1)
    return layer.dropout(x) if hasattr(layer, "dropout") else x


def _positions(layer):
    """The table of position embeddings that the layer adds, of shape `(tokens, width)`; None where it adds none."""
    if hasattr(layer, "interpolated_position_embeddings"):
        return layer.interpolated_position_embeddings[0]
    table = getattr(layer, "position_embedding", None)
    return table.embeddings if isinstance(table, layers.Embedding) else None if table is None else table[0]


def _rows(layer, name, values, like):
    """The rows of a table of weights, one after another for each image: `(batch, rows, width)`."""
    table = layers.Embedding(*values.shape, dtype=layer.dtype_policy, name=f"{layer.name}_{name}")
    rows = table(ops.cumsum(ops.ones_like(like[:, :, 0], dtype="int32"), axis=1) - 1)
    table.embeddings.assign(values)
    return rows
