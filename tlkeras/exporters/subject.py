"""The subject of an export: a model, its labels, and the images to calibrate and verify the export with."""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.reading import ImageError, read_image
from tlkeras.data.sources import list_source
from tlkeras.errors import InputError
from tlkeras.exporters.labels import labels_of
from tlkeras.runs.images import digest, labeled_as, source_files
from tlkeras.runs.run import Run, load_run
from tlkeras.utils.validation import invalid

if TYPE_CHECKING:
    import keras

#: Largest numbers of images for verification and for calibration.
VERIFIED, CALIBRATED = 500, 48


@dataclass(frozen=True)
class Subject:
    """A model to export, with its labels and images.

    Attributes:
        model: `keras.Model` that maps raw pixels to probabilities, with unknown scores as a second output if the run
            has a rejector.
        labels: Dict of labels, described in `tlkeras.exporters.labels`.
        calibration: uint8 images `(n, height, width, channels)` for measuring the ranges of activations. May be empty.
        pixels: uint8 images for verification, none of them in `calibration`.
        truth: Classes of `pixels`, int array `(n,)`, or 0s and 1s of shape `(n, classes)` if an image may have several
            labels. None if the classes are unknown.
        described: Description of the images in `pixels`, such as `"held-out images"`.
        seen: Number of images in `pixels` that the model was trained on, or None if this is unknown.
        page: Path of the run's `report.html`, to which a section on the export is added, or None if there is no such
            file.
    """

    model: "keras.Model"
    labels: dict
    calibration: np.ndarray
    pixels: np.ndarray
    truth: np.ndarray | None
    described: str
    seen: int | None
    page: Path | None = None


def subject_of(model, images=None, class_names=None):
    """Load the model to export, and read the images to verify it with.

    Args:
        model: A `Run`, the folder of a run, or a `keras.Model`.
        images: As in `tlkeras.export`.
        class_names: As in `tlkeras.export`.

    Returns:
        `Subject`.

    Raises:
        InputError: The run does not exist, the model does not take images, or no images can be read.
    """
    run = load_run(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(run, Run):
        run = _run_of(model, class_names)
    elif class_names is not None:
        raise invalid("class_names", class_names, "be None for a run, which already has class names")
    given = isinstance(images, np.ndarray)
    if given:
        calibration, verified, described, known = [], [(image, None) for image in images], "given images", None
    elif images is None and run.path is None and "metrics" not in run.__dict__:
        return _without_images(run)
    else:
        calibration, verified, described, known = _files(run, images)
    if not calibration:  # keep calibration and verification separate
        split = min(CALIBRATED, len(verified) // 4)
        calibration, verified = verified[:split], verified[split:]
    verified = verified[:VERIFIED]
    pixels, labels = _read(run, verified)
    if not len(pixels):
        raise InputError(
            "None of the images for verifying the export can be read. Pass other images with `images` (--images)."
        )
    truth = None if any(label is None for label in labels) else _truth(run, labels)
    calibration, _ = _read(run, calibration[:CALIBRATED])
    seen = sum(digest(one) in known for one, _ in verified) if known else None
    return Subject(_network(run), _labels(run), calibration, pixels, truth, described, seen, run.report)


def _run_of(model, class_names):
    """Wrap a Keras model in a `Run` without a folder."""
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    right = all(isinstance(shape, tuple) for shape in shapes) and len(shapes[0]) == 4 and len(shapes[1]) == 2
    if not right or None in shapes[0][1:] or shapes[0][-1] != 3 or shapes[1][1] is None:
        raise InputError(
            "`model` must be a run or a keras.Model that maps images of a fixed size, (N, height, width, 3), to "
            f"probabilities, (N, classes). Received: {type(model).__name__} from {shapes[0]} to {shapes[1]}."
        )
    names = tuple(map(str, range(shapes[1][1]))) if class_names is None else tuple(class_names)
    if len(names) != shapes[1][1] or not all(isinstance(name, str) for name in names):
        raise invalid("class_names", class_names, f"contain {shapes[1][1]} names")
    return Run(model, names, shapes[0][1:3], "stretch")


def _without_images(run):
    """Build a `Subject` with images of random noise, which are enough to verify an export that needs no calibration."""
    noise = np.random.default_rng(0).integers(0, 256, (16, *run.model.input_shape[1:]), "uint8")
    return Subject(run.model, _labels(run), noise[:0], noise, None, "noise images", None)


def _files(run, images):
    """List the images of a run.

    Images for verification are held out: they were not used to train or choose the model. If there are no such images,
    training images are used instead, and the description says so.

    Returns:
        `(calibration, verification, description, known)`: two lists of `(image, label)` pairs, a description of the
        images for verification, and the digests of the images used in training. If there are no other images for
        calibration, the first list is empty.
    """
    learned, chosen = ({}, {}) if run.path is None and "metrics" not in run.__dict__ else _data(run)
    known = {*learned.values(), *chosen.values()}
    own = [] if images is not None and not known else _own(run, optional=images is not None)
    seen = [(one, label) for one, label in own if digest(one) in known]
    _shuffle(seen)
    if images is not None:
        verified = _given(run, images)
        described = "given images"
    else:
        verified = [(one, label) for one, label in own if digest(one) not in known]
        described = "held-out images"
    _shuffle(verified)
    if not verified:
        return [], seen, "images that the run was trained on", known
    return seen, verified, described, known


def _data(run):
    """Return the digests of the images that a run was trained on, and of those used to choose its model."""
    try:
        return run.metrics["data"]["learned"], run.metrics["data"]["chosen_by"]
    except (KeyError, TypeError) as error:
        raise InputError("This run does not record its training images. Pass images with --images.") from error


def _own(run, optional):
    """List the `(image, label)` pairs of a run's training source, which may be missing if `optional` is true."""
    try:
        files = source_files(run, name="images")
    except InputError:
        if optional:
            return []
        raise
    return [(file.source, file.label) for file in files]


def _given(run, images):
    """List a source's `(image, label)` pairs, restricted to the run's classes."""
    files = labeled_as(run, list_source(images).files)
    if not files:
        raise InputError(f"{images!r} contains no images of this run's classes. Pass other images with --images.")
    return [(file.source, file.label) for file in files]


def _names(label):
    """Return the set of class names in a label."""
    return {label} if isinstance(label, str) else set(label)


def _truth(run, labels):
    """Convert labels to class indices, or to rows of 0 and 1 if an image may have several labels."""
    if run.thresholds is None:
        return np.array([run.class_names.index(next(iter(_names(label)))) for label in labels])
    return np.array([[float(name in _names(label)) for name in run.class_names] for label in labels], "float32")


def _shuffle(files):
    """Shuffle a list in place, with a fixed seed."""
    random.Random(0).shuffle(files)


def _read(run, files):
    """Read images as uint8, skip unreadable ones, and return `(pixels, labels)`."""
    pixels, labels = [], []
    for source, label in files:
        try:
            image = read_image(source() if callable(source) else source, run.image_size, run.resize)
        except ImageError:
            continue
        pixels.append(np.clip(np.rint(image), 0, 255).astype("uint8"))
        labels.append(label)
    return (np.stack(pixels) if pixels else np.zeros((0, *run.image_size, 3), "uint8")), labels


def _network(run):
    """Return the model of a run, with the unknown score as a second output if the run has a rejector."""
    if run.rejector is None:
        return run.model
    from tlkeras.exporters.unknown_score import with_unknown_score

    return with_unknown_score(run.model, run.rejector)


def _labels(run):
    """Return the labels of an exported file, with the name of the Keras backend that the file is compared with."""
    import keras

    labels = labels_of(run)
    labels["provenance"]["backend"] = keras.backend.backend()
    return labels
