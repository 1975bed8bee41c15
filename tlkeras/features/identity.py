"""Identify a network by a hash, for caches and pickles, if possible without building the network."""

import functools
import hashlib
import json
from pathlib import Path

import keras

from tlkeras.backbones.catalog import hub_preset, kaggle_folder, keras_models_folder, listed_info
from tlkeras.backbones.efficientnet_lite_weights import embedded_weights
from tlkeras.data.reading import check_image_size

#: Increase this whenever the steps from a file to its features change: decoding, resizing, preprocessing or pooling.
VERSION = 1

#: Packages whose layers behave the same as long as the version in the identity is the same.
_KNOWN_PACKAGES = ("keras", "keras_hub", "keras_cv")


def network_identity(settings):
    """Hash everything that determines a network's outputs: its weights, its graph and the versions of packages.

    Args:
        settings: `NetworkSettings` of the network.

    Returns:
        32 hexadecimal digits, or None if equal hashes would not guarantee equal outputs. This is the case for models
        with layers whose code is not from a known package, because that code may change, and for weights that are not
        downloaded yet.
    """
    weights = weights_hash(settings.backbone, settings.weights, settings.image_size)
    if weights is None or (not settings.by_name and not _is_known(settings.backbone)):
        return None
    name = settings.backbone if settings.by_name else None
    parts = [VERSION, keras.__version__, name, weights, settings.image_size, settings.policy]
    parts += [settings.blocks, settings.pooling, settings.normalize]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def weights_hash(backbone, weights="imagenet", image_size=None):
    """Hash the weights of a backbone, without building a backbone that is given by name.

    Args:
        backbone: A name, or a Keras model.
        weights: `"imagenet"`, None or a weights file, for a backbone given by name.
        image_size: `(height, width)`, an integer or None. Some networks have different weights for each size.

    Returns:
        A hash as text: the publisher's hash if there is one; for a model, a hash of its weights and its graph. None if
        the weights are not on this machine.

    Example:

    >>> weights_hash("efficientnet_lite0")[:8]
    '57934424'
    """
    if isinstance(backbone, keras.Model):
        return _model_hash(backbone)
    if weights is None:
        return f"random on {keras.backend.backend()}"  # always the same weights, see network.py
    if weights != "imagenet":
        return _file_hash(weights) if Path(weights).is_file() else None
    info = listed_info(backbone)
    if info is None:
        folder = Path(hub_preset(backbone))
        return _folder_hash(folder) if folder.is_dir() else None
    if info.provider == "tlkeras":
        return embedded_weights(info.name)[1]
    if info.weights_hash is not None:
        return info.weights_hash
    if not info.offline:
        return None
    if info.weights_url.startswith("kaggle://"):
        return _folder_hash(kaggle_folder(info.weights_url))
    path = (
        keras_models_folder()
        / info.weights_at(*(check_image_size(image_size, optional=True) or (info.default_size,)))[0]
    )
    return _file_hash(path) if path.is_file() else None


def _file_hash(path):
    status = Path(path).stat()
    return _hash_of_file(Path(path), status.st_mtime_ns, status.st_size, status.st_ino)


@functools.lru_cache(maxsize=64)
def _hash_of_file(path, *_state):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_hash(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = [(path.relative_to(folder).as_posix(), _file_hash(path)) for path in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _model_hash(model):
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _is_known(model):
    """Return whether all code of a model, including its layers and their functions, is from known packages."""
    for layer in model._flatten_layers():
        functions = [value for value in vars(layer).values() if callable(value)]  # such as activations
        operations = getattr(layer, "operations", ())  # of a functional graph; some are not layers
        if not all(map(_from_known_package, (layer, layer.dtype_policy, *functions, *operations))):
            return False
    return True


def _from_known_package(code):
    # A function has its own __module__; an instance has that of its class.
    return str(getattr(code, "__module__", None)).partition(".")[0] in _KNOWN_PACKAGES
