"""A layer that computes the unknown score of a run's rejector, so that exported files can recognize unknown images.

`tlkeras.evaluation.rejector.Rejector` computes the score with NumPy. This layer computes the same score with operators
that every runtime supports.
"""

import keras
import numpy as np
from keras import ops

from tlkeras.models.graph import infer_by_default
from tlkeras.models.heads import find_head

#: Keeps divisors and arguments of square roots above 0 without changing other values.
_TINY = 1e-30


@keras.saving.register_keras_serializable("tlkeras")
class UnknownScore(keras.layers.Layer):
    """Layer that computes unknown scores from the distances of new images from known images in feature space.

    See `Rejector.unknown_scores` for the method.

    Args:
        images: Number of known images that new images are compared with.
        **options: Arguments of `keras.layers.Layer`.

    Example:

    >>> layer = UnknownScore(4)
    >>> layer.build((None, 3))
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3,), (3,), (3, 4), (4,)]
    """

    def __init__(self, images, **options):
        super().__init__(**options)
        self.images = int(images)

    def build(self, input_shape):
        """Create the weights: mean and scale of signed square roots; features and distances of the known images."""
        count, images = input_shape[-1], self.images
        shapes = {"center": (count,), "scale": (count,), "references": (count, images), "distances": (images,)}
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(shape=shape, initializer="ones", trainable=False, name=name))

    def compute_output_shape(self, input_shape):
        """Return the shape of the scores: one per image."""
        return (input_shape[0], 1)

    def get_config(self):
        """Return the configuration of the layer."""
        return {**super().get_config(), "images": self.images}

    def call(self, features):
        """Compute the scores, float32 `(images, 1)`."""
        roots = features / ops.sqrt(ops.abs(features) + _TINY)
        known = (roots - self.center) / self.scale
        known = known / ops.sqrt(ops.sum(known * known, axis=1, keepdims=True) + _TINY)
        distance = 1.0 - ops.max(ops.matmul(known, self.references), axis=1, keepdims=True)
        nearer = ops.cast(self.distances < distance, "float32")
        return ops.sum(nearer, axis=1, keepdims=True) / float(self.images + 1)

    def write_litert(self, graph, features):
        """Add the computation of this layer to a LiteRT file.

        Args:
            graph: `tlkeras.features.engines.litert_graph.LiteRtGraph` to add to.
            features: Index of the tensor with the features.

        Returns:
            Index of the tensor with the scores.
        """
        add, width = graph.add, graph.shape(features)
        center, scale, references, distances = (ops.convert_to_numpy(weight) for weight in self.weights)
        last, tiny = graph.constant([1], "int32"), graph.constant([_TINY])

        def root(tensor, shape):
            return add("SQRT", [add("ADD", [tensor, tiny], shape)], shape)

        roots = add("DIV", [features, root(add("ABS", [features], width), width)], width)
        known = add("SUB", [roots, graph.constant(center)], width)
        known = add("DIV", [known, graph.constant(scale)], width)
        length = add("SUM", [add("MUL", [known, known], width), last], (1, 1), keepDims=True)
        known = add("DIV", [known, root(length, (1, 1))], width)
        shape = (1, self.images)
        constants = [graph.constant(references.T), graph.constant(np.zeros(self.images))]
        similarities = add("FULLY_CONNECTED", [known, *constants], shape)
        nearest = add("REDUCE_MAX", [similarities, last], (1, 1), keepDims=True)
        distance = add("SUB", [graph.constant([1.0]), nearest], (1, 1))
        nearer = graph.cast(add("LESS", [graph.constant(distances[None]), distance], shape, dtype="bool"), "bool")
        count = add("SUM", [nearer, last], (1, 1), keepDims=True)
        return add("MUL", [count, graph.constant([1 / (self.images + 1)])], (1, 1))


def with_unknown_score(model, rejector):
    """Add the unknown score to a model as a second output.

    Args:
        model: `keras.Model` that maps pixels to probabilities and ends in a `Dense` layer.
        rejector: `tlkeras.Rejector` for the input features of this `Dense` layer.

    Returns:
        `keras.Model` that shares all layers with `model`.
    """
    layer = UnknownScore(len(rejector.references), name="unknown_score")
    score = layer(find_head(model).features)
    references = np.ascontiguousarray(rejector.references.T)
    layer.set_weights([rejector.center, rejector.scale, references, rejector.distances])
    return infer_by_default(keras.Model(model.inputs[0], [model.outputs[0], score], name=model.name))
