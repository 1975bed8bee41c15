"""Measuring: the scores of a trained classifier, with attention to images that it has learned from."""

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
from tlkeras.utils.validation import invalid, shown


def scores_of(measured, majority):
    """Score the predictions that a strategy made of images that its models had not seen.

    Args:
        measured: `tlkeras.selection.outcome.Measured`.
        majority: Number of the most common class among the images learned from; ignored for several labels per image.

    Returns:
        `tlkeras.evaluation.metrics.Scores`, or `LabelScores` where an image may have several labels.
    """
    images = measured.images
    if images.labels.ndim == 2:
        return score_labels(images.labels, measured.probabilities, images.class_names, images.groups)
    predicted = measured.probabilities.argmax(axis=1)
    return score(images.labels, predicted, images.class_names, majority, groups=images.groups)


def expected_range(scores):
    """Predict the accuracy on as many similar new images as were measured.

    Both this accuracy and the measured one have a standard error, so the interval is wider by a factor of √2 than one
    for the mean; it is centered on the share that counts two right and two wrong images more (Agresti and Coull, 1998).

    Args:
        scores: `Scores` or `LabelScores`.

    Returns:
        `(low, high)`: a 95% interval within [0, 1].
    """
    center = (scores.accuracy * scores.images + 2) / (scores.images + 4)
    half = 1.96 * np.sqrt(2) * scores.standard_error
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def flip_gain(measured, flips):
    """Compare predictions averaged over flips with those of the images as they are.

    Args:
        measured: `tlkeras.selection.outcome.Measured`.
        flips: Names of the flips.

    Returns:
        None without flips; otherwise a dict: `flips`, `gain` in accuracy with its `standard_error`, and `helps`,
        whether the gain is more than that.
    """
    if measured.flipped is None:
        return None
    labels = measured.images.labels
    change = right(measured.flipped, labels) - right(measured.probabilities, labels)
    gain, error = mean_with_error(change, measured.images.groups)
    return {"flips": list(flips), "gain": gain, "standard_error": error, "helps": bool(gain > error)}


def most_common(split):
    """Return the number of the most common class of a split; the first one in a tie."""
    labels = split.labels.argmax(axis=1) if split.labels.ndim == 2 else split.labels
    return Counter(sorted(labels.tolist())).most_common(1)[0][0]


def evaluate(run, source, table, classes=None, verbose=False):
    """Measure a run on labeled images; see `tlkeras.runs.run.Run.evaluate`.

    Args:
        run: `Run`.
        source: Images with labels, as `load_images` takes them.
        table: `TableOptions`.
        classes: Names of the classes to measure on, or None for all.
        verbose: Whether to show progress on stderr.
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
        why = f"none of {len(skipped)} can be read." if skipped else "there are no files in it."
        raise InputError(f"No images in {named_source(source)}: {why}")
    return {
        "scores": _scores(run, [file.label for file in measured], np.stack(rows), majority).to_dict(),
        "part": part,
        "seen_in_training": None if seen is None else sum(digest(file.source) in seen for file in measured),
        "skipped": skipped,
    }


def scored_part(files):
    """Choose what to score: the test part where there is one, else the validation part, else all.

    Returns:
        `(part, files)`: `"test"`, `"validation"` or `"all"`, and the files of that part.
    """
    given = {file.part for file in files}
    part = next((part for part in ("test", "validation") if part in given), "all")
    return part, [file for file in files if part in ("all", file.part)]


def known_from_training(run):
    """Return the digests of the images that a run was trained on or chosen by, and its most common class."""
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
    """List labeled images, all of classes that the run knows; of these classes only, if some are given."""
    if classes is not None and run.thresholds is not None:
        raise invalid("classes", list(classes), "be None for a run that gives several labels per image")
    listing = list_source(source, table=table)
    names, files, several = name_classes(listing.files, classes=classes, multilabel=table.multilabel)
    if several and run.thresholds is None:
        raise InputError(
            f"{named_source(source)} has images with several labels or none, and the run gives one to each."
        )
    unknown = [name for name in names if name not in run.class_names]
    if unknown:
        known = shown(run.class_names)
        raise InputError(
            f"{named_source(source)} has a class {unknown[0]!r} the run was not trained on. It knows {known}."
        )
    return files


def _scores(run, labels, probabilities, majority):
    """Score answers to images with the names of their classes."""
    if run.thresholds is None:
        labels = [run.class_names.index(label) for label in labels]
        majority = Counter(labels).most_common(1)[0][0] if majority is None else majority
        return score(labels, probabilities.argmax(axis=1), run.class_names, majority)
    labels = [[name in given for name in run.class_names] for given in labels]
    return score_labels(labels, probabilities, run.class_names, thresholds=run.thresholds)


def named_source(source):
    """Name a source in an error."""
    return repr(str(source)) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"
