"""Load labeled images as training, validation and test splits."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np

from tlkeras.data.classes import name_classes
from tlkeras.data.dataset import ImageSplit, ImageSplits, SkippedFile
from tlkeras.data.duplicates import Fingerprint, fingerprint, merge_groups, near_duplicate_groups
from tlkeras.data.group_cache import GroupCache
from tlkeras.data.groups import Groups, check_given_splits, group_numbers, with_groups
from tlkeras.data.listing import ImageFile
from tlkeras.data.reading import ImageError, Resize, check_image_size, check_resize, open_rgb, quiet
from tlkeras.data.sources import TableOptions, list_source
from tlkeras.data.splits import split
from tlkeras.errors import InputError, warn
from tlkeras.utils.validation import check_integer


def load_images(
    source: Any,
    *,
    labels: Sequence[Any] | None = None,
    label_of: Callable[[str], Any] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    root: str | os.PathLike | None = None,
    label_separator: str | None = None,
    multilabel: bool | None = None,
    groups: Groups | None = None,
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
    r"""Load labeled images as training, validation and test splits.

    Every image is decoded once, so damaged images are found at this point rather than in the middle of training. The
    result is cached, so loading the same files again decodes none of them. The splits are stratified by class.
    Near-duplicates (even across classes) and images of one group stay in the same split, because test images that
    resemble training images would inflate the test accuracy. For given arguments, the splits depend only on the file
    names within the data set and on the file contents. Multi-label data sets are split by iterative stratification
    (Sechidis et al., 2011, https://doi.org/10.1007/978-3-642-23808-6_10).

    Splits that the data set itself defines are kept. A missing split is taken from the training images.

    Unlabeled images (-1, None, NaN, NA, an empty cell) are left out, and a warning reports how many. Hidden files and
    files outside the class folders are ignored. Files in class folders that cannot be read are skipped and listed in
    `skipped`.

    Args:
        source: Source of the images, one of:
            a folder with one folder per class, which may have subfolders and links to folders;
            a folder with `train` and `val` or `test`, each with one folder per class;
            with `label_of`, a folder with any arrangement of files;
            a table (`.csv`, `.tsv`, `.jsonl`, `.parquet` or a data frame) with the columns `path` and `label`, and
            optionally `split` and `group`;
            `"tfds:NAME"` for a data set from TensorFlow Datasets, or a TFDS builder, such as `tfds.ImageFolder`;
            a Hugging Face `datasets` object, or a folder with `metadata.csv` or `metadata.jsonl`;
            with `labels`, a sequence of paths or an array `(images, height, width, 3)` of pixels in [0, 255].
        labels: One label per image, if `source` contains only images; for several labels per image, lists of names or
            an array of 0s and 1s of shape `(images, classes)`.
        label_of: Function that takes the path within the folder and returns the label, or `None` to leave the file out.
        columns: Column names of a table if they differ from the common names: a dictionary with any of the keys
            `"path"`, `"label"`, `"split"` and `"group"`. `"label"` may be a list of columns of 0s and 1s, one per
            class.
        root: Folder that the paths of a table are relative to. Defaults to the folder of the table.
        label_separator: Text that separates the labels if a cell contains several, such as `"|"`.
        multilabel: Whether an image may have several labels. Defaults to true if any image has several labels or none.
        groups: Groups of images that must stay together, such as the images of one patient: a regular expression with
            one capture group that is searched for in each path within the data set, the name of a column, a function
            that takes the path, or one value per image. An image without a group (None, NaN, "", -1) is a group of its
            own.
        classes: Classes to load, in this order. Defaults to all classes, sorted by name, or by value if all names are
            numbers. In a multi-label data set, images without any of these classes are kept as negative examples.
        per_class: Maximum number of training images per class; see `ImageSplit.sample`. Validation and test images are
            not affected. By default, all training images are used.
        near_duplicates: Whether to keep near-duplicates in the same split. Defaults to `True`. Use `False` for images
            that all look similar, such as frames from a fixed camera, and pass `groups` as well.
        seed: Seed for the splits. A different seed gives different splits. Defaults to 0.
        image_size: `(height, width)` that images are resized to when they are read, in pixels, or one integer for both.
            Defaults to 224, the size that most backbones were trained on.
        resize: How to resize, as in `read_image`.
        test_size: Fraction of the images for testing, in [0, 1). Every class has at least one image in each split whose
            fraction is not 0. Defaults to 0.2, which usually leaves enough test images to compare two models.
        validation_size: Fraction of the images for validation, in [0, 1). Defaults to 0.2.
        strict: Whether to raise an error if a file cannot be read. Defaults to `False`, which skips such files.

    Returns:
        `ImageSplits` with `.train`, `.validation`, `.test`, `.class_names` and `.skipped`. In a multi-label data set,
        the `.labels` of each split are a float32 array of 0s and 1s of shape `(images, classes)`.

    Raises:
        InputError: The source cannot be used: a folder or file does not exist, a column is missing, labels are
            quantities such as ages or boxes, there is only one class, a class has too few images, a group is in two of
            the splits that the data set defines, or, if `strict`, a file cannot be read.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", seed=0)
    >>> images
    ImageSplits(10 classes: train 257, validation 85, test 85; 0 skipped)
    >>> images.class_names[:3]
    ('bird', 'boat', 'bug')
    >>> tlkeras.load_images("data/clipart10", classes=["boat", "bird"], per_class=10).train
    ImageSplit(20 images, 2 classes)

    The emoji in `data/emoji4/STYLE/CLASS/NAME.jpg` have four styles. Images with the same name form a group:

    >>> def label_of(path):
    ...     return path.split("/")[-2] if path.endswith(".jpg") else None
    >>> styles = tlkeras.load_images(
    ...     "data/emoji4", label_of=label_of, groups=r"([^/]+)\.jpg$", classes=["tool", "bug"]
    ... )
    >>> len({path.split("/")[-1] for path in styles.test.paths} & {path.split("/")[-1] for path in styles.train.paths})
    0
    """
    size = check_image_size(image_size)
    check_resize(resize)
    if per_class is not None:
        check_integer("per_class", per_class, minimum=1)
    options = TableOptions(columns, root, label_separator, multilabel)
    listing = list_source(source, labels, label_of, options, groups, classes)
    place = repr(os.fspath(source)) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"
    if not listing.files:
        raise InputError(
            f"No images in {place}: it contains no labeled files. Labels come from class folders, tables or `label_of`."
        )
    files = with_groups(listing.files, groups, listing.columns)
    check_given_splits(files)
    class_names, files, several = name_classes(files, listing.classes, classes, _several(label_separator, multilabel))
    alike, skipped = _grouped(files, near_duplicates)
    _check_readable(place, files, skipped, strict)
    if len(class_names) < 2:
        raise InputError(f"There is only one class, {class_names[0]!r}, in {place}. A classifier needs at least two.")
    files, alike = [file for file, group in zip(files, alike, strict=True) if group >= 0], alike[alike >= 0]
    given = group_numbers(files)
    whole = ImageSplit(
        paths=np.array([file.path for file in files]),
        labels=_label_array(files, class_names, several),
        class_names=class_names,
        image_size=size,
        resize=resize,
        groups=alike if given is None else merge_groups(alike, given),
        sources=_object_array([file.source for file in files]),
    )
    indices = _split(files, whole, {"test_size": test_size, "validation_size": validation_size}, seed)
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


def _several(label_separator: str | None, multilabel: bool | None) -> bool | None:
    return True if label_separator is not None and multilabel is None else multilabel


def _grouped(files: list[ImageFile], near_duplicates: bool) -> tuple[np.ndarray, list[SkippedFile]]:
    """Decode every image that is not in the cache; return its near-duplicate group, or -1 if it is unreadable."""
    cache = GroupCache([file.source for file in files], near_duplicates)
    groups = cache.read()
    if groups is not None:
        unreadable = _inspected([file for file, group in zip(files, groups, strict=True) if group < 0], near_duplicates)
        if all(isinstance(one, SkippedFile) for one in unreadable):  # otherwise, Pillow has learned a format since then
            return groups, unreadable
    prints = _inspected(files, near_duplicates)
    skipped = [one for one in prints if isinstance(one, SkippedFile)]
    readable = [not isinstance(one, SkippedFile) for one in prints]
    known = [one for one in prints if not isinstance(one, SkippedFile)]
    groups = np.full(len(files), -1)
    groups[readable] = near_duplicate_groups(known) if near_duplicates else np.arange(len(known))
    cache.write(groups)
    return groups, skipped


def _inspected(files: list[ImageFile], near_duplicates: bool) -> list[Fingerprint | bool | SkippedFile]:
    """Decode images; return their fingerprints (True if `near_duplicates` is off), or why they cannot be read."""

    def inspect(file: ImageFile) -> Fingerprint | bool | SkippedFile:
        try:
            image = open_rgb(file.source, (64, 64))
            return fingerprint(image) if near_duplicates else True
        except ImageError as error:
            return SkippedFile(file.path, error.reason)

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(inspect, files))


def _check_readable(place: str, files: list[ImageFile], skipped: list[SkippedFile], strict: bool) -> None:
    if strict and skipped:
        first, more = skipped[0], f" {len(skipped) - 1} more cannot be read either." if len(skipped) > 1 else ""
        them = "them" if more else "it"
        raise InputError(f"{ImageError(first.path, first.reason)}{more} Repair or remove {them}, or pass strict=False.")
    if len(skipped) == len(files):
        why = "it contains no files of the chosen classes."
        if skipped:
            why = f"none of the {len(skipped)} files can be read. {ImageError(skipped[0].path, skipped[0].reason)}"
        raise InputError(f"No images in {place}: {why}")


def _label_array(files: list[ImageFile], class_names: tuple[str, ...], several: bool) -> np.ndarray:
    """Return int64 class indices of shape `(images,)`, or float32 0s and 1s of shape `(images, classes)`."""
    number = {name: index for index, name in enumerate(class_names)}
    if not several:
        return np.array([number[file.label] for file in files], "int64")
    labels = np.zeros((len(files), len(class_names)), "float32")
    for row, file in zip(labels, files, strict=True):
        row[[number[name] for name in file.label]] = 1
    return labels


def _split(files: list[ImageFile], whole: ImageSplit, shares: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    parts = np.array([file.part or "" for file in files])
    free = np.flatnonzero(~np.isin(parts, ("validation", "test")))
    for part in ("validation", "test"):
        if part in parts:
            shares = {**shares, f"{part}_size": 0.0}
    for label in np.flatnonzero((whole.counts() > 0) & (whole.take(free).counts() == 0)):
        name, part = whole.class_names[label], next(part for part in ("validation", "test") if part in parts)
        raise InputError(
            f"Class {name!r} has {part} images but no training images. Add training images or leave the class out."
        )
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
                f"{leaks} of the {len(parts[held_out])} {held_out} images in the given splits are near-duplicates of "
                f"{seen} images or share a group with them. `tlkeras.check_images` lists near-duplicates."
            )


def _object_array(values: Sequence[Any]) -> np.ndarray:
    """Return a 1D array of objects, even if NumPy would turn them into a nested array."""
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = value
    return array
