"""A network identified by a hash, if possible without building it: for caches and for pickles."""

import functools
import hashlib
import json
from pathlib import Path

import keras

from tlkeras.backbones.catalog import hub_preset, kaggle_folder, keras_models_folder, listed_info
from tlkeras.backbones.efficientnet_lite_weights import embedded_weights
from tlkeras.data.reading import check_image_size

#: To be raised whenever the way from a file to its features changes: decoding, resizing, preprocessing, pooling.
VERSION = 1

#: Packages whose layers do tomorrow what they do today, their version being part of the identity.
_KNOWN_PACKAGES = ("keras", "keras_hub", "keras_cv")


def network_identity(settings):
    """Hash what determines the outputs of a network: its weights, its graph, and the versions that build it.

    Args:
        settings: `NetworkSettings`.

    Returns:
        32 hexadecimal digits, or None where equal digits would not guarantee equal outputs: for a model with layers
        whose code is not from an installed package, since that code may change, and for weights that are not downloaded
        yet.
    """
    weights = weights_hash(settings.backbone, settings.weights, settings.image_size)
    if weights is None or (not settings.by_name and not _is_known(settings.backbone)):
        return None
    name = settings.backbone if settings.by_name else None
    parts = [VERSION, keras.__version__, name, weights, settings.image_size, settings.policy]
    parts += [settings.blocks, settings.pooling, settings.normalize]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def weights_hash(backbone, weights="imagenet", image_size=None):
    """Hash the weights of a backbone, without building it if it is given by name.

    Args:
        backbone: A name, or a Keras model.
        weights: `"imagenet"`, None or a weights file, for a backbone given by name.
        image_size: `(height, width)`, an integer or None: some networks have different weights for each size.

    Returns:
        A hexadecimal hash, the publisher's where there is one, and for a model a hash of its graph too; None if the
        weights are not on this machine.

    Example:

    >>> weights_hash("efficientnet_lite0")[:8]
    '57934424'
    """
    if isinstance(backbone, keras.Model):
        return _model_hash(backbone)
    if weights is None:
        return f"random on {keras.backend.backend()}"  # always the same draw, see network.py
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
    """Check whether all code of a model is that of known packages: its layers, and the functions in them."""
    for layer in model._flatten_layers():
        functions = [value for value in vars(layer).values() if callable(value)]  # such as activations
        operations = getattr(layer, "operations", ())  # of a functional graph; they need not be layers
        if not all(map(_from_known_package, (layer, layer.dtype_policy, *functions, *operations))):
            return False
    return True


def _from_known_package(code):
    # A function knows its module, and an instance that of its class.
    return str(getattr(code, "__module__", None)).partition(".")[0] in _KNOWN_PACKAGES
