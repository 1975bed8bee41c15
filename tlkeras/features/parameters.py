"""Check the parameters of an extractor, and collect those that determine its network."""

import os
from typing import get_args

import keras
import numpy as np

from tlkeras.data.reading import Resize, check_image_size
from tlkeras.errors import InputError
from tlkeras.features.engines.choice import check_engine
from tlkeras.features.network import NetworkSettings
from tlkeras.utils.validation import check_choice, check_integer, invalid


def check_parameters(extractor):
    """Check the parameters of a `FeatureExtractor` when they are used, as scikit-learn requires.

    Raises:
        InputError: A parameter is invalid.
    """
    check_engine(extractor.engine, extractor.precision)
    check_choice("on_error", extractor.on_error, ("raise", "nan"))
    check_choice("input", extractor.input, ("images", "flat"))
    check_choice("resize", extractor.resize, get_args(Resize))
    check_integer("batch_size", extractor.batch_size, minimum=1)
    _check_backbone(extractor.backbone)
    if not isinstance(extractor.weights, str | os.PathLike | None):
        raise invalid("weights", extractor.weights, "be 'imagenet', None or a weights file")
    if not isinstance(extractor.cache, bool | str | os.PathLike | None):
        raise invalid("cache", extractor.cache, "be True, False or a folder")
    if not all(isinstance(name, str) and name for name in _block_names(extractor.block)):
        raise invalid("block", extractor.block, "be None, the name of a block or layer, or several names")


def network_settings(extractor):
    """Collect the parameters of a `FeatureExtractor` that determine its network, as `NetworkSettings`."""
    weights = extractor.weights
    return NetworkSettings(
        backbone=extractor.backbone,
        blocks=_block_names(extractor.block),
        pooling=extractor.pooling,
        normalize=bool(extractor.normalize),
        image_size=check_image_size(extractor.image_size, optional=True),
        weights=weights if weights in ("imagenet", None) else os.fspath(weights),
        policy=keras.config.dtype_policy().name,
    )


def _check_backbone(backbone):
    if not isinstance(backbone, str | keras.Model):
        raise invalid("backbone", backbone, "be the name of a backbone or a `keras.Model`")
    if isinstance(backbone, keras.Model) and not getattr(backbone, "inputs", None):
        raise invalid(
            "backbone",
            backbone,
            "be a built functional or Sequential model, or the name of a backbone",
            "If it is subclassed, pass the functional model inside it.",
        )
    if isinstance(backbone, keras.Model) and len(backbone.inputs) != 1:
        raise InputError(
            f"`backbone` must take one image. Received: the model {backbone.name!r} with {len(backbone.inputs)} inputs."
        )


def _block_names(block):
    if block is None:
        return ()
    return tuple(block) if isinstance(block, list | tuple | np.ndarray) else (block,)
