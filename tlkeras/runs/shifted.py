"""Evaluate a run on images from a new domain, and compare the accuracy with that on clean and corrupted images."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tlkeras.data.dataset import ImageSplit
from tlkeras.errors import InputError
from tlkeras.evaluation.domains import DomainComparison, compare_domains
from tlkeras.runs.images import digest, source_files
from tlkeras.runs.measuring import known_from_training, labeled_files, named_source, scored_part


def evaluate_shifted(run, source, shifted, table, verbose=False):
    """Compare a run's accuracy on clean, corrupted and shifted images, and measure the distance between these domains.

    Args:
        run: `Run` with one label per image.
        source: Clean labeled images, or None for the images that the run was trained on. If any of the clean images
            were used in training, no corrupted copies are scored, and the accuracy that was measured when the run was
            trained is reported for the clean images.
        shifted: Labeled images from the new domain.
        table: `TableOptions` for reading the sources.
        verbose: Whether to show progress on stderr. Defaults to False.

    Returns:
        `(comparison, seen)`: a `DomainComparison`, and the number of clean images that were used in training.

    Raises:
        InputError: A source cannot be used, or the run predicts several labels per image.
    """
    if run.thresholds is not None:
        raise InputError(
            "`--shifted` requires a run with one label per image. Received: a run with several labels per image."
        )
    clean = _split(run, source, source_files(run) if source is None else labeled_files(run, source, table))
    other = _split(run, shifted, labeled_files(run, shifted, table))
    known, _ = known_from_training(run)
    seen = sum(digest(one) in known for one in clean.sources)
    kinds = {"corruptions": ()} if seen else {}
    domains = {"clean": clean, f"shifted ({Path(str(shifted)).name})": other}
    comparison = compare_domains(run.model, domains, class_names=run.class_names, verbose=verbose, **kinds)
    return (_as_measured(comparison, run.metrics["scores"]) if seen else comparison), seen


def _split(run, source, files):
    """Build a split with the run's classes and image size from the labeled files of a source."""
    files = scored_part(files)[1]
    if not files:
        raise InputError(f"`source` must contain images. Received: {named_source(source)}, which contains no images.")
    sources = np.empty(len(files), object)
    sources[:] = [file.source for file in files]
    return ImageSplit(
        np.array([str(file.path) for file in files]),
        np.array([run.class_names.index(file.label) for file in files]),
        run.class_names,
        run.image_size,
        run.resize,
        np.arange(len(files)),
        sources,
    )


def _as_measured(comparison, scores):
    """Replace the accuracy on training images with the accuracy that `fit` measured on unseen images."""
    accuracy, error = scores["accuracy"], scores["standard_error"]
    interval = max(0.0, accuracy - 1.96 * error), min(1.0, accuracy + 1.96 * error)
    first, *others = comparison.rows
    name = "clean, as measured in training"
    first = replace(
        first, name=name, images=scores["images"], accuracy=accuracy, standard_error=error, interval=interval
    )
    return DomainComparison((first, *others))
