"""Make predictions for any number of images from files, folders and patterns, in the order given."""

import mimetypes
import os
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from tlkeras.data.listing import files_within
from tlkeras.data.reading import ImageError, read_image
from tlkeras.errors import InputError, warn
from tlkeras.features.streaming import stream_features
from tlkeras.runs.answers import answer_of, check_top_k
from tlkeras.selection.flips import average_over_flips
from tlkeras.utils.progress import progress
from tlkeras.utils.validation import check_integer, invalid


def list_images(images):
    """List images, expanding each folder and each pattern into the files that it refers to.

    Args:
        images: One or more of the following: the path of a file; a folder, for all visible files below it that may be
            images, sorted; a pattern such as `"*.jpg"`, for all matching files, sorted; or anything else that
            `tlkeras.read_image` accepts. If a file with exactly this name exists, it takes precedence over the files
            that match the pattern.

    Returns:
        `(images, other_files)`, two lists. A folder without images or a pattern without matches stays in `images`, so
        that the error for it says why it could not be read. `other_files` lists the skipped files in the folders: those
        with an extension that images do not have, such as `.txt`.

    Raises:
        InputError: A folder cannot be listed.
    """
    single = isinstance(images, str | os.PathLike | bytes) or hasattr(images, "getexif")
    if single or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    other_files = []
    return [one for image in images for one in _expanded(image, other_files)], other_files


def predict_each(run, images, *, top_k=1, probabilities=False, tta=False, batch_size=32, verbose=False, start=0):
    """Yield the predictions image by image, in order, with only a few batches in memory at a time.

    Images without a path are numbered from `start`. All other arguments are as in `Run.predict`.
    """
    check_top_k(run, top_k)
    for place, (image, answer) in enumerate(stream_answers(run, images, batch_size, verbose, tta), start):
        path = os.fsdecode(image) if isinstance(image, str | os.PathLike) else f"image {place}"
        if isinstance(answer, ImageError):
            yield {"path": path, "error": answer.reason}
        else:
            yield {"path": path, **answer_of(run, answer, top_k, probabilities)}


def stream_answers(run, images, batch_size, verbose, tta=False):
    """Yield pairs of an image and either the engine's output for it or an `ImageError`. See `Run.probabilities`."""
    check_integer("batch_size", batch_size, 1)
    images, _ = list_images(images)
    reader, flips = _Reader(run.image_size, run.resize), flips_to_use(run) if tta else ()

    def make_engine():
        return FlippingEngine(run.make_engine(), flips) if flips else run.make_engine()

    with progress(total=len(images), description="predicting", unit="image", verbose=verbose) as bar:
        for items in stream_features(images, reader, make_engine, batch_size):
            for item in items:
                yield item.source, item.error or item.features
            bar.update(len(items))


def flips_to_use(run):
    """Return the flips to average over. If averaging did not help on held-out images, warn and return no flips.

    Raises:
        InputError: The effect of flips was not measured when the run was trained.
    """
    measured = run.metrics.get("flips")
    if not measured:
        raise invalid(
            "tta",
            True,
            "be False for a run that was trained without `tta=True`",
            "Train the run again with `tta=True` and a `domain`.",
        )
    if not measured["helps"]:
        gain = f"{measured['gain']:+.3f} ± {measured['standard_error']:.3f}"
        warn(f"Predictions are not averaged over flips: the gain on held-out images was only {gain}.")
        return ()
    return measured["flips"]


class FlippingEngine:
    """Engine that wraps another engine and averages its outputs over each image and the flips of that image.

    Args:
        engine: Engine returned by `tlkeras.features.engines.choice.make_engine`.
        flips: Names of flips. See `tlkeras.selection.flips`.
    """

    def __init__(self, engine, flips):
        self.name, self.batch_size = engine.name, engine.batch_size
        self.average = average_over_flips(engine, flips)

    def __call__(self, pixels):
        """Compute the averaged outputs, an array of shape `(images, classes)`."""
        return self.average(pixels)


class _Reader:
    """Image reader for `stream_features` that resizes images as a run requires."""

    def __init__(self, image_size, resize):
        self.image_size, self.resize = image_size, resize

    def pixels(self, source, content=None):
        """Read one image as a uint8 array of shape `(height, width, 3)`."""
        if isinstance(source, str | os.PathLike) and Path(source).is_dir():
            raise ImageError(os.fspath(source), "the folder contains no images")
        return read_image(source, self.image_size, self.resize)


def _expanded(image, other_files):
    """List the image files that a path refers to. Append files that are not images to `other_files`."""
    if not isinstance(image, str | os.PathLike):
        return [image]
    path = Path(image)
    if path.is_dir():
        try:
            files = [str(path / name) for name in files_within(path)]
        except OSError as error:
            raise InputError(f"Cannot list {error.filename!r}: {error.strerror}.") from error
        other_files += [file for file in files if not _may_be_image(file)]
        return [file for file in files if _may_be_image(file)] or [image]
    if has_magic(os.fspath(image)) and not path.exists():
        matches = sorted(glob(os.fspath(image), recursive=True))  # noqa: PTH207 (Path.glob needs a root folder)
        if "**" in os.fspath(image):  # also matches the files in each matched folder
            matches = [name for name in matches if not Path(name).is_dir()]
        return [file for name in matches for file in _expanded(name, other_files)] or [image]
    return [image]


def _may_be_image(file):
    """Return whether a file has an image extension or an unknown one."""
    kind, compression = mimetypes.guess_type(file)
    return compression is None and (kind is None or kind.startswith("image/"))
