"""Measuring a run on labelled images, with an eye on those that it was trained on."""

from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tlkeras.errors import InputError
from tlkeras.images.loading import load_images
from tlkeras.report.metrics import score
from tlkeras.runs.folder import load_run, read_metrics
from tlkeras.training.data import each_batch


def measure(run, split, majority, batch_size=32, verbose=False):
    """Scores a run on a split.

    Args:
        run: `tlkeras.runs.folder.Run`.
        split: `ImageSplit` whose classes the run knows.
        majority: Name of the commonest class in training, the baseline.
        batch_size: Images a forward pass.
        verbose: Whether to show progress on stderr.

    Returns:
        `tlkeras.report.metrics.Scores`.
    """
    position = np.array([run.class_names.index(name) for name in split.class_names])
    batches = split.batches(batch_size)
    progress = tqdm(each_batch(batches), total=len(batches), desc="measuring", unit="batch", disable=not verbose)
    predicted = np.concatenate([run.model.predict_on_batch(images).argmax(axis=1) for images, _ in progress])
    return score(position[split.labels], predicted, run.class_names, run.class_names.index(majority))


def evaluate_folder(path, directory, verbose=False):
    """Measures a run on a folder of labelled images.

    Args:
        path: The run.
        directory: Folder with a sub-folder of images for each class, named as the run's classes are.
        verbose: Whether to show progress on stderr.

    Returns:
        A dict: `scores` (what `tlkeras.report.metrics.Scores` holds), `part` (what was scored: `"test"` where the
        folder has a test part, else `"validation"` where it has that, else `"all"`), `seen_in_training` (how many of
        these images have the content of one that the run was trained or chosen on), `skipped` (files that cannot be
        read, with the reason).

    Raises:
        InputError: There is no such run or folder, or the folder has a class that the run does not know.
    """
    run, metrics = load_run(path), read_metrics(path)
    images = load_images(directory, image_size=run.image_size, resize=run.resize, validation_size=0, test_size=0)
    unknown = sorted(set(images.class_names) - set(run.class_names))
    if unknown:
        known = ", ".join(run.class_names)
        raise InputError(f"{str(directory)!r} has a class {unknown[0]!r} that the run does not know; it knows {known}.")
    try:
        splits, majority = metrics["data"]["splits"], metrics["test"]["majority_class"]
        seen = {*splits["train"].values(), *splits["validation"].values()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"metrics.json of {str(path)!r} is not what `tlkeras fit` writes. Train the run again."
        ) from error
    # Nothing is split off here, so a part that is not empty is one that the folder gives.
    parts = {"test": images.test, "validation": images.validation, "all": images.train}
    name, split = next((name, split) for name, split in parts.items() if len(split))
    return {
        "scores": measure(run, split, majority, verbose=verbose).to_dict(),
        "part": name,
        "seen_in_training": sum(digest(path) in seen for path in split.paths),
        "skipped": [asdict(one) for one in images.skipped],
    }


def digest(path):
    """A short name of a file's content: the hexadecimal BLAKE2b of 128 bits."""
    return blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
