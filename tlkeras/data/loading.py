"""Loading images with labels as training, validation and test splits."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np

from tlkeras.data.dataset import ImageSplit, ImageSplits, SkippedFile
from tlkeras.data.duplicates import Fingerprint, fingerprint, merge_groups, near_duplicate_groups
from tlkeras.data.listing import ImageFile
from tlkeras.data.reading import ImageError, Resize, check_image_size, check_resize, open_rgb, quiet
from tlkeras.data.sources import given_groups, list_images
from tlkeras.data.splits import split
from tlkeras.errors import InputError, warn


def load_images(
    source: Any,
    *,
    labels: Sequence[Any] | None = None,
    label_of: Callable[[str], Any] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    root: str | os.PathLike | None = None,
    label_separator: str | None = None,
    multilabel: bool | None = None,
    groups: str | Sequence[Any] | Callable[[str], Any] | None = None,
    classes: Sequence[Any] | None = None,
    per_class: int | None = None,
    near_duplicates: bool = True,
    seed: int = 0,
    image_size: int | tuple[int, int] = 224,
    resize: Resize = "stretch",
    test_size: float = 0.2,
    validation_size: float = 0.2,
    strict: bool = False,
) -> ImageSplits:
    """Loads images with labels as training, validation and test splits.

    Every image is decoded once, so that a damaged one shows itself now and not in the middle of training. The
    splits are stratified: each class has its share in each. Near-duplicates, also those across classes, are kept
    on one side, since the same picture in training and test flatters the result. The splits depend on the seed,
    on the files' names within the directory and on their contents, and on nothing else.

    Splits that the data set itself gives are kept. One that it lacks is taken from its training images.

    Hidden files and files outside of the class folders are ignored. What else cannot be read is skipped and listed.

    Args:
        source: where the images are:
            a directory with a folder for each class, which may have sub-folders of its own;
            a directory of `train` and `val` or `test`, each with a folder for each class;
            with `label_of`, a directory of files in any order;
            a CSV file with columns `path` (relative to it) and `label`, and perhaps `split` and `group`;
            `"tfds:NAME"` for TensorFlow Datasets, or one of its builders, such as `tfds.ImageFolder`;
            a Hugging Face `datasets` object with columns `image` and `label`;
            with `labels`, a sequence of paths or an array `(images, height, width, 3)` of pixels in [0, 255].
        labels: a label for each image, where `source` holds images only.
        label_of: gives the label of a file from its path within the directory, or `None` to leave the file out.
        columns: Names of a table's columns where they are not the usual ones: any of the keys `"path"`, `"label"`,
            `"split"` and `"group"`. Several label columns hold 0 or 1.
        root: Folder that the paths of a table are relative to. Defaults to the folder of the table.
        label_separator: Text between several labels in one cell, such as `"|"`.
        multilabel: Whether an image may have several labels. By default it may if any has several or none; the labels
            of a split then are a float32 array of shape `(images, classes)` of 0 and 1.
        groups: What must stay together, such as the images of one patient: a regular expression with one capture
            group that is searched for in each path, the name of a column, a function of the path, or a value for each
            image. Images with equal values stay in one split.
        classes: Load only these, in this order.
        per_class: use at most so many training images of each class, see `ImageSplit.sample`. Validation and test
            stay as they are.
        near_duplicates: Whether near-duplicates are kept on one side of a split. `False` is for images that all look
            alike, such as frames of a fixed camera; give `groups` then.
        seed: another seed gives other splits.
        image_size: `(height, width)` in pixels that the images are brought to when they are read.
        resize: how, as in `read_image`.
        test_size: share of the images, in [0, 1). Every class has at least one image in each part whose share is
            not 0. A fifth leaves enough images to see a difference between two models.
        validation_size: share of the images, likewise.
        strict: whether a file that cannot be read is an error.

    Returns:
        `ImageSplits` with `.train`, `.validation`, `.test`, `.class_names`, `.skipped`. Class names are sorted; where
        labels are numbers, by value.

    Raises:
        InputError: no such directory, no images, only one class, too few images in a class, or, if `strict`, a
            file that cannot be read.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", seed=0)
    >>> images
    ImageSplits(10 classes: train 257, validation 85, test 85; 0 skipped)
    >>> images.class_names[:3]
    ('bird', 'boat', 'bug')
    >>> tlkeras.load_images("data/clipart10", classes=["boat", "bird"], per_class=10).train
    ImageSplit(20 images, 2 classes)
    """
    size = check_image_size(image_size)
    check_resize(resize)
    place = repr(os.fspath(source)) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"
    class_names, files = list_images(source, labels, label_of)
    given = given_groups(files, groups)
    if classes is not None:
        class_names, wanted = _chosen_classes(class_names, classes)
        kept = [index for index, file in enumerate(files) if file.label in wanted]
        files, given = [files[index] for index in kept], None if given is None else given[kept]

    prints, skipped = _scan(files)
    if strict and skipped:
        first, more = skipped[0], f" ({len(skipped) - 1} more such files)" if len(skipped) > 1 else ""
        raise InputError(f"{ImageError(first.path, first.reason)}{more} Mend or remove it, or leave strict off.")
    readable = [index for index, one in enumerate(prints) if one is not None]
    if not readable:
        why = "there are no files in it."
        if skipped:
            why = f"none of {len(skipped)} can be read. {ImageError(skipped[0].path, skipped[0].reason)}"
        raise InputError(f"No images in {place}: {why}")
    if len(class_names) < 2:
        raise InputError(f"Only one class, {class_names[0]!r}, in {place}: a classifier needs two or more.")

    files = [files[index] for index in readable]
    alike = np.arange(len(readable))
    if near_duplicates:
        alike = near_duplicate_groups([prints[index] for index in readable])
    whole = ImageSplit(
        paths=np.array([file.path for file in files]),
        labels=np.array([class_names.index(file.label) for file in files], "int64"),
        class_names=class_names,
        image_size=size,
        resize=resize,
        groups=alike if given is None else merge_groups(alike, given[readable]),
        sources=_object_array([file.source for file in files]),
    )
    shares = {"test_size": test_size, "validation_size": validation_size}
    indices = _split(files, whole, shares, seed)
    parts = {part: whole.take(chosen) for part, chosen in indices.items()}
    if per_class is not None:
        parts["train"] = parts["train"].sample(per_class, seed)
    return ImageSplits(
        **parts,
        class_names=class_names,
        image_size=size,
        resize=resize,
        skipped=tuple(skipped),
        given=frozenset(file.part for file in files if file.part),
    )


def _split(files: list[ImageFile], whole: ImageSplit, shares: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    parts = np.array([file.part or "" for file in files])
    free = np.flatnonzero(~np.isin(parts, ("validation", "test")))
    for part in ("validation", "test"):
        if part in parts:
            shares = {**shares, f"{part}_size": 0.0}
    untaught = np.setdiff1d(whole.labels, whole.labels[free])
    if len(untaught):
        name, part = whole.class_names[untaught[0]], parts[whole.labels == untaught[0]][0]
        raise InputError(f"Class {name!r} has {part} images and none to train on: add some, or leave the class out.")
    keys = [files[index].key for index in free]
    dealt = split(keys, whole.labels[free], whole.groups[free], list(whole.class_names), **shares, seed=seed)
    result = {part: free[chosen] for part, chosen in dealt.items()}
    for part in ("validation", "test"):
        if part in parts:
            result[part] = np.flatnonzero(parts == part)
    _warn_of_leaks(whole.groups, result)
    return result


def _warn_of_leaks(groups: np.ndarray, parts: dict[str, np.ndarray]) -> None:
    for seen, held_out in combinations(parts, 2):
        leaks = int(np.isin(groups[parts[held_out]], groups[parts[seen]]).sum())
        if leaks:
            warn(
                f"{leaks} of {len(parts[held_out])} {held_out} images, as given, are near-duplicates of {seen} images "
                "or in a group with some. tlkeras.check_images names near-duplicates."
            )


def _chosen_classes(class_names: tuple[str, ...], classes: Sequence[str]) -> tuple[tuple[str, ...], set[str]]:
    names = [] if isinstance(classes, str) or not hasattr(classes, "__iter__") else list(classes)
    if not names or any(name not in class_names for name in names):
        raise InputError(f"classes are some of {', '.join(class_names)}. Received: {classes!r}.")
    return tuple(name for name in class_names if name in names), set(names)


def _object_array(values: Sequence[Any]) -> np.ndarray:
    """An array of these objects, even where NumPy would see a nested array in them."""
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = value
    return array


def _scan(files: list[ImageFile]) -> tuple[list[Fingerprint | None], list[SkippedFile]]:
    """Decodes every image: its fingerprint, or why there is none."""

    def inspect(file: ImageFile) -> Fingerprint | SkippedFile:
        try:
            return fingerprint(open_rgb(file.source, (64, 64)))
        except ImageError as error:
            return SkippedFile(file.path, error.reason)

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(inspect, files))
    skipped = [one for one in found if isinstance(one, SkippedFile)]
    return [None if isinstance(one, SkippedFile) else one for one in found], skipped
