"""Find, traverse, flatten, graft and cut the functional graph of a model.

New graphs are built from the layers of the original model, so the weights are shared.
"""

import inspect
import warnings

import keras


def graph_of(layer):
    """Return the functional graph behind a layer or model, or None if there is none.

    A `Sequential` model has a functional graph once it is built.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> graph_of(model).outputs[0] is model.outputs[0], graph_of(model.layers[0])
    (True, None)
    """
    graph = getattr(layer, "_functional", None) or layer
    return graph if hasattr(graph, "_nodes_by_depth") else None


def flatten(model):
    """Move the layers of nested functional and `Sequential` models (ConvNeXt has four) into the outer graph.

    Args:
        model: A functional or `Sequential` model.

    Returns:
        A functional model with the layers and outputs of `model`, or `model` itself if it contains no nested model.

    Example:

    >>> inner = keras.Sequential([keras.layers.Dense(2), keras.layers.ReLU()])
    >>> inputs = keras.Input((3,))
    >>> [type(layer).__name__ for layer in flatten(keras.Model(inputs, inner(inputs))).layers]
    ['InputLayer', 'Dense', 'ReLU']
    """
    if not any(graph_of(layer) for layer in model.layers):
        return model
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs[0])

    def unpack(layer, *args, **kwargs):
        # With `call`, a model runs its layers one by one and adds no node for itself.
        return layer.call(*args) if graph_of(layer) else layer(*args, **kwargs)

    return flatten(
        keras.models.clone_model(
            model, input_tensors=model.input, clone_function=lambda layer: layer, call_function=unpack
        )
    )


def infer_by_default(model):
    """Make plain calls to a model run in inference mode, as `predict` does.

    In a plain call `model(x)`, a Keras preprocessing or augmentation layer, even `Resizing`, runs in training mode, and
    so does every later layer of the graph. BatchNorm then normalizes with batch statistics and updates its moving
    averages, both in `model(x)` and in the files that `model.export` writes. This function rebuilds the graph so that
    these layers get `training=False` in plain calls. `fit` passes `training=True` itself, so augmentation still works.
    A saved model does not need tlkeras.

    Args:
        model: A functional or `Sequential` model.

    Returns:
        A functional model with the layers and inputs of `model`, or `model` itself if its plain calls already run in
        inference mode.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> model = keras.Model(inputs, keras.layers.RandomErasing(1.0)(inputs))
    >>> images = keras.ops.ones((1, 8, 8, 3))
    >>> [bool(keras.ops.all(one(images) == 1)) for one in (model, infer_by_default(model))]
    [False, True]
    """
    graph = graph_of(model)
    calls = [(node.operation, node.arguments.kwargs) for node in nodes(graph) if not node.is_input]
    if not any(trains_by_default(operation) and kwargs.get("training") is not False for operation, kwargs in calls):
        return model

    def call(layer, *args, **kwargs):
        if trains_by_default(layer):
            kwargs["training"] = False
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        graph, input_tensors=graph.input, clone_function=lambda layer: layer, call_function=call
    )


def trains_by_default(operation):
    """Return whether a layer defaults to training mode, or is a model whose graph contains a layer that does."""
    if graph := graph_of(operation):
        return any(trains_by_default(node.operation) for node in nodes(graph) if not node.is_input)
    training = inspect.signature(operation.call).parameters.get("training")
    return training is not None and training.default is True


def graft(model, inputs, x):
    """Apply a functional model to `x` layer by layer, since a call to the model would add it as a nested model.

    Args:
        model: A functional model with one input.
        inputs: The `keras.Input` that `x` was computed from.
        x: KerasTensor that replaces the model's own input.

    Returns:
        A functional model that maps `inputs` to the output of `model`. Its single graph includes the layers that
        compute `x`.

    Example:

    >>> body = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    >>> inputs = keras.Input((3,))
    >>> whole = graft(keras.Model(body.inputs, body.outputs[0]), inputs, keras.layers.Rescaling(2.0)(inputs))
    >>> [type(layer).__name__ for layer in whole.layers]
    ['InputLayer', 'Rescaling', 'Dense']
    """

    def call(layer, *args, **kwargs):
        args, kwargs = keras.tree.map_structure(lambda value: x if value is inputs else value, (args, kwargs))
        return layer(*args, **kwargs)

    with warnings.catch_warnings():
        # Pack the tensor as the model takes it: bare, in a list, or in a dict, whose key need not be the tensor's name.
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        grafted = keras.models.clone_model(
            model,
            input_tensors=keras.tree.pack_sequence_as(model.input, [inputs]),
            clone_function=lambda layer: layer,
            call_function=call,
        )
    return keras.Model(inputs, grafted.output)


def forget(former, model):
    """Make the `output` of each layer refer to `model`, which was built from the layers of `former`.

    For a layer that is called several times, `output` is the result of the first call, which belongs to the graph of
    `former`. Without this function, `keras.Model(model.input, model.get_layer(name).output)`, as used for Grad-CAM,
    would be disconnected.

    Args:
        former: A functional model that must not be used afterwards, since its layers lose their connections to its
            graph.
        model: The functional model built from the layers of `former`, or `former` itself if nothing had to change.

    Returns:
        A new model with the inputs and outputs of `model`.

    Example:

    >>> first, inputs = keras.Input((3,)), keras.Input((3,))
    >>> body = keras.Model(first, keras.layers.Dense(2, name="dense")(first))
    >>> whole = forget(body, graft(body, inputs, inputs))
    >>> whole.get_layer("dense").output is whole.output
    True
    """
    if model is former:
        return model
    owned = {id(operation) for operation in (*former.operations, *former._flatten_layers())}
    kept = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    for operation in model.operations:
        if id(operation) in owned:
            operation._inbound_nodes[:] = [node for node in operation._inbound_nodes if id(node) in kept]
            for place, node in enumerate(operation._inbound_nodes):
                for tensor in node.output_tensors:
                    tensor._keras_history = tensor._keras_history._replace(node_index=place)
    return keras.Model(model.input, model.output)


def nodes(model):
    """Return the calls to layers and operations in a functional graph, in order of execution.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    >>> [node.operation.name for node in nodes(keras.Model(model.inputs, model.outputs))][1:]
    ['dense']
    """
    order = {id(operation): position for position, operation in enumerate(model.operations)}
    by_depth = [model._nodes_by_depth[depth] for depth in sorted(model._nodes_by_depth, reverse=True)]
    return [node for level in by_depth for node in sorted(level, key=lambda node: order[id(node.operation)])]


def live_tensors(model):
    """For each call in a functional graph, list the tensors that are live after it: already computed and still needed.

    Args:
        model: A functional `keras.Model`.

    Returns:
        A list with one entry per node: the live KerasTensors, in the order in which they were computed.

    Example:

    >>> inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(8, name="a")(inputs)
    >>> x = keras.layers.Add()([x, keras.layers.Dense(8, name="b")(x)])
    >>> [len(tensors) for tensors in live_tensors(keras.Model(inputs, keras.layers.Dense(2)(x)))]
    [1, 1, 2, 1, 1]
    """
    graph = nodes(model)
    last_use = {}
    for position, node in enumerate(graph):
        last_use.update((id(tensor), position) for tensor in node.input_tensors)
    last_use.update((id(tensor), len(graph)) for tensor in model.outputs)
    live, points = {}, []
    for position, node in enumerate(graph):
        live.update((id(tensor), tensor) for tensor in node.outputs)
        live = {key: tensor for key, tensor in live.items() if last_use.get(key, -1) > position}
        points.append(list(live.values()))
    return points


def cut_points(model):
    """List the tensors that all data passes through, from input to output.

    Args:
        model: A functional `keras.Model` with one input.

    Returns:
        A list of pairs `(tensor, count)`: a KerasTensor that splits the model in two, and the number of layer calls
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
    """Cut a model below the first layer that trains.

    Args:
        model: A functional `keras.Model` with one input and one output.

    Returns:
        `(trunk, top)`, two models that share the layers of `model`, with `model(x) == top(trunk(x))`. Training `top`
        therefore trains `model`. None if no cut is possible, such as when the first layers train or the model has no
        graph.
    """
    graph = graph_of(model)
    if graph is None or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    operations = [node.operation for node in nodes(graph)]
    first = next((i for i, operation in enumerate(operations) if getattr(operation, "trainable_weights", ())), None)
    weighted = next((i for i, operation in enumerate(operations) if getattr(operation, "weights", ())), None)
    if first is None or first == weighted:
        return None
    below = [tensor for tensor, count in cut_points(graph) if weighted < count <= first]
    if not below:
        return None
    return keras.Model(graph.inputs[0], below[-1]), keras.Model(below[-1], graph.outputs[0])
