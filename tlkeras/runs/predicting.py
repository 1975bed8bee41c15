"""Predict any number of images: files, folders and patterns in, an answer per image out, in the order given."""

import os
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from tlkeras.data.listing import files_within
from tlkeras.data.reading import ImageError, read_image
from tlkeras.errors import InputError
from tlkeras.features.streaming import stream_features
from tlkeras.runs.answers import answer_of, check_top_k
from tlkeras.utils.progress import progress
from tlkeras.utils.validation import check_integer


def list_images(images):
    """List images, with the files of each folder and of each pattern in its place.

    Args:
        images: Paths of files, folders (all visible files below, sorted by path) or patterns such as `"*.jpg"` (sorted;
            a file of that very name comes first), or anything else that `tlkeras.read_image` takes; one or many.

    Returns:
        A list. A folder without files and a pattern that nothing matches stay in it, and reading them says why.

    Raises:
        InputError: A folder cannot be listed.
    """
    single = isinstance(images, str | os.PathLike | bytes) or hasattr(images, "getexif")
    if single or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    return [one for image in images for one in _expanded(image)]


def predict_each(run, images, *, top_k=1, probabilities=False, batch_size=32, verbose=False):
    """Yield an answer per image, in order, with memory for a few batches; see `Run.predict` for all arguments."""
    check_top_k(run, top_k)
    for place, (image, answer) in enumerate(stream_answers(run, images, batch_size, verbose)):
        path = os.fsdecode(image) if isinstance(image, str | os.PathLike) else f"image {place}"
        if isinstance(answer, ImageError):
            yield {"path": path, "error": answer.reason}
        else:
            yield {"path": path, **answer_of(run, answer, top_k, probabilities)}


def stream_answers(run, images, batch_size, verbose):
    """Yield each image with what `run.make_engine()` answers, or with its `ImageError`; see `Run.probabilities`."""
    check_integer("batch_size", batch_size, 1)
    images = list_images(images)
    reader = _Reader(run.image_size, run.resize)
    with progress(total=len(images), description="predicting", unit="image", verbose=verbose) as bar:
        for items in stream_features(images, reader, run.make_engine, batch_size):
            for item in items:
                yield item.source, item.error or item.features
            bar.update(len(items))


class _Reader:
    """Reads images as a run wants them, for `stream_features`."""

    def __init__(self, image_size, resize):
        self.image_size, self.resize = image_size, resize

    def pixels(self, source, content=None):
        """Read one image, uint8 `(height, width, 3)`."""
        if isinstance(source, str | os.PathLike) and Path(source).is_dir():
            raise ImageError(os.fspath(source), "there are no files in this folder")
        return read_image(source, self.image_size, self.resize)


def _expanded(image):
    """List the files that a path stands for."""
    if not isinstance(image, str | os.PathLike):
        return [image]
    path = Path(image)
    if path.is_dir():
        try:
            return [str(path / name) for name in files_within(path)] or [image]
        except OSError as error:
            raise InputError(f"Cannot list {error.filename!r}: {error.strerror}.") from error
    if has_magic(os.fspath(image)) and not path.exists():
        matches = sorted(glob(os.fspath(image), recursive=True))  # noqa: PTH207 (of Path it is relative to a folder)
        if "**" in os.fspath(image):  # which matches the files of a folder, too
            matches = [name for name in matches if not Path(name).is_dir()]
        return [file for name in matches for file in _expanded(name)] or [image]
    return [image]
