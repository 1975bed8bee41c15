"""A pretrained network as a scikit-learn transformer: images in, feature vectors out."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import keras
import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from tqdm import tqdm

from tlkeras.backbones.build import backbone as build_backbone
from tlkeras.errors import InputError
from tlkeras.images.folder import ImageSplit
from tlkeras.images.reading import read_images, to_pixels


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """Turns images into the pooled features of a frozen, pretrained backbone.

    There is nothing to fit: the network stays as it is, so a pipeline may be fitted and applied at once.

    Args:
        backbone: Name of a backbone (see `tlkeras.list_backbones`), or a Keras model that takes raw pixels of a fixed
            size and gives one vector an image.
        pooling: `"avg"` (the default, what ImageNet classifiers are trained on), `"max"` or `"concat"` of both.
            Without effect where `backbone` is a model.
        image_size: `(height, width)` that images are brought to; by default the size the backbone was trained at. A
            model as backbone has its own.
        resize: `"stretch"`, `"crop"` or `"pad"`, as in `tlkeras.read_image`.
        weights: `"imagenet"`, `None` (random) or a weights file, as in `tlkeras.backbone`.
        batch_size: Images a forward pass. 32 keeps two cores busy and memory below 1 GB at 224 x 224.
        verbose: Whether to show a progress bar on stderr.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10")
    >>> extractor = tlkeras.FeatureExtractor("efficientnet_lite0")
    >>> extractor.transform(images.test.paths[:2]).shape
    (2, 1280)
    """

    def __init__(
        self,
        backbone="efficientnet_lite0",
        *,
        pooling="avg",
        image_size=None,
        resize="stretch",
        weights="imagenet",
        batch_size=32,
        verbose=False,
    ):
        self.backbone = backbone
        self.pooling = pooling
        self.image_size = image_size
        self.resize = resize
        self.weights = weights
        self.batch_size = batch_size
        self.verbose = verbose

    def fit(self, X, y=None):
        """Does nothing but return the extractor; the backbone is pretrained.

        Args:
            X: Images, as in `transform`.
            y: Ignored.

        Returns:
            The extractor itself.
        """
        return self

    def transform(self, X):
        """Computes the features of images.

        Args:
            X: Paths of image files; or an array of shape `(images, height, width, 3)`, uint8 or float in [0, 255]; or
                a split of `tlkeras.load_images`. Other sizes than `image_size` are resized.

        Returns:
            float32 array of shape `(images, features)`.

        Raises:
            InputError: `X` is none of these, or a file cannot be read.
        """
        X = _images(X)
        network = self._shared_network()
        size = network.input_shape[1:3]
        features = np.empty((len(X), network.output_shape[-1]), "float32")
        start = 0
        progress = tqdm(total=len(X), desc="features", unit="image", disable=not self.verbose)
        for pixels in self._batches(X, size):
            count = len(pixels)
            if start and count < self.batch_size:
                # A last batch of another shape would have the network compiled a second time.
                pixels = np.pad(pixels, [(0, self.batch_size - count), (0, 0), (0, 0), (0, 0)])
            features[start : start + count] = network.predict_on_batch(pixels)[:count]
            start += count
            progress.update(count)
        progress.close()
        return features

    def get_feature_names_out(self, input_features=None):
        """Names the features after the network, for `set_output(transform="pandas")`.

        Args:
            input_features: Ignored; scikit-learn passes it.

        Returns:
            Array of str of shape `(features,)`, such as `efficientnet_lite0_17`.
        """
        network = self._shared_network()
        return np.array([f"{network.name}_{i}" for i in range(network.output_shape[-1])], object)

    def build_network(self):
        """Builds the network whose answers are the features, with layers of its own.

        Returns:
            A flat `keras.Model` from raw pixels `(N, height, width, 3)` to features `(N, features)`.
        """
        if isinstance(self.backbone, keras.Model):
            network = keras.models.clone_model(self.backbone)
            network.set_weights(self.backbone.get_weights())
            return network
        return _build(self.backbone, self.image_size, self.weights, self.pooling)

    def _shared_network(self):
        if isinstance(self.backbone, keras.Model):
            return self.backbone
        size = None if self.image_size is None else tuple(self.image_size)
        return _shared(self.backbone, size, self.weights, self.pooling, keras.config.dtype_policy().name)

    def _batches(self, X, size):
        """Yields arrays of shape `(batch, height, width, 3)`; the next is read while one is worked on."""
        parts = [slice(start, start + self.batch_size) for start in range(0, len(X), self.batch_size)]
        with ThreadPoolExecutor(1) as ahead:
            coming = None
            for part in parts:
                current, coming = coming, ahead.submit(_pixels, X[part], size, self.resize)
                if current is not None:
                    yield current.result()
            if coming is not None:
                yield coming.result()

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def _pixels(X, size, resize):
    """Reads or resizes one batch."""
    if isinstance(X, np.ndarray) and X.ndim == 4:
        if X.shape[1:3] == size:
            return X
        images = np.clip(np.round(X), 0, 255).astype("uint8")
        return np.stack([to_pixels(Image.fromarray(image), size, resize) for image in images])
    return read_images(X, size, resize)


def _images(X):
    """Checks that `X` is a sequence of images: paths, or one array, or a split with either inside."""
    if isinstance(X, ImageSplit):
        return X.sources
    if isinstance(X, str | os.PathLike):
        raise InputError(f"A sequence of images is wanted; put the path into a list. Received: {str(X)!r}")
    array = np.asarray(X)
    if array.ndim == 4 and array.shape[-1] == 3 and array.dtype.kind in "uif":
        return array
    if array.ndim == 1 and all(isinstance(item, str | os.PathLike) for item in array):
        return array
    raise InputError(
        "Images are paths of files or one array of shape (images, height, width, 3). "
        f"Received: shape {array.shape}, dtype {array.dtype}"
    )


@lru_cache(maxsize=4)
def _shared(name, image_size, weights, pooling, policy):
    """One network for all extractors that ask for the same, since scikit-learn clones them freely."""
    del policy  # part of the key: layers keep the dtype policy they were built under
    return _build(name, image_size, weights, pooling)


def _build(name, image_size, weights, pooling):
    input_shape = None if image_size is None else (*image_size, 3)
    return build_backbone(name, input_shape=input_shape, weights=weights, pooling=pooling)
