"""Expand the composite layers of KerasHub and KerasCV into the layers that they consist of.

KerasHub keeps all blocks of a transformer in one layer. Keras saves a single `trainable` flag for such a layer, and
makes all parts of the layer trainable when it loads the file, so a transformer that was frozen would train after
loading. Some composite layers cannot be loaded at all. After expansion, every leaf is a layer of the graph with its own
flag. If all leaves are core layers (ViT, DeiT), the file can be loaded with Keras alone. A `Lambda` layer cannot be
restored from a file, so it is replaced by the operations that it calls.
"""

import contextlib
import functools
import inspect
import math
import threading
from types import MappingProxyType
from unittest import mock

import keras
from keras import layers, ops

from tlkeras.models.graph import forget, graft
from tlkeras.models.layer_tree import own_weights, sublayers

#: Held while layer calls are replaced, because the replacement affects the whole process.
_REPLACING = threading.RLock()


def lay_out(model, inputs, x, rewritten=MappingProxyType({})):
    """Apply a backbone to `x` one leaf layer at a time, or as a nested model if its leaves cannot be run or loaded.

    Args:
        model: A KerasHub or KerasCV backbone with one input.
        inputs: The `keras.Input` that `x` was computed from.
        x: KerasTensor that replaces the backbone's own input.
        rewritten: Dict that maps the names of layer classes to functions that replace the code of these layers. Each
            function is called with the layer and the arguments of the call. Defaults to none.

    Returns:
        A functional model from `inputs` to the output of the backbone.

    Example:

    >>> import keras
    >>> inputs = keras.Input((2,))
    >>> model = keras.Model(inputs, keras.layers.Dense(3, name="dense")(inputs))
    >>> [layer.name for layer in lay_out(model, inputs, keras.ops.relu(inputs)).layers[1:]]
    ['dense']
    """
    with contextlib.suppress(TypeError, ValueError):
        with unrolled(model, rewritten):
            result = graft(model, inputs, x)
        _leave_batch_size_open(result)
        return forget(model, result)
    return keras.Model(inputs, model(keras.tree.pack_sequence_as(model.input, [x])))


@contextlib.contextmanager
def unrolled(model, rewritten=MappingProxyType({})):
    """In a `with` block, let the composite layers of `model` add their parts to the graph when called on KerasTensors.

    The name of each part is prefixed with the name of the layer it belongs to, so names stay unique.

    Args:
        model: A KerasHub or KerasCV backbone.
        rewritten: As in `lay_out`.

    Raises:
        ValueError: A layer can neither be loaded from a file nor be expanded.

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
    replaced = {}
    for layer in model.layers:
        _open(layer, rewritten, replaced)
    call_layer = layers.Layer.__call__

    def call(layer, *args, **kwargs):
        return replaced.get(id(layer), call_layer)(layer, *args, **kwargs)

    with _REPLACING, mock.patch.object(layers.Layer, "__call__", call), mock.patch.object(ops, "reshape", _reshape):
        yield


def _reshape(x, newshape, reshape=ops.reshape):
    """Reshape a tensor without specifying the batch size, which is unknown in a graph."""
    return reshape(x, _open_shape(x, newshape))


def _leave_batch_size_open(model):
    """Leave the batch size open in reshapes that do not go through `keras.ops.reshape`, such as those of KerasCV."""
    for operation in model.operations:
        shape = getattr(operation, "newshape", ())
        opened = _open_shape(operation.input, shape) if shape else shape
        if opened != shape:
            free = type(operation)(opened)
            operation.newshape, operation._auto_config = free.newshape, free._auto_config


def _open_shape(x, shape):
    """Replace the batch size with -1, and any -1 that the shape already has with a number."""
    if not isinstance(shape, tuple | list) or None not in shape or None in x.shape[1:]:
        return shape
    rest = math.prod(x.shape[1:]) // math.prod(size for size in shape if size not in (None, -1))
    return tuple({None: -1, -1: rest}.get(size, size) for size in shape)


def _open(layer, rewritten, replaced):
    """If a layer has to be expanded, record the functions that replace its call and its parts' calls."""
    core = type(layer).__module__.startswith("keras.src.layers")
    parts = [] if core and not isinstance(layer, layers.MultiHeadAttention) else sublayers(layer)
    kind, activation = type(layer).__name__, getattr(layer, "activation", None)
    if kind == "DropPath":
        dropout = _dropout_of_paths(layer)
        replaced[id(layer)] = lambda layer, x, **kwargs: dropout(x)
    elif kind in rewritten:
        replaced[id(layer)] = rewritten[kind]
    elif not parts and _is_readable(layer, core):
        return
    elif isinstance(layer, layers.Identity):
        replaced[id(layer)] = lambda layer, x, **kwargs: x
    elif isinstance(layer, keras.Sequential):
        replaced[id(layer)] = _one_after_another
    elif not own_weights(layer):
        replaced[id(layer)] = _call_inside
    elif callable(activation):
        parts = [activation] if isinstance(activation, layers.Layer) else []
        replaced[id(layer)] = _activate_apart
    elif hasattr(layer, "patch_embedding") or hasattr(layer, "patch_embeddings"):
        replaced[id(layer)] = _embed
    else:
        raise ValueError(f"{kind} can neither be read from a file nor be split into layers that can.")
    for part in parts:
        part.name = f"{layer.name}_{part.name}"
        _open(part, rewritten, replaced)


def _is_readable(layer, core):
    """Return whether a layer can be rebuilt from its config. KerasHub's configs must contain every argument."""
    activation = getattr(layer, "activation", None)
    if callable(activation) and not activation.__module__.startswith("keras.src"):
        return False
    try:
        config = layer.get_config()
        type(layer).from_config(dict(config))
    except (TypeError, ValueError, AttributeError, NotImplementedError):  # a bad config can raise any of these
        return False
    arguments = inspect.signature(type(layer).__init__).parameters.values()
    named = {p.name for p in arguments if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self", "data_format"}
    return core or named <= config.keys()


def _call_inside(layer, *args, **kwargs):
    """Run a layer's `call` directly, and omit `training` if the layer does not take this argument (SigLIP)."""
    if "training" not in inspect.signature(layer.call).parameters:
        kwargs.pop("training", None)
    return layer.call(*args, **kwargs)


def _one_after_another(model, x, **kwargs):
    """Call the layers of a `Sequential` in order, since calling the model itself would add conversions to the graph."""
    return functools.reduce(lambda x, layer: layer(x), model.layers, x)


def _dropout_of_paths(layer):
    """Build a provider's stochastic depth with core Keras: dropout that drops all tokens of a sample together."""
    rate = layer.rate if hasattr(layer, "rate") else layer.drop_prob
    return layers.Dropout(float(rate), noise_shape=(None, 1, 1), dtype=layer.dtype_policy, name=layer.name)


def _activate_apart(layer, x, **kwargs):
    """Apply a layer's activation in a separate call: core Keras cannot save that activation (MobileNetV3, SigLIP)."""
    linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    x = linear(x)
    for weight, value in zip(linear.weights, layer.weights, strict=True):
        weight.assign(value)
    return layer.activation(x)


def _embed(layer, images, **kwargs):
    """Embed the patches, tokens and positions of a ViT, DeiT, DINOv2, CLIP or SigLIP with core layers.

    Core Keras has no layer that adds a plain weight, so tokens and positions are rows of an `Embedding`, looked up by
    index. The token for masked patches is left out, since it is used only in pretraining.
    """
    convolve = layer.patch_embedding if hasattr(layer, "patch_embedding") else layer.patch_embeddings.projection
    x = convolve(images)
    x = layers.Reshape((-1, x.shape[-1]), name=f"{layer.name}_patches")(x)
    names = ("class_token", "cls_token", "class_embedding", "distillation_token")
    tokens = [ops.reshape(getattr(layer, name), (1, -1)) for name in names if hasattr(layer, name)]
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
    """Return the table of position embeddings that the layer adds, of shape `(tokens, width)`; None if it has none."""
    if hasattr(layer, "interpolated_position_embeddings"):
        return layer.interpolated_position_embeddings[0]
    table = getattr(layer, "position_embedding", None)
    if not isinstance(table, layers.Embedding):
        return None if table is None else table[0]
    # In CLIP, a saved weight decides which row each position adds.
    return (
        ops.take(table.embeddings, layer.position_ids[0], axis=0)
        if hasattr(layer, "position_ids")
        else table.embeddings
    )


def _rows(layer, name, values, like):
    """Repeat the rows of a weight table for each image, to shape `(batch, rows, width)`."""
    table = layers.Embedding(*values.shape, dtype=layer.dtype_policy, name=f"{layer.name}_{name}")
    rows = table(ops.cumsum(ops.ones_like(like[:, :, 0], dtype="int32"), axis=1) - 1)
    table.embeddings.assign(values)
    return rows
