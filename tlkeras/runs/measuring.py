"""Measuring a run on labeled images, with an eye on those that it was trained on."""

from hashlib import blake2b
from pathlib import Path

import numpy as np

from tlkeras.data.listing import list_folder
from tlkeras.data.reading import ImageError
from tlkeras.errors import InputError
from tlkeras.evaluation.metrics import score
from tlkeras.runs.folder import load_run, read_metrics
from tlkeras.training.steps.data import each_batch
from tlkeras.utils.progress import progress
from tlkeras.utils.validation import shown


def measure(run, split, majority, batch_size=32, verbose=False):
    """Scores a run on a split.

    Args:
        run: `tlkeras.runs.folder.Run`.
        split: `ImageSplit` whose classes the run knows.
        majority: Name of the commonest class in training, the baseline.
        batch_size: Images a forward pass.
        verbose: Whether to show progress on stderr.

    Returns:
        `tlkeras.evaluation.metrics.Scores`.
    """
    position = np.array([run.class_names.index(name) for name in split.class_names])
    batches = split.batches(batch_size)
    bar = progress(each_batch(batches), total=len(batches), description="measuring", unit="batch", verbose=verbose)
    predicted = np.concatenate([run.model.predict_on_batch(images).argmax(axis=1) for images, _ in bar])
    return score(position[split.labels], predicted, run.class_names, run.class_names.index(majority))


def evaluate_folder(path, directory, verbose=False):
    """Measures a run on a folder of labeled images.

    Args:
        path: The run.
        directory: Folder with a sub-folder of images for each class, or for some or one of them, named as the run's
            classes are.
        verbose: Whether to show progress on stderr.

    Returns:
        A dict: `scores` (what `tlkeras.evaluation.metrics.Scores` holds), `part` (what was scored: `"test"` where the
        folder has a test part, else `"validation"` where it has that, else `"all"`), `seen_in_training` (how many of
        these images have the content of one that the run was trained or chosen on), `skipped` (files of this part
        that cannot be read, with the reason).

    Raises:
        InputError: There is no such run or folder, or the folder has a class that the run does not know.
    """
    run, metrics = load_run(path), read_metrics(path)
    class_names, files = list_folder(directory)
    unknown = sorted(set(class_names) - set(run.class_names))
    if unknown:
        known = shown(run.class_names)
        raise InputError(f"{str(directory)!r} has a class {unknown[0]!r} that the run does not know; it knows {known}.")
    numbers = {name: number for number, name in enumerate(run.class_names)}
    try:
        splits, majority = metrics["data"]["splits"], numbers[metrics["test"]["majority_class"]]
        seen = {*splits["train"].values(), *splits["validation"].values()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"metrics.json of {str(path)!r} is not what `tlkeras fit` writes. Train the run again."
        ) from error
    given = {file.part for file in files}
    part = next((part for part in ("test", "validation") if part in given), "all")
    labels = {file.path: numbers[file.label] for file in files if part in ("all", file.part)}
    predicted, skipped = {}, []
    for path, found in run.probabilities(list(labels), verbose=verbose):
        if isinstance(found, ImageError):
            skipped.append({"path": found.path, "reason": found.reason})
        else:
            predicted[path] = int(found.argmax())
    if not predicted:
        why = f"none of {len(skipped)} can be read." if skipped else "there are no files in it."
        raise InputError(f"No images in {str(directory)!r}: {why}")
    scores = score([labels[path] for path in predicted], list(predicted.values()), run.class_names, majority)
    return {
        "scores": scores.to_dict(),
        "part": part,
        "seen_in_training": sum(digest(path) in seen for path in predicted),
        "skipped": skipped,
    }


def digest(path):
    """A short name of a file's content: the hexadecimal BLAKE2b of 128 bits."""
    return blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
