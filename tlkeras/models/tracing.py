"""List the parts of any Keras model that have weights, in the order in which data passes through them.

Nested models are traversed, so a model has the same units whether or not its backbone is nested.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import keras

from tlkeras.errors import InputError
from tlkeras.models.graph import graph_of, nodes
from tlkeras.models.layer_tree import descendants, has_kernel, own_weights, sublayers
from tlkeras.models.resolution import Tensor, after, built_on_vectors, is_pooled

#: A composite layer is a stack of blocks if repeated sublayer classes contain at least this fraction of its parameters.
_STACK_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class Unit:
    """A part of a model that is never divided between blocks: a layer, or a composite layer with its sublayers.

    Attributes:
        number: Index of the unit among the units of the model.
        sources: Numbers of the nearest upstream units: their data reaches this unit without passing through another
            unit.
        path: Names of the models and layers that contain the unit, then its own name.
        models: Names of the nested models that contain the unit; a prefix of `path`.
        layers: The layers that own the unit's weights, in the order in which they were created.
        level: Number of resolution changes between the model's input and this unit.
        segment: Number of the unit's segment. A new segment begins where all data passes through a single tensor, so
            parallel branches always lie within one segment. The image, and tensors computed from it without weights,
            such as rotary position embeddings, are ignored except where a branch begins with them.
        head: Whether the unit comes after the last spatial or token dimension, or computes the probabilities of a model
            that keeps such a dimension to the end.
    """

    number: int
    sources: frozenset[int]
    path: tuple[str, ...]
    models: tuple[str, ...]
    layers: tuple[keras.Layer, ...]
    level: int
    segment: int
    head: bool


@dataclass(eq=False)
class _Step:
    """One operation recorded in the traversal; a layer that is called twice creates two steps."""

    sources: frozenset[int]  # numbers of the steps with weights that its inputs are computed from
    path: tuple[str, ...]
    models: tuple[str, ...]
    layers: tuple[keras.Layer, ...]
    inputs: list[Tensor]
    outputs: list[Tensor]
    pooled: bool  # whether its inputs are
    level: int
    probabilities: bool  # whether its outputs are


def units(model: keras.Model) -> list[Unit]:
    """List all parts of a model that have weights, each once, in graph order, or in layer order if there is no graph.

    Args:
        model: A built Keras model.

    Returns:
        A list of `Unit` objects. Each weight of the model belongs to a layer of exactly one unit.
    """
    trace = _Trace()
    graph = graph_of(model)
    inputs = [Tensor(tuple(t.shape), len(t.shape) <= 2) for t in graph.inputs] if graph else [Tensor(None)]
    outputs = trace.run(model, inputs, None, (), ())
    traced = {id(layer) for step in trace.steps for layer in step.layers}
    if graph:  # models attached to a functional one, but not part of its graph
        _refuse_models_side_by_side(model, [model, *(part for part in sublayers(model) if _is_attached(part, traced))])
    for layer in descendants(model):  # attached layers too
        if own_weights(layer) and id(layer) not in traced:
            outputs = trace.step(layer, (layer,), outputs, None, (layer.name,), ())
    return trace.units(outputs)


def _is_attached(part: keras.Layer, traced: set[int]) -> bool:
    """Check whether `part` is a model with weights that the traversal of the graph did not reach."""
    return graph_of(part) is not None and bool(part.weights) and not any(id(x) in traced for x in descendants(part))


def _is_stack(layer) -> bool:
    """Check whether a layer without a graph is a container of blocks rather than a single block."""
    inner = [part for part in sublayers(layer) if part.weights]
    if isinstance(layer, keras.Model) or any(isinstance(part, keras.Model) for part in inner):
        return bool(inner)
    if type(layer).__module__.startswith("keras.src.layers"):  # both directions of an LSTM count as one layer
        return False
    composite = [part for part in inner if sublayers(part)]
    alike = Counter(type(part) for part in composite)
    repeated = sum(part.count_params() for part in composite if alike[type(part)] > 1)
    return repeated >= _STACK_SHARE * layer.count_params() > 0


def _gives_probabilities(layer) -> bool:
    """Check whether a layer or operation ends in softmax or sigmoid."""
    function = getattr(layer, "activation", layer)  # a layer's activation, or an operation such as keras.ops.softmax
    return getattr(function, "__name__", type(function).__name__).lower() in ("softmax", "sigmoid")


def _refuse_models_side_by_side(model: keras.Layer, parts: list[keras.Layer]) -> None:
    """Reject a model that contains models side by side, such as a distiller with a teacher and a student."""
    known = [part for part in parts if (graph := graph_of(part)) and len(graph.inputs) == 1]
    for first, second in itertools.pairwise(known):
        given, made, wanted = (
            tuple(tensor.shape[1:])
            for tensor in (graph_of(first).inputs[0], graph_of(first).outputs[0], graph_of(second).inputs[0])
        )
        if made != wanted and (given == wanted or (len(made) < 2 <= len(wanted))):
            raise InputError(
                f"The model {model.name!r} has no graph and contains models side by side, {first.name!r} and "
                f"{second.name!r}, so the order of its blocks is unknown. Pass one of them, such as "
                "`tlkeras.freeze(student)`."
            )


class _Trace:
    """A traversal of a model that records every operation as a step."""

    def __init__(self):
        self.steps: list[_Step] = []

    def run(self, layer, inputs, shapes, path, models) -> list[Tensor]:
        """Pass `inputs` through a layer or model. `shapes` are the shapes of its outputs, or None if unknown."""
        graph = graph_of(layer)
        if graph is not None:
            return self._run_graph(layer, graph, inputs, path, models)
        if isinstance(layer, keras.Layer) and _is_stack(layer):
            return self._run_stack(layer, inputs, shapes, path, models)
        owners = [part for part in descendants(layer) if own_weights(part)] if isinstance(layer, keras.Layer) else []
        return self.step(layer, owners, inputs, shapes, path, models)

    def _run_stack(self, layer, inputs, shapes, path, models) -> list[Tensor]:
        """Pass data through the parts in sequence; assume that every part has the shape of the layer's first output."""
        if own_weights(layer):
            inputs = self.step(layer, (layer,), inputs, shapes and shapes[:1], path, models)
        parts = sublayers(layer)
        if shapes is None:  # only the order of assignment is known, and heads are often assigned first
            parts.sort(key=lambda part: bool(built_on_vectors(part)) and not sublayers(part))
            _refuse_models_side_by_side(layer, parts)
        for part in parts:
            inputs = self.run(part, inputs, shapes and shapes[:1], (*path, part.name), models)
        last = inputs[0]
        others = (shapes or [])[1:]  # hidden states, attention scores
        return [last, *(replace(last, shape=shape, positions=None) for shape in others)]

    def _run_graph(self, model, graph, inputs, path, models) -> list[Tensor]:
        """Pass data through the layers and operations of a functional graph."""
        if own_weights(model):
            inputs = [*self.step(model, (model,), inputs, None, path, models), *inputs[1:]]
        # A model that is called inside a composite layer gets one chain of data, however many inputs it has.
        inputs = [inputs[min(i, len(inputs) - 1)] for i in range(len(graph.inputs))]
        known = {id(inner): outer for inner, outer in zip(graph.inputs, inputs, strict=True)}
        for node in nodes(graph):
            if node.is_input or any(id(t) not in known for t in node.input_tensors):
                continue
            results = self.run(
                node.operation,
                [known[id(t)] for t in node.input_tensors],
                [tuple(t.shape) for t in node.outputs],
                (*path, node.operation.name),
                (*models, node.operation.name) if graph_of(node.operation) is not None else models,
            )
            known.update((id(t), x) for t, x in zip(node.outputs, results, strict=False))
        return [known[id(t)] for t in graph.outputs]

    def step(self, layer, owners, inputs, shapes, path, models) -> list[Tensor]:
        """Record one operation and return its outputs."""
        below = frozenset().union(*(tensor.sources for tensor in inputs))
        sources = frozenset([len(self.steps)]) if owners else below
        if shapes is None:
            vectors = built_on_vectors(layer)
            pooled_in = all(tensor.pooled for tensor in inputs) if vectors is None else vectors
            shapes, pooled_out = [None], [pooled_in]
        else:
            pooled_in = bool(inputs) and all(tensor.pooled for tensor in inputs)
            pooled_out = [is_pooled(layer, inputs, shape) for shape in shapes]
        outputs = [
            after(layer, inputs, shape, pooled, sources) for shape, pooled in zip(shapes, pooled_out, strict=True)
        ]
        probabilities = _gives_probabilities(layer)
        self.steps.append(
            _Step(below, path, models, tuple(owners), list(inputs), outputs, pooled_in, outputs[0].level, probabilities)
        )
        return outputs

    def units(self, outputs) -> list[Unit]:
        """Create a unit from each step with weights. A shared layer belongs to the first step that calls it."""
        head = self._head()
        unit_of_step: dict[int, int] = {}
        unit_of_layer: dict[int, int] = {}
        result: list[Unit] = []
        for number, (segment, level) in enumerate(self._segments(outputs)):
            step = self.steps[number]
            layers = tuple(layer for layer in step.layers if id(layer) not in unit_of_layer)
            unit_of_layer.update((id(layer), len(result)) for layer in layers)
            if step.layers:
                unit_of_step[number] = unit_of_layer[id(step.layers[0])]
            if layers:
                sources = frozenset(unit_of_step[source] for source in step.sources)
                in_head = all(id(layer) in head for layer in layers)
                result.append(Unit(len(result), sources, step.path, step.models, layers, level, segment, in_head))
        return result

    def _head(self) -> set[int]:
        """Collect the ids of the layers after the last map of pixels or tokens.

        In a network without maps, these are the last layers with weights.
        """
        maps = (tensor for step in self.steps for tensor in step.outputs if not tensor.pooled)
        below = self._upstream(source for tensor in maps for source in tensor.sources)
        below = below or self._upstream(source for step in self.steps if step.layers for source in step.sources)
        inside, outside = set(), set()
        for number, step in enumerate(self.steps):
            target = inside if step.pooled and number not in below else outside
            target.update(map(id, step.layers))
        return inside - outside or self._last_kernel()

    def _upstream(self, numbers) -> set[int]:
        """Return the given step numbers, and the numbers of all steps with weights that feed into those steps."""
        reached = set(numbers)
        for number in reversed(range(len(self.steps))):  # sources come before what is computed from them
            if number in reached:
                reached |= self.steps[number].sources
        return reached

    def _last_kernel(self) -> set[int]:
        """Return the ids of the last layers with a kernel, if a single path leads from there to probabilities.

        These layers are the head of a fully convolutional model, which pools after its classifier or not at all. The
        sigmoid of a gate does not qualify, because it is followed by a multiplication.
        """
        last = max((i for i, step in enumerate(self.steps) if any(map(has_kernel, step.layers))), default=0)
        above = self.steps[last:]
        if any(step.probabilities for step in above) and all(len(step.inputs) == 1 for step in above):
            return {id(layer) for step in above for layer in step.layers}
        return set()

    def _segments(self, outputs) -> Iterator[tuple[int, int]]:
        """Yield, for each step, the number of its segment and the level at which the segment ends."""
        last_use = {}
        for i, step in enumerate(self.steps):
            # A tensor without weights below it counts only where a branch begins with it, because every block reads
            # masks and rotations.
            begins = step.layers and not step.sources
            last_use.update((id(tensor), i) for tensor in step.inputs if begins or tensor.sources)
        last_use.update((id(tensor), len(self.steps)) for tensor in outputs)
        live: dict[int, Tensor] = {}
        start = number = level = 0
        for i, step in enumerate(self.steps):
            live = {key: tensor for key, tensor in live.items() if last_use[key] > i}
            live.update(
                (id(tensor), tensor) for tensor in (*step.inputs, *step.outputs) if last_use.get(id(tensor), -1) > i
            )
            if len(live) <= 1 or i == len(self.steps) - 1:
                end = step.level
                # A single change of resolution applies to the whole segment; a long segment has several inside.
                for inner in self.steps[start : i + 1]:
                    yield number, end if end - level <= 1 else inner.level
                start, number, level = i + 1, number + 1, end
