"""Find the output tensor of a block of a model, where features can be tapped."""

import keras
from keras import layers

from tlkeras.errors import InputError
from tlkeras.models.blocks import blocks
from tlkeras.models.graph import flatten, graph_of, live_tensors, nodes


def block_output(model, name):
    """Find the output tensor of a model's block, after any residual sums and pooling that follow the block's weights.

    Args:
        model: A `keras.Model` with a graph; nested models are flattened.
        name: Name of a block in `tlkeras.blocks(model)` or of a layer, or a common prefix of several layer names. With
            a prefix, the tap comes after the last of these layers.

    Returns:
        `(model, tensor)`: the flat model, which shares the layers of `model`, and a KerasTensor of its graph. If the
        block has several output tensors (in NASNet, those of two cells), the tensor is the one computed last.

    Raises:
        InputError: There is no such block, or it cannot be tapped because it is inside a layer (a KerasHub encoder is
            a single layer).

    Example:

    >>> import tlkeras
    >>> model = tlkeras.backbone("efficientnet_lite0")
    >>> block_output(model, "block5")[1].shape
    (None, 14, 14, 112)
    """
    if not isinstance(name, str):
        raise InputError(
            f"`block` must be the name of a block, such as {blocks(model).names[-1]!r}. Received: block={name!r}."
        )
    if graph_of(model) is None:
        raise InputError(f"The model {model.name!r} has no graph, so its blocks cannot be tapped; leave block=None.")
    found = blocks(model)
    below = len(found.bottom(name))
    if below and found.block_of(found.layers[below - 1]).parallel:
        raise InputError(f"{name!r} belongs to parallel towers with several outputs. Pass one of the towers.")
    model = flatten(model)
    graph = graph_of(model)
    inside, above = ({id(layer) for layer in part} for part in (found.layers[:below], found.layers[below:]))
    order = [{id(layer) for layer in _parts(node.operation)} for node in nodes(graph)]
    if any(parts & inside and parts & above for parts in order):
        raise InputError(f"{name!r} ends inside a single layer of {model.name!r}, which cannot be tapped.")
    end = next((position for position, parts in enumerate(order) if parts & above), len(order))
    tensor = live_tensors(graph)[end - 1][-1]
    while isinstance(tensor._keras_history.operation, layers.ZeroPadding2D):  # padding belongs to the next block
        tensor = tensor._keras_history.operation.input
    return model, tensor


def _parts(operation):
    return operation._flatten_layers() if isinstance(operation, keras.Layer) else ()
