"""The images of a run: loaded, limited, and recognized by their content."""

import os
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np


def at_most(images, per_class, seed):
    """Keep at most this many images per class of those that may be learned from, whatever their split.

    Args:
        images: `ImageSplits`.
        per_class: Number of images.
        seed: Seed of the choice.

    Returns:
        `ImageSplits`; a test split that the data set defines is kept whole.
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
    """Return a short name of an image's content: the hexadecimal BLAKE2b of 128 bits.

    Args:
        source: Path of a file, its content, a PIL image or an array of pixels, or a function that returns one of them.
    """
    if callable(source):
        source = source()
    if isinstance(source, str | os.PathLike):
        content = Path(source).read_bytes()
    else:
        content = source if isinstance(source, bytes) else np.ascontiguousarray(source).tobytes()
    return blake2b(content, digest_size=16).hexdigest()


def digests(split, source):
    """Return a dict from the images of a split, by their path within the source, to the digests of their content.

    Args:
        split: `ImageSplit`.
        source: What it was loaded from.
    """
    root = Path(source) if isinstance(source, str | os.PathLike) else None
    names = {}
    for path, content in zip(split.paths, split.sources, strict=True):
        inside = root is not None and Path(path).is_relative_to(root)
        names[Path(path).relative_to(root).as_posix() if inside else str(path)] = digest(content)
    return names
