"""Activation maps, which show how much each region of an image supports a class."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tlkeras.errors import InputError
from tlkeras.evaluation.gradients import gradient
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.features.engines.litert_layers import UnsupportedLayerError
from tlkeras.features.engines.litert_writer import write_litert
from tlkeras.features.inputs import Reader, as_images
from tlkeras.models.graph import cut_points, flatten, graph_of
from tlkeras.models.heads import find_head
from tlkeras.models.layer_tree import check_model
from tlkeras.utils.validation import check_choice, check_integer, invalid

METHODS = ("auto", "cam", "grad_cam", "gradient")

#: Layers between the map and the head that preserve the mean over positions at inference.
_AVERAGING = (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D)
_UNCHANGED = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
)
_MOST_PREFIX_TOKENS = 16


def activation_maps(
    model: keras.Model,
    images: Any,
    classes: int | Sequence[int] | None = None,
    *,
    method: str = "auto",
    batch_size: int = 32,
) -> np.ndarray:
    """Map how much each region of an image supports or contradicts a class.

    The map uses the last spatial features: the grid of a convolutional network, or the patches of a transformer before
    the class token attends to them for the last time. Nested models are flattened first.

    Args:
        model: A functional or Sequential classifier that takes raw pixels and ends in a `Dense` layer.
        images: Pixels of shape `(n, height, width, 3)`; file paths, `PIL.Image`s or any other form that
            `tlkeras.read_image` accepts, resized to the model's input; or a split from `tlkeras.load_images`.
        classes: Index of the class to explain: one for all images, or one per image. For a model with one output, 1 is
            the class whose probability this output predicts, and 0 is the other class. Defaults to None, the predicted
            class.
        method: `"cam"` multiplies features by the weights of the head (Zhou et al., 2015), which requires global
            average pooling followed by one linear layer. `"grad_cam"` replaces the weights with the mean gradient over
            positions (Selvaraju et al., 2016). `"gradient"` multiplies each feature by its own gradient (HiResCAM,
            Draelos and Carin, 2020), which also works for a transformer with attention and for a head that flattens the
            features. The default `"auto"` uses `"cam"` if it is exact, and `"gradient"` otherwise. All three methods
            agree for networks that end in global average pooling and a linear layer.
        batch_size: Images per forward pass. Defaults to 32.

    Returns:
        float32 array of shape `(n, rows, columns)`, one map per image, at the resolution of the features, such as 7 x
        7. Positive values support the class, and negative values contradict it. With `"cam"`, and with `"gradient"` if
        the class score is linear in the features, the values add up to the score of the class before softmax or
        sigmoid, minus the head's bias for this class. `tlkeras.activation_overlay` draws a map over its image.

    Raises:
        InputError: The model has no recognizable head or no spatial features, or an argument is invalid.

    Example:

    >>> import tlkeras
    >>> model = tlkeras.image_classifier("efficientnet_lite0", 10)
    >>> tlkeras.activation_maps(model, ["data/clipart10/bug/bee.jpg"], classes=3).shape
    (1, 7, 7)

    References: [CAM](https://arxiv.org/abs/1512.04150), [Grad-CAM](https://arxiv.org/abs/1610.02391),
    [HiResCAM](https://arxiv.org/abs/2011.08891).
    """
    check_model(model)
    check_choice("method", method, METHODS)
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    explained = _Explained(model)
    pixels = _pixels(images, explained.image_shape)
    classes = _checked_classes(classes, len(pixels), explained.classes)
    parts = [slice(start, start + batch_size) for start in range(0, len(pixels), batch_size)]
    maps = [explained.maps(pixels[part], None if classes is None else classes[part], method) for part in parts]
    return np.concatenate(maps) if maps else np.zeros((0, *explained.grid), "float32")


def quick_activation_maps(model, pixels, classes):
    """Compute the maps of `activation_maps` with errors of about 1e-4, four times as fast if LiteRT runs the network.

    Args:
        model: As in `activation_maps`.
        pixels: Array of pixels at the model's input size, of shape `(n, height, width, channels)`.
        classes: Class index to explain for each image, int array of shape `(n,)`.
    """
    explained = _Explained(model)
    if explained.averages:
        explained.hasten()
    return explained.maps(pixels, classes, "auto")


class _Explained:
    """A classifier split into two parts: from pixels to spatial features, and from these to the input of the head.

    Attributes:
        image_shape: `(height, width, channels)` of the input pixels.
        classes: Number of classes that can be explained.
        grid: `(rows, columns)` of the maps.
    """

    def __init__(self, model):
        flat = flatten(model) if graph_of(model) is not None else model
        head = find_head(flat)
        self.image_shape = tuple(flat.input_shape[1:])
        self.kernel = ops.convert_to_numpy(head.layer.kernel)
        self.bias = ops.convert_to_numpy(head.layer.bias) if head.layer.use_bias else 0.0
        self.classes = max(2, head.layer.units)
        graph = graph_of(flat)
        below = keras.Model(graph.inputs[0], head.features)
        self.places = [tensor for tensor, _ in cut_points(below) if _grid(tensor, self.image_shape)]
        if not self.places:
            raise InputError(
                f"The model {model.name!r} has no spatial features: no layer before its head outputs a grid or a "
                "sequence of patches that all later layers depend on."
            )
        self.input, self.features, self.settled = graph.inputs[0], head.features, len(self.places[-1].shape) == 4
        self.averages, self.engine = _is_average(self.places[-1], self.features), None
        self._cut(self.places[-1])

    def _cut(self, tensor):
        """Split the graph at a tensor."""
        self.grid, self.prefix = _grid(tensor, self.image_shape)
        self.trunk, self.rest = keras.Model(self.input, tensor), keras.Model(tensor, self.features)

    def hasten(self):
        """Switch to LiteRT for computing the features of exact maps, if LiteRT is installed and can run the network."""
        places = keras.Model(self.input, layers.Flatten(dtype="float32")(self.trunk.output))
        try:
            engine = LiteRtEngine(write_litert(places))
        except (InputError, UnsupportedLayerError):
            return
        self.engine = lambda pixels: engine(pixels).reshape(len(pixels), *self.trunk.output.shape[1:])

    def maps(self, pixels, classes, method):
        """Return the maps of a batch, float32 of shape `(n, rows, columns)`."""
        if method == "cam" and not self.averages:
            raise invalid(
                "method",
                method,
                "be 'grad_cam' or 'gradient' for this model",
                "Its head does not come directly after global average pooling.",
            )
        exact = method == "cam" or (method == "auto" and self.averages)
        if not exact and not self.settled:
            self._look_below_the_class_token(pixels[:1])
        values = self.engine(pixels) if exact and self.engine else _run(self.trunk, pixels)
        if classes is None:
            classes = self._predicted(_numpy(_run(self.rest, values)))
        weights = self._weights(classes)
        if exact:
            features = self._on_grid(_numpy(values))
            return np.einsum("nhwc,nc->nhw", features, weights, dtype="float32") / math.prod(self.grid)
        slopes = self._on_grid(_numpy(self._slopes(values, weights)))
        if method == "grad_cam":
            slopes = slopes.mean(axis=(1, 2), keepdims=True)
        return (self._on_grid(_numpy(values)) * slopes).sum(axis=-1, dtype="float32")

    def _look_below_the_class_token(self, pixels):
        """Split at the last layer whose patches affect the output; after that layer, only the class token matters."""
        self.settled = True
        direction = np.random.default_rng(0).normal(size=(1, len(self.kernel))).astype("float32")
        for tensor in reversed(self.places):
            self._cut(tensor)
            slopes = self._slopes(_run(self.trunk, pixels), direction)
            if np.any(self._on_grid(_numpy(slopes))):
                return
        self._cut(self.places[-1])  # the output does not depend on the patches, so maps are zero

    def _slopes(self, values, weights):
        """Differentiate the scores with respect to the features."""
        weights = ops.convert_to_tensor(weights, "float32")
        return gradient(lambda x: ops.cast(self.rest(x, training=False), "float32") * weights, values)

    def _predicted(self, features):
        """Return the class with the highest score for each image."""
        scores = features @ self.kernel + self.bias
        return (scores[:, 0] > 0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)

    def _weights(self, classes):
        """Return the head's weights for one class per image, of shape `(n, features)`."""
        if self.kernel.shape[1] > 1:
            return self.kernel.T[classes]
        return self.kernel.T * np.where(np.asarray(classes) == 1, 1, -1)[:, None].astype("float32")

    def _on_grid(self, values):
        """Arrange patches in their grid, of shape `(n, rows, columns, channels)`."""
        if values.ndim == 4:
            return values.astype("float32")
        return values[:, self.prefix :].reshape(len(values), *self.grid, -1).astype("float32")


def _run(model, x):
    """Call a model in inference mode, without recording gradients."""
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            return model(x, training=False)
    return model(x, training=False)


def _numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def _grid(tensor, image_shape):
    """Return a tensor's grid of positions and number of leading tokens, or None if the tensor has no positions."""
    shape = tensor.shape[1:]
    if None in shape:
        return None
    if len(shape) == 3:
        return ((shape[0], shape[1]), 0) if shape[0] * shape[1] > 1 else None
    if len(shape) != 2 or None in image_shape:
        return None
    height, width = image_shape[:2]
    for prefix in range(min(_MOST_PREFIX_TOKENS, shape[0] - 1)):
        side = math.sqrt(height * width / (shape[0] - prefix))
        rows, columns = max(1, round(height / side)), max(1, round(width / side))
        if rows * columns == shape[0] - prefix and rows * columns > 1:
            return (rows, columns), prefix
    return None


def _is_average(tensor, features):
    """Return whether `features` is, at inference, the global average of `tensor` over its positions."""
    averaged = False
    while features is not tensor:
        operation, node, _ = features._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        if isinstance(operation, _AVERAGING) and operation.data_format == "channels_last":
            averaged = True
        elif isinstance(operation, layers.Flatten | layers.Reshape):
            if not averaged and math.prod(inputs[0].shape[1:]) != inputs[0].shape[-1]:
                return False
        elif not isinstance(operation, _UNCHANGED):
            return False
        features = inputs[0]
    return averaged


def _pixels(images, shape):
    """Read images at the model's input size."""
    images = as_images(images)
    if None in shape[:2]:
        raise InputError(f"`model` must take images of a fixed size. Received: input shape {(None, *shape)}.")
    if images.shape == shape:
        return np.asarray(images.sources)
    reader = Reader(shape[:2], "stretch", shape[2])
    return np.stack([reader.pixels(one) for one in images]) if images.count else np.zeros((0, *shape), "uint8")


def _checked_classes(classes, count, number):
    """Return one class index per image, or None if no classes are given."""
    if classes is None:
        return None
    several = np.asarray(classes)
    if several.dtype.kind not in "iu" or several.shape not in ((), (count,)):
        raise invalid("classes", classes, f"be an integer, or one integer per image ({count})")
    if several.size and not (several.min() >= 0 and several.max() < number):
        raise invalid("classes", classes, f"be between 0 and {number - 1} for this model")
    return np.broadcast_to(several, (count,))
