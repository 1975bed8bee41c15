"""Limit the number of images in a run, identify images by their digests, and list a run's images again."""

import os
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from tlkeras.data.classes import name_classes
from tlkeras.data.sources import TableOptions, list_source
from tlkeras.utils.validation import invalid

#: Arguments of `fit` that say how to read its source: the fields of `TableOptions`.
READING = ("columns", "root", "label_separator", "multilabel")


def at_most(images, per_class, seed):
    """Keep at most `per_class` images of each class, counted over all splits that may be trained on.

    Args:
        images: `ImageSplits` to reduce.
        per_class: Largest number of images per class.
        seed: Seed for the random choice of images.

    Returns:
        `ImageSplits`. A test split defined by the data set is not reduced.
    """
    parts = [part for part in ("train", "validation", "test") if part not in images.given or part != "test"]
    splits = [getattr(images, part) for part in parts]
    pool = splits[0].join(*splits[1:])
    numbered = replace(pool, sources=np.arange(len(pool)))
    kept = np.isin(np.arange(len(pool)), numbered.sample(per_class, seed).sources)
    ends = np.cumsum([len(split) for split in splits])
    masks = np.split(kept, ends[:-1])
    return replace(images, **{part: split.take(mask) for part, split, mask in zip(parts, splits, masks, strict=True)})


def digest(source):
    """Return a digest of an image: its 128-bit BLAKE2b hash, in hexadecimal.

    Args:
        source: Path of a file, the file's contents as bytes, a PIL image, an array of pixels, or a function that
            returns one of these.
    """
    if callable(source):
        source = source()
    if isinstance(source, str | os.PathLike):
        content = Path(source).read_bytes()
    else:
        content = source if isinstance(source, bytes) else np.ascontiguousarray(source).tobytes()
    return blake2b(content, digest_size=16).hexdigest()


def digests(split):
    """Return a dict that maps the paths of a split's images to the images' digests."""
    return {path: digest(content) for path, content in zip(split.paths, split.sources, strict=True)}


def relative_digests(split, known, source):
    """Return a dict that maps the paths of a split's images, relative to the source, to the images' digests.

    Args:
        split: `ImageSplit` whose images are identified.
        known: Dict that maps paths to digests, as returned by `digests`.
        source: Source that the split was loaded from.
    """
    root = Path(source) if isinstance(source, str | os.PathLike) else None
    names = {}
    for path in split.paths:
        inside = root is not None and Path(path).is_relative_to(root)
        names[Path(path).relative_to(root).as_posix() if inside else str(path)] = known[path]
    return names


def options_read_with(arguments):
    """Return the given arguments of `fit` that say how to read its source, as values that JSON supports."""
    given = {name: arguments[name] for name in READING if arguments[name] is not None}
    return {name: str(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}


def reading_options(run):
    """Return the `TableOptions` with which a run's source was read."""
    recorded = run.metrics["data"].get("reading", {})
    return TableOptions(**{name: recorded.get(name) for name in READING})


def source_files(run, source=None, name="source"):
    """List the labeled images of a run's source, read as `fit` read them.

    Args:
        run: `Run` with metrics.
        source: The source, if it has moved. Defaults to None, the source that the run was trained on.
        name: Name of the caller's argument for the source, which the error mentions. Defaults to `"source"`.

    Returns:
        List of `ImageFile` with labels of the run's classes.

    Raises:
        InputError: The source has moved, or it cannot be listed.
    """
    table = reading_options(run)
    if source is not None:
        table = replace(table, root=None)  # the images have moved, too
    else:
        source = run.metrics["data"]["source"]
        if not source.startswith("tfds:") and not Path(source).exists():
            raise invalid(name, None, f"be given, because the images of this run are no longer at {source!r}")
    return labeled_as(run, list_source(source, table=table).files)


def labeled_as(run, files):
    """Return the listed images whose classes a run knows, with labels in the form that the run predicts.

    Args:
        run: `Run` whose classes are selected.
        files: List of `ImageFile` with their original labels.

    Returns:
        List of `ImageFile`. If the run predicts several labels, images with none of the run's classes are kept.
    """
    several = True if run.thresholds is not None else None
    return name_classes(files, run.class_names, classes=run.class_names, multilabel=several)[1]
