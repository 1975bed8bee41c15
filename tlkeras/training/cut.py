"""Cuts a model in two where all that trains lies above: a frozen trunk and a top, sharing the model's own layers."""

import keras


def cut_points(model):
    """Lists the tensors that everything passes through, from input to output.

    Args:
        model: A functional `keras.Model` with one input.

    Returns:
        A list of `(tensor, operations)`: a KerasTensor that separates the model in two, and how many of
        `model.operations`, in the order of execution, lie below it.

    Example:

    >>> inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(8, name="a")(inputs)
    >>> x = keras.layers.Add()([x, keras.layers.Dense(8, name="b")(x)])
    >>> [tensor.shape for tensor, _ in cut_points(keras.Model(inputs, keras.layers.Dense(2)(x)))]
    [(None, 8), (None, 8), (None, 8)]
    """
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    last_use = {}
    for position, node in enumerate(nodes):
        last_use.update((id(tensor), position) for tensor in node.input_tensors)
    last_use.update((id(tensor), len(nodes)) for tensor in model.outputs)
    live, points = {}, []
    for position, node in enumerate(nodes):
        live.update((id(tensor), tensor) for tensor in node.outputs)
        live = {key: tensor for key, tensor in live.items() if last_use.get(key, -1) > position}
        if len(live) == 1 and position < len(nodes) - 1:
            points.append((next(iter(live.values())), position + 1))
    return points


def operations_in_order(model):
    """The model's layers and operations in the order in which `cut_points` counts them."""
    return [
        node.operation for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]
    ]


def cut(model):
    """Cuts a model below the first layer that trains.

    Args:
        model: A functional `keras.Model` with one input and one output.

    Returns:
        `(trunk, top)`, two models that share the layers of `model`, with `model(x) == top(trunk(x))`; training one
        trains the other. `None` where nothing can be cut off: the first layers train, or the model has no graph.
    """
    if not hasattr(model, "_nodes_by_depth") or len(model.inputs) != 1 or len(model.outputs) != 1:
        return None
    operations = operations_in_order(model)
    trains = [bool(getattr(operation, "trainable_weights", ())) for operation in operations]
    first = trains.index(True) if True in trains else len(trains)
    weighted = next((i for i, operation in enumerate(operations) if getattr(operation, "weights", ())), len(operations))
    below = [(tensor, count) for tensor, count in cut_points(model) if weighted < count <= first]
    if not below:
        return None
    tensor, _ = below[-1]
    return keras.Model(model.inputs[0], tensor), keras.Model(tensor, model.outputs[0])
