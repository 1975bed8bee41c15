"""Where a model can be tapped: the tensors that leave its blocks."""

import keras
from keras import layers

from tlkeras.errors import InputError
from tlkeras.models.blocks import blocks
from tlkeras.models.graph import flatten, graph_of, live_tensors, nodes


def block_output(model, name):
    """Find the tensor that a block of a model ends in, including residual sums and pooling that follow its weights.

    Args:
        model: A `keras.Model` with a graph; nested models are laid flat.
        name: Name of a block of `tlkeras.blocks(model)` or of a layer, or the start of several layers' names: the tap
            comes after the last of them.

    Returns:
        `(model, tensor)`: the flat model, whose layers are those of `model`, and a KerasTensor of its graph. Where
        several tensors leave the block (NASNet hands on those of two cells) it is the one made last.

    Raises:
        InputError: There is no such block, or it lies within a layer (an encoder of KerasHub is one layer) and so
            cannot be tapped.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.backbone("efficientnet_lite0")
    >>> block_output(model, "block5")[1].shape
    (None, 14, 14, 112)
    """
    if not isinstance(name, str):
        raise InputError(f"A block is given by its name, such as {blocks(model).names[-1]!r}. Received: {name!r}")
    if graph_of(model) is None:
        raise InputError(f"The model {model.name!r} has no graph, so its blocks cannot be tapped; leave block=None.")
    found = blocks(model)
    below = len(found.bottom(name))
    if below and found.block_of(found.layers[below - 1]).parallel:
        raise InputError(f"{name!r} belongs to parallel towers, which end in several tensors. Pass one of the towers.")
    model = flatten(model)
    graph = graph_of(model)
    inside, above = ({id(layer) for layer in part} for part in (found.layers[:below], found.layers[below:]))
    order = [{id(layer) for layer in _parts(node.operation)} for node in nodes(graph)]
    if any(parts & inside and parts & above for parts in order):
        raise InputError(f"{name!r} ends within one layer of {model.name!r}, where nothing can be tapped.")
    end = next((position for position, parts in enumerate(order) if parts & above), len(order))
    tensor = live_tensors(graph)[end - 1][-1]
    while isinstance(tensor._keras_history.operation, layers.ZeroPadding2D):  # made for the block above
        tensor = tensor._keras_history.operation.input
    return model, tensor


def _parts(operation):
    return operation._flatten_layers() if isinstance(operation, keras.Layer) else ()
