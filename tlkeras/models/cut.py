"""Cuts a model in two where all that trains lies above: a frozen trunk and a top, sharing the model's own layers."""

import keras

from tlkeras.models.graph import live_tensors, nodes


def cut_points(model):
    """Lists the tensors that everything passes through, from input to output.

    Args:
        model: A functional `keras.Model` with one input.

    Returns:
        A list of `(tensor, count)`: a KerasTensor that separates the model in two, and how many calls of layers lie
        below it.

    Example:

    >>> inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(8, name="a")(inputs)
    >>> x = keras.layers.Add()([x, keras.layers.Dense(8, name="b")(x)])
    >>> [tensor.shape for tensor, _ in cut_points(keras.Model(inputs, keras.layers.Dense(2)(x)))]
    [(None, 8), (None, 8), (None, 8)]
    """
    points = enumerate(live_tensors(model)[:-1], 1)
    return [(tensors[0], count) for count, tensors in points if len(tensors) == 1]


def cut(model):
    """Cuts a model below the first layer that trains.

    Args:
        model: A functional `keras.Model` with one input and one output.

    Returns:
        `(trunk, top)`, two models that share the layers of `model`, with `model(x) == top(trunk(x))`; training one
        trains the other. `None` where nothing can be cut off: the first layers train, or the model has no graph.
    """
    graph = getattr(model, "_functional", None) or model  # a Sequential model keeps its graph inside
    if not hasattr(graph, "_nodes_by_depth") or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    operations = [node.operation for node in nodes(graph)]
    first = next((i for i, operation in enumerate(operations) if _weights(operation, "trainable_weights")), None)
    weighted = next((i for i, operation in enumerate(operations) if _weights(operation, "weights")), None)
    if first is None or first == weighted:
        return None
    below = [tensor for tensor, count in cut_points(graph) if weighted < count <= first]
    if not below:
        return None
    return keras.Model(graph.inputs[0], below[-1]), keras.Model(below[-1], graph.outputs[0])


def _weights(operation, kind):
    return getattr(operation, kind, ())
