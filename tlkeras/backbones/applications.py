"""Backbones of `keras.applications` and of tlkeras' own constructors, which share their signature."""

import warnings

import keras
import numpy as np

from tlkeras.backbones import efficientnet_lite
from tlkeras.backbones.preprocessing import PREPROCESSING
from tlkeras.backbones.weights import published_file
from tlkeras.errors import InputError

_EFFICIENTNET_STD = (0.229, 0.224, 0.225)


def build_application(info, x, weights):
    """Builds an application, its preprocessing in front, as one flat graph on `x`.

    Args:
        info: The `BackboneInfo`.
        x: KerasTensor of raw RGB pixels, `(batch, height, width, 3)`.
        weights: `"imagenet"`, None for random weights, or the path of a weights file.

    Returns:
        A functional `keras.Model` from the input behind `x` to the last feature map.

    Raises:
        InputError: The weights cannot be had or do not fit, or the backend cannot run the network.
    """
    if info.constructor == "NASNetMobile" and keras.backend.backend() == "torch":
        raise InputError("nasnet_mobile cannot be built on the torch backend; take 'efficientnet_lite0' instead.")
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
        # Weights are read below for "imagenet" too: the constructors' own download cannot be announced, and deletes
        # the file that is there when it fails. No name= either: some constructors make file names of it.
        model = constructor(include_top=False, weights=None, input_tensor=x)
    flat = flatten(model)
    if weights == "imagenet":
        weights = published_file(*info.weights_at(height, width), info.weights_hash)
    if weights is not None:
        _load(model, flat, weights)
        if info.family == "efficientnet":
            _mend_normalization(flat)
    return flat


def flatten(model):
    """Puts the layers of nested `Sequential` parts (ConvNeXt has five) into the graph itself, sharing them.

    Args:
        model: A functional model.

    Returns:
        A functional model with the same layers and answers, or `model` itself if nothing in it is nested.

    Example:

    >>> inner = keras.Sequential([keras.layers.Dense(2), keras.layers.ReLU()])
    >>> inputs = keras.Input((3,))
    >>> [type(layer).__name__ for layer in flatten(keras.Model(inputs, inner(inputs))).layers]
    ['InputLayer', 'Dense', 'ReLU']
    """
    if not any(isinstance(layer, keras.Sequential) for layer in model.layers):
        return model

    def unpack(layer, *args, **kwargs):
        if not isinstance(layer, keras.Sequential):
            return layer(*args, **kwargs)
        (x,) = args
        for part in layer.layers:
            x = part(x)
        return x

    return keras.models.clone_model(
        model, input_tensors=model.input, clone_function=lambda layer: layer, call_function=unpack
    )


def _load(model, flat, path):
    """Reads weights saved from the application itself or from its flattened form; both share their layers."""
    try:
        with warnings.catch_warnings():
            # Said where the other of the two layouts is in the file; weights left unread raise an error besides.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            try:
                model.load_weights(path)
            except ValueError:
                if flat is model:
                    raise
                flat.load_weights(path)
    except Exception as error:  # h5py, zipfile and Keras each have errors of their own for a file that does not fit.
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"The weights in {path} do not fit {model.name} without its classification head: {reason}"
        ) from error


def _mend_normalization(model):
    """Puts the variance into an EfficientNet whose file holds the standard deviation in its place.

    Keras makes up for its files' slip with a second Rescaling, but only under `weights="imagenet"`, so that the
    same file given as a path answers wrongly (tensorflow#62193). With the variance right no second layer is needed,
    whichever way the weights came.
    """
    normalization = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, *rest = normalization.get_weights()
    if np.allclose(variance.ravel(), _EFFICIENTNET_STD, atol=1e-4):
        normalization.set_weights([mean, variance**2, *rest])
        normalization.finalize_state()
