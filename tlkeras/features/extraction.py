"""Run one pass over the images: choose the image size, the store and the engine, and collect the features."""

import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import keras
import numpy as np

from tlkeras.data.dataset import SkippedFile
from tlkeras.data.pixel_range import warn_of_pixel_range
from tlkeras.data.reading import ImageError
from tlkeras.errors import InputError, warn
from tlkeras.features.engines.choice import known_choice, make_engine
from tlkeras.features.identity import network_identity
from tlkeras.features.inputs import Reader
from tlkeras.features.network import shared_network
from tlkeras.features.output import FeatureFile
from tlkeras.features.streaming import stream_features
from tlkeras.utils.progress import progress
from tlkeras.utils.store import cache_folder, open_store


@dataclass(frozen=True)
class Extraction:
    """Features of images, and the images that could not be read.

    Attributes:
        features: float32 array of shape `(images, features)`, in memory or mapped from a file. The rows of images that
            could not be read are NaN.
        unreadable: Dict that maps the position of each unreadable image to `SkippedFile(path, reason)`, in ascending
            order of positions.
    """

    features: np.ndarray
    unreadable: dict[int, SkippedFile]


def run(images, settings, parameters):
    """Compute the features of images, or load them from the store.

    Args:
        images: `Images` whose features are computed.
        settings: `NetworkSettings` of the network.
        parameters: Parameters of the `FeatureExtractor`, as a dictionary.

    Yields:
        Lists of `streaming.Item`, in order, as they become ready. Each item has features, or an error that names the
        image.
    """
    engine, precision, cache, batch_size = (parameters[name] for name in ("engine", "precision", "cache", "batch_size"))
    reader = _reader(settings, images, parameters["resize"])
    images = _range_checked(images, batch_size, reader, None if settings.by_name else settings.backbone)
    identity = network_identity(settings)
    folder = (cache_folder() if cache is True else Path(cache)) if cache and identity else None
    store = _open_store(folder, cache is True) if folder else None
    shape = (batch_size, *reader.image_size, reader.channels)
    make = _engine if identity else _engine.__wrapped__

    def made():
        return make(settings, identity, engine, precision, folder, shape, parameters["verbose"])

    prefix = b"" if store is None else _prefix(identity, engine, precision, folder, made)
    with progress(total=images.count, description="features", unit="image", verbose=parameters["verbose"]) as bar:
        for items in stream_features(images, reader, made, batch_size, store, prefix):
            for item in items:
                if item.error is not None:
                    item.error = _named(item)
            bar.update(len(items))
            yield items
    if store is not None:
        store.flush()


def collect(lists, network_width, out=None):
    """Collect the features of all images in one array or one file.

    Args:
        lists: Lists of `Item`, as `run` yields them.
        network_width: Function that returns the number of features that the network outputs. The function is called
            only if there are no readable images in the first list.
        out: A `.npy` file to write to. Defaults to None, which keeps the features in memory.

    Returns:
        `Extraction`.
    """
    unreadable, parts, width = {}, [], None
    with FeatureFile(out) if out is not None else contextlib.nullcontext() as file:
        for items in lists:
            bad = [item for item in items if item.error]
            unreadable |= {item.index: SkippedFile(item.error.path, item.error.reason) for item in bad}
            if width is None:
                done = next((item.features for item in items if item.error is None), None)
                width = network_width() if done is None else len(done)
            lost = np.full(width, np.nan, "float32")
            rows = np.stack([lost if item.error else item.features for item in items])
            parts.append(rows) if file is None else file.append(rows)
        if width is None:
            empty = np.empty((0, network_width()), "float32")
            parts.append(empty) if file is None else file.append(empty)
    features = np.concatenate(parts) if file is None else np.load(file.path, mmap_mode="r")
    return Extraction(features, unreadable)


def _range_checked(images, count, reader, model):
    """Check the pixel range of the first images, and return all images."""
    sources = iter(images)
    first = list(islice(sources, count))
    # 16-bit gray images that will be resized are also converted to 8 bits, so they need no warning.
    warn_of_pixel_range([one for one in first if getattr(one, "dtype", None) != "uint16" or reader.keeps(one)], model)
    return replace(images, sources=chain(first, sources))


def _reader(settings, images, resize):
    """Determine the required image size, building the network only if there is no other way to find out."""
    info = settings.info
    if settings.image_size is not None and settings.by_name:
        image_size, channels = settings.image_size, 3
    elif info is not None:
        image_size, channels = (info.default_size, info.default_size), 3
    else:
        network = settings.backbone if not settings.by_name else shared_network(settings)
        *image_size, channels = network.input_shape[1:]
        image_size = tuple(image_size)
    if None in image_size:
        image_size = settings.image_size or (images.shape and images.shape[:2])
        if image_size is None:
            raise InputError(
                f"`image_size` must be given for the model {settings.backbone.name!r}, which takes images of any size. "
                "Pass image_size=(height, width) to resize all of them."
            )
    return Reader(image_size, resize, channels)


def _named(item):
    """Return the error of an image, with the position of the image if it has no name."""
    if isinstance(item.source, str | os.PathLike):
        return item.error
    return ImageError(f"number {item.index}", item.error.reason)


def _open_store(folder, default):
    try:
        return open_store(folder)
    except InputError as error:
        if not default:
            raise
        warn(f"{error} Features are not cached. Pass cache=False to silence this warning.")
        return None


@lru_cache(maxsize=4)
def _engine(settings, identity, name, precision, folder, batch_shape, verbose):
    exports = _exports(folder, identity)
    return make_engine(
        name, lambda: shared_network(settings), batch_shape, precision=precision, folder=exports, verbose=verbose
    )


def _exports(folder, identity):
    return folder / "networks" / identity if folder else None


def _prefix(identity, engine, precision, folder, make):
    """Apart from the image, hash everything that determines the features: the network and the engine that runs it.

    Engines agree only up to rounding, so their features are stored separately. The engine is created only if there is
    no other way to determine which engine will be used.
    """
    name = known_choice(engine, precision, _exports(folder, identity)) or make().name
    kind = [identity, f"keras {keras.backend.backend()}" if name == "keras" else name, precision]
    return hashlib.sha256(repr(kind).encode()).digest()[:16]
