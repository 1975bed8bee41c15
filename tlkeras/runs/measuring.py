"""Measuring: the scores of a trained classifier, with attention to images that it has learned from."""

from collections import Counter

import numpy as np

from tlkeras.data.listing import list_folder
from tlkeras.data.reading import ImageError
from tlkeras.errors import InputError
from tlkeras.evaluation.metrics import score
from tlkeras.evaluation.several_labels import score_labels
from tlkeras.runs.images import digest
from tlkeras.utils.validation import shown


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


def most_common(split):
    """Return the number of the most common class of a split; the first one in a tie."""
    labels = split.labels.argmax(axis=1) if split.labels.ndim == 2 else split.labels
    return Counter(sorted(labels.tolist())).most_common(1)[0][0]


def evaluate(run, source, verbose=False):
    """Measure a run on a folder of labeled images; see `tlkeras.runs.run.Run.evaluate`."""
    class_names, files = list_folder(source)
    unknown = sorted(set(class_names) - set(run.class_names))
    if unknown:
        known = shown(run.class_names)
        raise InputError(f"{str(source)!r} has a class {unknown[0]!r} the run was not trained on. It knows {known}.")
    numbers = {name: number for number, name in enumerate(run.class_names)}
    try:
        seen, majority = set(run.metrics["data"]["learned"].values()), numbers[run.metrics["scores"]["majority_class"]]
        seen |= set(run.metrics["data"]["chosen_by"].values())
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The file metrics.json of {str(run.path)!r} was not written by `tlkeras fit`. Train the run again."
        ) from error
    given = {file.part for file in files}
    part = next((part for part in ("test", "validation") if part in given), "all")
    labels = {file.path: numbers[file.label] for file in files if part in ("all", file.part)}
    predicted, skipped = {}, []
    for path, answer in run.probabilities(list(labels), verbose=verbose):
        if isinstance(answer, ImageError):
            skipped.append({"path": answer.path, "reason": answer.reason})
        else:
            predicted[path] = int(answer.argmax())
    if not predicted:
        why = f"none of {len(skipped)} can be read." if skipped else "there are no files in it."
        raise InputError(f"No images in {str(source)!r}: {why}")
    scores = score([labels[path] for path in predicted], list(predicted.values()), run.class_names, majority)
    return {
        "scores": scores.to_dict(),
        "part": part,
        "seen_in_training": sum(digest(path) in seen for path in predicted),
        "skipped": skipped,
    }
