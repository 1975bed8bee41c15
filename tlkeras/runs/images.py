"""Limit the number of images in a run, and identify images by their digests."""

import os
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np


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


def digests(split, source):
    """Return a dict that maps the paths of a split's images, relative to the source, to the images' digests.

    Args:
        split: `ImageSplit` whose images are identified.
        source: Source that the split was loaded from.
    """
    root = Path(source) if isinstance(source, str | os.PathLike) else None
    names = {}
    for path, content in zip(split.paths, split.sources, strict=True):
        inside = root is not None and Path(path).is_relative_to(root)
        names[Path(path).relative_to(root).as_posix() if inside else str(path)] = digest(content)
    return names
