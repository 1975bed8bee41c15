"""Wrap a pretrained network as a scikit-learn transformer that turns images into feature vectors."""

import copy
import os
from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data

from tlkeras.data.reading import Resize
from tlkeras.errors import InputError, warn
from tlkeras.features.extraction import Extraction, collect, run
from tlkeras.features.identity import weights_hash
from tlkeras.features.inputs import Images, as_images, flat_shape
from tlkeras.features.network import block_widths, build_network, own_network, shared_network
from tlkeras.features.parameters import check_parameters, network_settings


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """A scikit-learn transformer that maps images to the pooled features of a frozen, pretrained backbone.

    Fitting learns nothing, because the network does not change. If `backbone` is a Keras model, clones of the extractor
    share the network.

    Features are stored on disk (see `cache`), so that cross-validation, a different classifier or a later run can reuse
    them. By default, LiteRT computes the features if it can run the network.

    Args:
        backbone: Name of a backbone (see `tlkeras.list_backbones`), or a Keras model that takes raw pixels.
        block: Where to tap the network: None (the default) for its output, the name of a block (see `tlkeras.blocks`)
            or layer, or several names, whose features are concatenated. Early blocks suit images that do not resemble
            ImageNet.
        pooling: `"avg"` (the default, global average pooling, which ImageNet classifiers are trained with), `"max"`,
            `"concat"` for both, `"cls"` for the class token of a transformer that has one, or None to concatenate the
            features of all positions. Pooling has no effect on features that are already vectors.
        normalize: Whether to scale each image's features to Euclidean length 1, as for cosine similarity. Defaults to
            False, because probes standardize the features themselves.
        image_size: `(height, width)` that images are resized to, or one integer for a square. Defaults to None, the
            size that the backbone was trained at. A model passed as `backbone` determines the size, unless the model
            accepts any size.
        resize: `"stretch"`, `"crop"` or `"pad"`, as in `tlkeras.read_image`. Defaults to `"stretch"`, which keeps the
            whole image.
        weights: `"imagenet"` (the default), None (random weights with a fixed seed) or a weights file, as in
            `tlkeras.backbone`.
        input: `"images"` (the default), or `"flat"` for a table with one flattened image per row, the format of
            scikit-learn's digits and faces. Rows are read as square RGB images if possible, else as square grayscale
            images, else as a single line of gray pixels.
        engine: Runtime for the network. `"auto"` (the default) uses LiteRT on a CPU if LiteRT can run the network and
            LiteRT's features match those of Keras to within 1e-4, and Keras otherwise. LiteRT is at least twice as fast
            as Keras on a CPU, and its results for an image do not depend on the rest of the batch. `verbose=True`
            prints the reason if LiteRT is not used. `"keras"`, `"litert"`, `"onnxruntime"` (extra `onnx`) and
            `"openvino"` (extra `openvino`) each select one runtime and raise an error if that runtime cannot be used.
        precision: Precision for Keras on a GPU with tensor cores, `"bfloat16"` or `"float16"`. Defaults to None, which
            means float32.
        cache: True (the default) to store features in the user's cache folder, the path of a different folder, or False
            to store nothing. `tlkeras cache` shows and clears the cache folder; `$TLKERAS_CACHE` sets a different
            folder, or turns the cache off if set to `off`. Images are identified by their contents and networks by
            their weights, so the cache never returns stale features. Features of a model with custom layers or
            functions are not stored, because their code may change.
        on_error: Action for an image that cannot be read: `"raise"` (the default), or `"nan"` to return a row of NaN
            for that image, which keeps rows and labels aligned.
        batch_size: Images per forward pass in Keras. All other engines take only as many images at a time as fit in a
            core's cache. Defaults to 32.
        verbose: Whether to print a progress bar to stderr. Defaults to False.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", per_class=10)
    >>> extractor = tlkeras.FeatureExtractor("efficientnet_lite0")
    >>> extractor.transform(images.test.paths[:2]).shape
    (2, 1280)
    >>> tlkeras.FeatureExtractor(block=("block3", "block5"), pooling="max").transform(images.test.paths[:2]).shape
    (2, 152)
    """

    def __init__(
        self,
        backbone: str | keras.Model = "efficientnet_lite0",
        *,
        block: str | Sequence[str] | None = None,
        pooling: str | None = "avg",
        normalize: bool = False,
        image_size: int | tuple[int, int] | None = None,
        resize: Resize = "stretch",
        weights: str | os.PathLike | None = "imagenet",
        input: str = "images",
        engine: str = "auto",
        precision: str | None = None,
        cache: bool | str | os.PathLike = True,
        on_error: str = "raise",
        batch_size: int = 32,
        verbose: bool = False,
    ):
        self.backbone = backbone
        self.block = block
        self.pooling = pooling
        self.normalize = normalize
        self.image_size = image_size
        self.resize = resize
        self.weights = weights
        self.input = input
        self.engine = engine
        self.precision = precision
        self.cache = cache
        self.on_error = on_error
        self.batch_size = batch_size
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and, with `input="flat"`, store the number of columns. The backbone is not changed.

        Args:
            X: Images, as in `transform`.
            y: Ignored.

        Returns:
            This extractor.
        """
        check_parameters(self)
        if self.input == "flat":
            validate_data(self, X, dtype="numeric")
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute the features of images.

        Args:
            X: Paths of image files, their contents as bytes, or PIL images; an array of shape `(images, height, width,
                3)`, or a sequence of arrays of different sizes, uint8 or float in [0, 255]; a split from
                `tlkeras.load_images`; or a `tf.data.Dataset` of images, with or without labels. Images are resized to
                `image_size` if they have a different size. With `input="flat"`, a table of shape `(images, pixels)`.

        Returns:
            float32 array of shape `(images, features)`.

        Raises:
            InputError: `X` has none of these forms, or a parameter is invalid.
            ImageError: An image cannot be read, and `on_error="raise"`.
        """
        extraction = self._extract(X, None)
        if extraction.unreadable:
            place, first = next(iter(extraction.unreadable.items()))
            warn(
                f"{len(extraction.unreadable)} of {len(extraction.features)} images cannot be read, and their rows are "
                f"NaN; `extract` lists them. The first is number {place}, {first.path!r}: {first.reason}."
            )
        return extraction.features

    def extract(self, X: Any, out: str | os.PathLike | None = None) -> Extraction:
        """Compute features as `transform` does, but list the images that cannot be read instead of raising an error.

        Args:
            X: Images, as in `transform`.
            out: A `.npy` file to write the features to. The features are returned as a memory map of the file, so only
                a few batches are in memory at a time. Defaults to None, which returns an array in memory.

        Returns:
            `Extraction`.

        Example:

        >>> extraction = FeatureExtractor().extract(["data/clipart10/bug/bee.jpg", "README.md"])
        >>> extraction.features.shape, extraction.unreadable[1].reason
        ((2, 1280), 'its content is not an image in a known format')
        """
        return self._extract(X, out, on_error="nan")

    def batches(self, X: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Compute features batch by batch, for estimators with `partial_fit` or features that do not fit in memory.

        Args:
            X: Images, as in `transform`.

        Yields:
            `(rows, features)`: positions in `X`, int64 `(n,)`, in ascending order, and features, float32
            `(n, features)`. Unreadable images are left out if `on_error="nan"`.

        Example:

        >>> import numpy as np
        >>> import tlkeras
        >>> from sklearn.linear_model import SGDClassifier
        >>> train = tlkeras.load_images("data/clipart10", per_class=10).train
        >>> classifier = SGDClassifier(loss="log_loss", random_state=0)
        >>> for rows, features in tlkeras.FeatureExtractor().batches(train):
        ...     classifier = classifier.partial_fit(features, train.labels[rows], classes=np.arange(10))
        >>> classifier.coef_.shape
        (10, 1280)
        """
        for items in self._items(X):
            readable = [item for item in items if item.error is None]
            if readable:
                yield np.array([item.index for item in readable]), np.stack([item.features for item in readable])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the features after the network and their block, for `set_output(transform="pandas")`.

        Args:
            input_features: Ignored; scikit-learn passes it.

        Returns:
            Array of str of shape `(features,)`, such as `efficientnet_lite0_17` or, with `block`,
            `efficientnet_lite0_block6_17`.
        """
        settings = network_settings(self)
        network = shared_network(settings)
        stems = [f"{network.name}_{block}" for block in settings.blocks] or [network.name]
        widths = block_widths(network, settings.blocks)
        return np.array([f"{stem}_{i}" for stem, n in zip(stems, widths, strict=True) for i in range(n)], object)

    def build_network(self) -> keras.Model:
        """Build the network that outputs the features, with layers that are not shared with any other network.

        Returns:
            A flat `keras.Model` that maps raw pixels `(N, height, width, 3)` to features `(N, features)`.
        """
        settings = network_settings(self)
        return build_network(settings) if settings.by_name else own_network(settings)

    def _extract(self, X, out, on_error=None):
        return collect(self._items(X, on_error), lambda: shared_network(network_settings(self)).output_shape[-1], out)

    def _items(self, X, on_error=None):
        """Yield lists of `streaming.Item`, in order; raise an error on the first bad image unless `on_error="nan"`."""
        check_parameters(self)
        for items in run(self._images(X), network_settings(self), self.get_params(deep=False)):
            if (on_error or self.on_error) == "raise":
                for item in items:
                    if item.error is not None:
                        raise item.error
            yield items

    def _images(self, X):
        if self.input == "images":
            return as_images(X)
        table = validate_data(self, X, dtype="numeric", reset=False)
        shape = flat_shape(table.shape[1])
        return Images(np.asarray(table, "float32").reshape(-1, *shape), len(table), shape)

    def __sklearn_clone__(self):
        # A Keras model with the user's own code cannot be copied. Sharing it is safe, because nothing here trains it.
        clone = type(self)(**self.get_params(deep=False))
        for name in ("_metadata_request", "_sklearn_output_config"):  # scikit-learn's clone keeps these too
            if hasattr(self, name):
                setattr(clone, name, copy.deepcopy(getattr(self, name)))
        return clone

    def __getstate__(self):
        state = super().__getstate__()
        if isinstance(self.backbone, str):
            state["_weights_hash"] = weights_hash(self.backbone, self.weights, self.image_size)
        return state

    def __setstate__(self, state):
        state = dict(state)
        expected = state.pop("_weights_hash", None)
        super().__setstate__(state)
        installed = weights_hash(self.backbone, self.weights, self.image_size) if expected else None
        # Weights that are not on this machine yet will be downloaded and compared with their publisher's hash.
        if installed is not None and installed != expected:
            raise InputError(
                f"This extractor was saved with different weights of {self.backbone} than those installed here (hashes "
                f"{expected[:12]} and {installed[:12]}), so its features would differ. Install the original weights, "
                "or create the extractor again."
            )

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        flat = self.input == "flat"
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.two_d_array = flat
        tags.input_tags.string = not flat
        return tags
