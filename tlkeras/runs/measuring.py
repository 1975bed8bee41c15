"""Compute the scores of a trained classifier, and count the scored images that were used in its training."""

import os
from collections import Counter

import numpy as np

from tlkeras.data.classes import name_classes
from tlkeras.data.reading import ImageError
from tlkeras.data.sources import list_source
from tlkeras.errors import InputError
from tlkeras.evaluation.metrics import score
from tlkeras.evaluation.several_labels import score_labels
from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.runs.images import digest
from tlkeras.selection.outcome import right
from tlkeras.utils.validation import invalid, listed


def scores_of(measured, majority):
    """Score a strategy's predictions for images, each made by a model that was not trained on that image.

    Args:
        measured: `tlkeras.selection.outcome.Measured`, with the images and the predictions for them.
        majority: Index of the most common class among the training images. Ignored if an image may have several labels.

    Returns:
        `tlkeras.evaluation.metrics.Scores`, or `LabelScores` if an image may have several labels.
    """
    images = measured.images
    if images.labels.ndim == 2:
        return score_labels(images.labels, measured.probabilities, images.class_names, images.groups)
    predicted = measured.probabilities.argmax(axis=1)
    return score(images.labels, predicted, images.class_names, majority, groups=images.groups)


def expected_range(scores):
    """Compute a prediction interval for the accuracy on as many new, similar images as were measured.

    Both the accuracy on the new images and the measured accuracy have a standard error, so the interval is wider than a
    confidence interval by a factor of √2. It is centered on the accuracy after adding two correct and two wrong
    predictions (Agresti and Coull, 1998).

    Args:
        scores: `Scores` or `LabelScores`.

    Returns:
        `(low, high)`: a 95% interval within [0, 1].
    """
    center = (scores.accuracy * scores.images + 2) / (scores.images + 4)
    half = 1.96 * np.sqrt(2) * scores.standard_error
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def flip_gain(measured, flips):
    """Compare predictions averaged over flips with predictions for the original images.

    Args:
        measured: `tlkeras.selection.outcome.Measured`, with the images and the predictions for them.
        flips: Names of the flips that were averaged over.

    Returns:
        Dict with `flips`, the `gain` in accuracy, its `standard_error`, and `helps`, which is true if the gain exceeds
        its standard error. None if predictions averaged over flips were not measured.
    """
    if measured.flipped is None:
        return None
    labels = measured.images.labels
    change = right(measured.flipped, labels) - right(measured.probabilities, labels)
    gain, error = mean_with_error(change, measured.images.groups)
    return {"flips": list(flips), "gain": gain, "standard_error": error, "helps": bool(gain > error)}


def most_common(split):
    """Return the index of a split's most common class, or the lowest index in case of a tie."""
    labels = split.labels.argmax(axis=1) if split.labels.ndim == 2 else split.labels
    return Counter(sorted(labels.tolist())).most_common(1)[0][0]


def evaluate(run, source, table, classes=None, verbose=False):
    """Evaluate a run on labeled images. See `tlkeras.runs.run.Run.evaluate` for the result.

    Args:
        run: `Run` to evaluate.
        source: Labeled images, in any form that `load_images` accepts.
        table: `TableOptions` for reading the source.
        classes: Names of the classes whose images are scored. Defaults to None, all classes.
        verbose: Whether to show progress on stderr. Defaults to False.
    """
    seen, majority = known_from_training(run)
    part, files = scored_part(labeled_files(run, source, table, classes))
    measured, rows, skipped = [], [], []
    answers = run.probabilities([file.source for file in files], verbose=verbose)
    for file, (_, answer) in zip(files, answers, strict=True):
        if isinstance(answer, ImageError):
            skipped.append({"path": file.path, "reason": answer.reason})
        else:
            measured.append(file)
            rows.append(answer)
    if not measured:
        why = f"with only unreadable images ({len(skipped)})" if skipped else "which contains no images"
        raise InputError(f"`source` must contain readable images. Received: {named_source(source)}, {why}.")
    return {
        "scores": _scores(run, [file.label for file in measured], np.stack(rows), majority).to_dict(),
        "part": part,
        "seen_in_training": None if seen is None else sum(digest(file.source) in seen for file in measured),
        "skipped": skipped,
    }


def scored_part(files):
    """Choose the files to score: the test split if there is one, else the validation split, else all files.

    Returns:
        `(part, files)`: `"test"`, `"validation"` or `"all"`, and the files in that part of the source.
    """
    given = {file.part for file in files}
    part = next((part for part in ("test", "validation") if part in given), "all")
    return part, [file for file in files if part in ("all", file.part)]


def known_from_training(run):
    """Return the digests of the images used to train or choose a run's model, and the index of the majority class."""
    try:
        data, scores = run.metrics["data"], run.metrics["scores"]
        if data is None:  # an exported file, which does not list the images it was trained on
            return None, run.class_names.index(scores["majority_class"]) if scores["majority_class"] else None
        seen = {*data["learned"].values(), *data["chosen_by"].values()}
        return seen, None if run.thresholds else run.class_names.index(scores["majority_class"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"The file metrics.json of {str(run.path)!r} was not written by `tlkeras fit`. Train the run again."
        ) from error


def labeled_files(run, source, table, classes=None):
    """List labeled images, or only those of `classes` if given, after checking that the run knows their classes."""
    if classes is not None and run.thresholds is not None:
        raise invalid("classes", list(classes), "be None for a run with several labels per image")
    listing = list_source(source, table=table)
    names, files, several = name_classes(listing.files, classes=classes, multilabel=table.multilabel)
    if several and run.thresholds is None:
        raise InputError(
            f"{named_source(source)} has images with several labels or none, but the run predicts one label per image."
        )
    unknown = [name for name in names if name not in run.class_names]
    if unknown:
        raise InputError(
            f"{named_source(source)} has the class {unknown[0]!r}, which the run was not trained on. The run's "
            f"classes are {listed(run.class_names)}."
        )
    return files


def _scores(run, labels, probabilities, majority):
    """Score predictions for images whose labels are class names."""
    if run.thresholds is None:
        labels = [run.class_names.index(label) for label in labels]
        majority = Counter(labels).most_common(1)[0][0] if majority is None else majority
        return score(labels, probabilities.argmax(axis=1), run.class_names, majority)
    labels = [[name in given for name in run.class_names] for given in labels]
    return score_labels(labels, probabilities, run.class_names, thresholds=run.thresholds)


def named_source(source):
    """Return a description of a source for an error message."""
    return repr(str(source)) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"
