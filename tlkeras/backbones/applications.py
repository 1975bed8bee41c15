"""Backbones from `keras.applications`, and from tlkeras' own constructors with the same signature."""

import keras
import numpy as np

from tlkeras.backbones import efficientnet_lite
from tlkeras.backbones.preprocessing import PREPROCESSING
from tlkeras.backbones.weights import load_weights, published_file
from tlkeras.errors import InputError
from tlkeras.models.graph import flatten, forget

_EFFICIENTNET_STD = (0.229, 0.224, 0.225)


def build_application(info, image, weights):
    """Build a network from `keras.applications`, preceded by its preprocessing, as one flat graph.

    Args:
        info: The network's row in the catalog, a `BackboneInfo`.
        image: The size and channels of the images, as an `ImageInput`.
        weights: `"imagenet"`, None for random weights, or the path of a weights file.

    Returns:
        A functional `keras.Model` that maps raw pixels to the last feature map.

    Raises:
        InputError: The network does not support the image size, the weights are not available or do not fit the
            network, or the backend cannot run the network.
    """
    if info.constructor == "NASNetMobile" and keras.backend.backend() == "torch":
        raise InputError("`nasnet_mobile` cannot be built on the torch backend. Use 'efficientnet_lite0' instead.")
    _, x = image.connect(info.name, info.default_size, info.minimum_size)
    height, width = x.shape[1:3]
    preprocess = PREPROCESSING[info.preprocessing]
    if preprocess:
        x = preprocess(x)
    if info.provider == "tlkeras":
        constructor = getattr(efficientnet_lite, info.constructor)
        embedded = "imagenet" if weights == "imagenet" else None
        model = constructor(include_top=False, weights=embedded, input_tensor=x)
        if weights in ("imagenet", None):
            return model
    else:
        constructor = getattr(keras.applications, info.constructor)
        # Weights are loaded below, for "imagenet" too: the constructors' own download cannot be announced, and it
        # deletes the existing file when it fails. No name= either: some constructors use it in file names.
        model = constructor(include_top=False, weights=None, input_tensor=x)
    flat = forget(model, flatten(model))
    if weights == "imagenet":
        weights = published_file(*info.weights_at(height, width), info.weights_hash)
    if weights is not None:
        load_weights((model, flat), weights)
        if info.family == "efficientnet":
            _fix_normalization(flat)
    return flat


def _fix_normalization(model):
    """Set the normalization variance of an EfficientNet whose weights file stores the standard deviation instead.

    Keras corrects for this error in its own files by adding a second `Rescaling` layer, but only with
    `weights="imagenet"`, so the same file passed as a path gives wrong predictions (tensorflow#62193). With the correct
    variance, no second layer is needed, whatever the source of the weights.
    """
    normalization = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, *rest = normalization.get_weights()
    if np.allclose(variance.ravel(), _EFFICIENTNET_STD, atol=1e-4):
        normalization.set_weights([mean, variance**2, *rest])
        normalization.finalize_state()
