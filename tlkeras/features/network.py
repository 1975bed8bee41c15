"""Build the network that outputs the features: a backbone, tapped at blocks, with pooling and normalization."""

import functools
import random
import weakref
from dataclasses import dataclass

import keras
from keras import layers

from tlkeras.backbones.build import backbone as build_backbone
from tlkeras.backbones.catalog import listed_info
from tlkeras.backbones.pooling import check_pooling, pool
from tlkeras.errors import InputError
from tlkeras.features.taps import block_output
from tlkeras.models.graph import infer_by_default

#: Name of the layer that joins the features of several blocks.
JOINED = "blocks_concat"


@dataclass(frozen=True)
class NetworkSettings:
    """The settings that determine a feature network.

    Attributes:
        backbone: Name of a backbone, or a Keras model.
        blocks: Names of the blocks to tap; empty for the backbone's own output.
        pooling: `"avg"`, `"max"`, `"concat"` or `"cls"`; None to concatenate the features of all positions.
        normalize: Whether to scale each image's features to length 1.
        image_size: `(height, width)`, or None for the backbone's default size.
        weights: `"imagenet"`, None or a weights file.
        policy: Name of the Keras dtype policy for new layers.
    """

    backbone: str | keras.Model
    blocks: tuple[str, ...]
    pooling: str | None
    normalize: bool
    image_size: tuple[int, int] | None
    weights: object
    policy: str

    @property
    def by_name(self):
        """Whether the backbone comes from the catalog and can therefore be rebuilt anywhere."""
        return not isinstance(self.backbone, keras.Model)

    @property
    def info(self):
        """The backbone's row in the catalog; None for models and for KerasHub presets that are not in the catalog."""
        return listed_info(self.backbone) if self.by_name else None


_of_models = weakref.WeakKeyDictionary()


def shared_network(settings):
    """Return the network for the settings. Equal settings share one network, since scikit-learn clones extractors.

    A network built from a Keras model shares that model's layers, so the network changes when the model is trained
    further.

    Args:
        settings: `NetworkSettings` of the network.

    Returns:
        `keras.Model` that maps raw pixels `(N, height, width, channels)` to features `(N, features)`.
    """
    if settings.by_name:
        return _shared(settings)
    networks = _of_models.setdefault(settings.backbone, {})
    key = (settings.blocks, settings.pooling, settings.normalize)
    if key not in networks:
        networks[key] = build_network(settings)
    return networks[key]


def build_network(settings):
    """Build the network for the settings.

    Args:
        settings: `NetworkSettings` of the network.

    Returns:
        A functional `keras.Model` that maps raw pixels to features `(N, features)`. A network that is built by name
        shares no layers with other networks. A network that is built from a model shares the model's layers, and is the
        model itself if no layers are added.

    Raises:
        InputError: There is no such backbone, block or pooling, or the settings cannot be combined.
    """
    check_pooling(settings.pooling, optional=True)
    if len(settings.blocks) > 1 and settings.pooling is None:
        raise InputError(
            "`pooling` must not be None with several blocks, because their feature maps differ in size. Use 'avg'."
        )
    if settings.by_name and not settings.blocks and settings.pooling:
        model = _by_name(settings, settings.pooling)
        outputs = [model.output]
    else:
        model = _by_name(settings, None) if settings.by_name else settings.backbone
        model, taps = _taps(model, settings.blocks)
        outputs = [_vector(tensor, settings) for tensor in taps]
    features = outputs[0] if len(outputs) == 1 else layers.Concatenate(name=JOINED)(outputs)
    if settings.normalize:
        features = layers.UnitNormalization(name="features_normalization")(features)
    if len(model.outputs) == 1 and features is model.outputs[0]:
        return infer_by_default(model)
    return infer_by_default(keras.Model(model.inputs[0], features, name=model.name))


def block_widths(network, blocks):
    """Return the number of features of each block in the output of a network that `build_network` built.

    Args:
        network: The network.
        blocks: Names of the blocks whose features the network outputs. Empty for the output of the whole backbone.

    Returns:
        List of int, one per block, whose sum is the width of the output. If `blocks` has at most one name, the list
        contains only that width.
    """
    if len(blocks) < 2:
        return [network.output_shape[-1]]
    return [tensor.shape[-1] for tensor in network.get_layer(JOINED).input]


def own_network(settings):
    """Build the network for a Keras model out of new layers that hold copies of the model's weights.

    Args:
        settings: `NetworkSettings` of the network.

    Returns:
        `keras.Model`, as `build_network` returns it.
    """
    network = build_network(settings)
    copy = keras.models.clone_model(network, clone_function=_copied_layer)
    copy.set_weights(network.get_weights())
    return copy


def _copied_layer(layer):
    # Keras refuses to create a Lambda from a config, because its code is not trusted. A Lambda has no weights to share.
    return layer if isinstance(layer, keras.layers.Lambda) else type(layer).from_config(layer.get_config())


def _taps(model, names):
    if len(model.inputs) != 1 or (not names and len(model.outputs) != 1):
        raise InputError(
            f"`backbone` must have one input and one output. Received: {model.name!r} with {len(model.inputs)} inputs "
            f"and {len(model.outputs)} outputs."
        )
    if not names:
        return model, [model.outputs[0]]
    tapped = [block_output(model, name) for name in names]
    # Each flattened model is the same graph over the same layers, but all taps must be in one graph.
    if len({id(flat) for flat, _ in tapped}) > 1:
        return _taps(tapped[0][0], names)
    return tapped[0][0], [tensor for _, tensor in tapped]


def _vector(tensor, settings):
    """Pool a feature map or tokens; return a vector unchanged."""
    if len(tensor.shape) == 2:
        return tensor
    if settings.pooling is None:
        return layers.Flatten()(tensor)
    prefix = (settings.info and settings.info.prefix_tokens) or 0
    name = f"{tensor._keras_history.operation.name}_" if len(settings.blocks) > 1 else ""
    return pool(tensor, settings.pooling, prefix, name)


def _by_name(settings, pooling):
    state = random.getstate()
    if settings.weights is None:
        random.seed(0)  # Keras draws initializer seeds from here, so random weights are reproducible
    try:
        return build_backbone(
            settings.backbone, image_size=settings.image_size, weights=settings.weights, pooling=pooling
        )
    finally:
        random.setstate(state)


@functools.lru_cache(maxsize=4)
def _shared(settings):
    return build_network(settings)
