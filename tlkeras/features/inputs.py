"""Accept images in various forms, and convert each image to pixels."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tlkeras.data.dataset import ImageSplit, ImageSplits
from tlkeras.data.reading import ImageError, open_rgb, read_image
from tlkeras.errors import InputError


@dataclass(frozen=True)
class Images:
    """A sequence of images that have not been read yet.

    Attributes:
        sources: One source per image, in any form that `tlkeras.read_image` accepts. Arrays that have the size of the
            network's input are used unchanged. If `count` is None, `sources` is an iterator that can be consumed only
            once.
        count: Number of images, or None if it is not known in advance.
        shape: `(height, width, channels)` if all images are arrays of the same shape, otherwise None.
    """

    sources: object
    count: int | None
    shape: tuple[int, int, int] | None = None

    def __iter__(self) -> Iterator:
        return iter(self.sources)


def as_images(X) -> Images:
    """Convert a sequence of images in any supported form to `Images`.

    Args:
        X: Paths of files, their contents as bytes, or PIL images; an array `(images, height, width, 3)` or a sequence
            of arrays `(height, width, 3)` of different sizes, uint8 or float in [0, 255]; a split from
            `tlkeras.load_images`; or a `tf.data.Dataset` of images or batches of images, with or without labels.

    Returns:
        `Images`.

    Raises:
        InputError: `X` has none of these forms.

    Example:

    >>> as_images(np.zeros((2, 8, 8, 3), "uint8")).shape
    (8, 8, 3)
    """
    if isinstance(X, ImageSplit):
        return Images(X.sources, len(X))
    if hasattr(X, "element_spec"):
        return Images(_from_dataset(X), None)
    if keras.ops.is_tensor(X):
        X = keras.ops.convert_to_numpy(X)
    _refuse_common_mistakes(X)
    if _is_array(X) and X.ndim == 4:
        if X.shape[-1] not in (1, 3) or X.dtype.kind not in "uif":
            raise _refusal(f"shape {X.shape}, dtype {X.dtype}")
        return Images(X, len(X), tuple(X.shape[1:]))
    if _is_array(X) and X.ndim != 1:
        hint = ". For a table with one flattened image per row, pass input='flat'" if X.ndim == 2 else ""
        raise _refusal(f"shape {X.shape}, dtype {X.dtype}{hint}")
    sources = list(X)
    for source in sources:
        if not (callable(source) or isinstance(source, str | os.PathLike | bytes) or _is_image(source)):
            raise _refusal(f"a sequence with an element of type {type(source).__name__}")
    return Images(sources, len(sources))


def _refuse_common_mistakes(X):
    received = f"Received: {str(X)!r}" if isinstance(X, str | os.PathLike) else f"Received: {type(X).__name__}"
    if isinstance(X, str | os.PathLike) and Path(X).is_dir():
        raise InputError(
            f"`X` must be image paths or arrays. {received}, a folder. Pass a split from `tlkeras.load_images`."
        )
    if isinstance(X, ImageSplits):
        raise InputError(f"`X` must be one split. {received}. Pass one of its splits, such as `train`.")
    single_array = isinstance(X, np.ndarray) and X.ndim == 3 and X.shape[-1] in (1, 3, 4)
    if isinstance(X, str | os.PathLike | bytes) or single_array or hasattr(X, "getexif"):
        raise InputError(f"`X` must be a sequence of images. {received}. Put a single image in a list.")
    if isinstance(X, keras.utils.PyDataset):
        raise InputError(f"`X` must be images, not batches. {received}. Pass the split that the batches came from.")
    if hasattr(X, "columns"):
        raise InputError(f"`X` must be image paths, not a table. {received}. Pass the column that contains the paths.")
    if not hasattr(X, "__len__"):
        raise InputError(f"`X` must be a sequence of images. {received}. Convert it to a list.")


def flat_shape(features):
    """Return the image shape for a row of numbers: square RGB if possible, else square grayscale, else one gray line.

    Example:

    >>> flat_shape(192), flat_shape(64), flat_shape(10)
    ((8, 8, 3), (8, 8, 1), (1, 10, 1))
    """
    for channels in (3, 1):
        side = math.isqrt(features // channels)
        if side * side * channels == features:
            return side, side, channels
    return 1, features, 1


@dataclass(frozen=True)
class Reader:
    """A reader that converts image sources to pixels.

    Attributes:
        image_size: `(height, width)` of the result, or None to keep the original size.
        resize: How to resize images that have a different size, as in `tlkeras.read_image`.
        channels: Number of channels of the result: 3, or 1 for a network that takes grayscale images.
    """

    image_size: tuple[int, int] | None
    resize: str
    channels: int = 3

    def content(self, source) -> bytes | None:
        """Return the bytes that determine the pixels, for hashing, or None if the source is not stored as bytes.

        The result is also None for a file that cannot be read; `pixels` then raises an error with the reason.
        """
        if isinstance(source, bytes):
            return source
        if isinstance(source, str | os.PathLike):
            try:
                # Opening a named pipe would block forever. `Path` would double the time that reading takes.
                if not os.path.isfile(source):  # noqa: PTH113
                    return None
                with open(source, "rb", buffering=0) as file:  # noqa: PTH123
                    return file.read()
            except OSError:
                return None
        if isinstance(source, np.ndarray):
            return f"{source.dtype.str}{source.shape}".encode() + source.tobytes()
        return None

    def hash(self, content: bytes) -> bytes:
        """Return a 16-byte hash of a file's contents and of the settings for resizing the image."""
        digest = hashlib.sha256(content)
        digest.update(f"{self.image_size}{self.resize}{self.channels}".encode())
        return digest.digest()[:16]

    def pixels(self, source, content: bytes | None = None) -> np.ndarray:
        """Decode and resize an image.

        Args:
            source: Source of the image, as in `Images.sources`.
            content: Contents of the image file, if it has already been read. Defaults to None.

        Returns:
            uint8 array `(height, width, channels)`, or the given array if it already has the right size.

        Raises:
            ImageError: The image cannot be read.
        """
        if isinstance(source, np.ndarray):
            return self._fitted(source)
        if content is not None and isinstance(source, str | os.PathLike):
            try:
                return self._decoded(content)
            except ImageError as error:
                raise ImageError(os.fspath(source), _reason(source, error)) from error
        return self._decoded(source)

    def _decoded(self, source):
        pixels = read_image(source, self.image_size, self.resize)
        return pixels if self.channels == 3 else np.asarray(_gray(pixels))

    def keeps(self, array) -> bool:
        """Return whether an array needs no resizing: it has the right size, and the right number of channels or one."""
        return self.image_size in (None, array.shape[:2]) and array.ndim == 3 and array.shape[-1] in (1, self.channels)

    def _fitted(self, array):
        if not self.keeps(array):
            return self._decoded(array)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ImageError("<ndarray>", "its pixels are not all finite")
        return array if array.shape[-1] == self.channels else np.repeat(array, 3, axis=-1)


def _gray(pixels):
    # ITU-R 601-2, the same formula as in Pillow.
    return np.round(pixels @ np.array([[0.299], [0.587], [0.114]])).astype("uint8")


def _reason(path, error):
    """Open the file directly to find a more specific reason, such as that the file is empty."""
    try:
        open_rgb(path)
    except ImageError as at_file:
        return at_file.reason
    return error.reason


def _from_dataset(dataset):
    for element in dataset.as_numpy_iterator():
        images = element[0] if isinstance(element, tuple) else element
        if not isinstance(images, np.ndarray) or images.ndim not in (3, 4):
            raise InputError(
                "`X` must be a dataset of images (height, width, 3) or of batches of images, with or without labels. "
                f"Received: elements of type {type(images).__name__} and shape {np.shape(images)}."
            )
        yield from images if images.ndim == 4 else (images,)


def _is_array(X):
    return isinstance(X, np.ndarray) or (hasattr(X, "dtype") and hasattr(X, "ndim"))


def _is_image(source):
    if isinstance(source, np.ndarray):
        return source.ndim in (2, 3) and source.dtype.kind in "uif"
    return hasattr(source, "getexif")


def _refusal(received):
    return InputError(
        "`X` must be image paths, an array of shape (images, height, width, 3), or a sequence of arrays "
        f"(height, width, 3). Received: {received}."
    )
