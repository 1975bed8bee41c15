"""Loading a folder of images, one sub-folder a class, as training, validation and test splits."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.errors import InputError
from tlkeras.images.batches import ImageBatches
from tlkeras.images.duplicates import Fingerprint, fingerprint, near_duplicate_groups
from tlkeras.images.reading import ImageError, Resize, check_size, open_rgb, quiet, read_images
from tlkeras.images.splits import split

_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class SkippedFile:
    """A file that `load_images` left out.

    Attributes:
        path: str, the file.
        reason: str, why it cannot be read as an image.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSplit:
    """Some of the images of a data set: their files, their labels and how they are to be read.

    Attributes:
        paths: str array of shape `(images,)`.
        labels: int64 array of shape `(images,)`, indices into `class_names`.
        class_names: tuple of str, shared by all splits of a data set.
        image_size: `(height, width)` in pixels that the images are brought to.
        resize: how: `"stretch"`, `"crop"` or `"pad"`, as in `read_image`.
    """

    paths: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Resize

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"ImageSplit({len(self)} images, {len(self.class_names)} classes)"

    def read(self, workers: int | None = None) -> np.ndarray:
        """Reads all images, uint8 array of shape `(images, height, width, 3)`."""
        return read_images(self.paths, self.image_size, self.resize, workers)

    def take(self, indices: np.ndarray) -> "ImageSplit":
        """Gives the split of only these images, in this order: for subsets and cross-validation.

        Example:

        >>> import tlkeras
        >>> train = tlkeras.load_images("data/clipart10").train
        >>> len(train.take([0, 5, 7]))
        3
        """
        indices = np.asarray(indices, "int64")
        return ImageSplit(self.paths[indices], self.labels[indices], self.class_names, self.image_size, self.resize)

    def batches(
        self,
        size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[..., Any] | None = None,
        mix: Callable[..., Any] | None = None,
        workers: int | None = None,
    ) -> ImageBatches:
        """Gives what `fit`, `evaluate` and `predict` take: batches of pixels and labels, read as needed.

        Args:
            size: images a batch.
            shuffle: whether each epoch has a new order. Without it the order is that of `paths`, always.
            seed: of the shuffling.
            augment: called as `augment(images, training=True)` on each batch, such as `tlkeras.augmentation("photo")`.
            mix: a layer that mixes images together with their labels: `keras.layers.MixUp` or `keras.layers.CutMix`.
                Labels then are one-hot, for `categorical_crossentropy`.
            workers: threads that read ahead; by default one a core.

        Returns:
            A `keras.utils.PyDataset` of `(images, labels)`: `(n, height, width, 3)`, uint8 or, if augmented, float32,
            and int64 `(n,)` or, if mixed, float32 `(n, classes)`.

        Example:

        >>> import tlkeras
        >>> images, labels = tlkeras.load_images("data/clipart10").test.batches(32)[0]
        >>> images.shape, labels.shape
        ((32, 224, 224, 3), (32,))
        """

        def read(indices: np.ndarray) -> np.ndarray:
            return read_images(self.paths[indices], self.image_size, self.resize, workers=1)

        return ImageBatches(read, self.labels, size, shuffle, seed, augment, mix, len(self.class_names), workers)


@dataclass(frozen=True)
class ImageSplits:
    """A data set in three parts that share no image and no near-duplicate.

    Attributes:
        train, validation, test: `ImageSplit`.
        class_names: tuple of str; the position is the label.
        skipped: tuple of `SkippedFile`: what could not be read.
        image_size: `(height, width)` in pixels that the images are brought to.
        resize: how, as in `read_image`.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Resize
    skipped: tuple[SkippedFile, ...] = field(default=())

    def __repr__(self) -> str:
        return (
            f"ImageSplits({len(self.class_names)} classes: train {len(self.train)}, validation "
            f"{len(self.validation)}, test {len(self.test)}; {len(self.skipped)} skipped)"
        )


def load_images(
    directory: str | os.PathLike,
    *,
    seed: int = 0,
    image_size: tuple[int, int] = (224, 224),
    resize: Resize = "stretch",
    test_size: float = 0.2,
    validation_size: float = 0.2,
    strict: bool = False,
) -> ImageSplits:
    """Loads a folder of images, one sub-folder a class, as training, validation and test splits.

    Every file is decoded once, so that a damaged one shows itself now and not in the middle of training. The
    splits are stratified: each class has its share in each. Near-duplicates, also those across classes, are kept
    on one side, since the same picture in training and test flatters the result. The splits depend on the seed,
    on the files' names within `directory` and on their contents, and on nothing else.

    Hidden files and files outside of the class folders are ignored. What else cannot be read is skipped and listed.

    Args:
        directory: a folder with a sub-folder for each class, which may have sub-folders of its own.
        seed: another seed gives other splits.
        image_size: `(height, width)` in pixels that the images are brought to when they are read.
        resize: how, as in `read_image`.
        test_size: share of the images, in [0, 1). Every class has at least one image in each part whose share is
            not 0. A fifth leaves enough images to see a difference between two models.
        validation_size: share of the images, likewise.
        strict: whether a file that cannot be read is an error.

    Returns:
        `ImageSplits` with `.train`, `.validation`, `.test`, `.class_names`, `.skipped`.

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
    """
    size = check_size(image_size)
    if size is None:
        raise InputError("load_images needs one size for all images, such as (224, 224). Received: image_size=None.")
    root, class_names, files = _class_folders(directory)
    paths = [str(root / key) for key, _ in files]
    prints, skipped = _scan(paths)
    if strict and skipped:
        first, more = skipped[0], f" ({len(skipped) - 1} more such files)" if len(skipped) > 1 else ""
        raise InputError(f"{ImageError(first.path, first.reason)}{more} Mend or remove it, or leave strict off.")
    readable = [index for index, one in enumerate(prints) if one is not None]
    if not readable:
        raise InputError(f"No images in {str(root)!r}: it wants a folder for each class, with image files in it.")
    if len(class_names) < 2:
        raise InputError(
            f"Only one class, {class_names[0]!r}, in {str(root)!r}: a classifier needs two or more folders."
        )
    labels = np.array([class_names.index(files[index][1]) for index in readable], "int64")
    indices = split(
        [files[index][0] for index in readable],
        labels,
        near_duplicate_groups([prints[index] for index in readable]),
        class_names,
        test_size=test_size,
        validation_size=validation_size,
        seed=seed,
    )
    whole = ImageSplit(np.array([paths[index] for index in readable]), labels, class_names, size, resize)
    parts = {part: whole.take(chosen) for part, chosen in indices.items()}
    return ImageSplits(**parts, class_names=class_names, image_size=size, resize=resize, skipped=tuple(skipped))


def _class_folders(directory: str | os.PathLike) -> tuple[Path, tuple[str, ...], list[tuple[str, str]]]:
    """Lists the class folders and their files, as (path within the directory, class), in a fixed order."""
    root = Path(directory)
    if not root.exists():
        raise InputError(f"There is no directory {str(root)!r}.")
    if not root.is_dir():
        raise InputError(f"{str(root)!r} is not a directory: it wants one that has a folder of images for each class.")
    try:
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
        files = [(key, name) for name in folders for key in sorted(_files_within(root, name))]
    except OSError as error:
        raise InputError(f"Cannot list {error.filename!r}: {error.strerror}.") from error
    if not folders:
        raise InputError(f"No images in {str(root)!r}: it wants a folder for each class, with image files in it.")
    return root, tuple(folders), files


def _files_within(root: Path, name: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    for folder, subfolders, names in os.walk(root / name, onerror=refuse):
        subfolders[:] = [one for one in subfolders if not one.startswith(".")]
        for file in names:
            if not file.startswith(".") and file.lower() not in _SYSTEM_FILES:
                yield (Path(folder) / file).relative_to(root).as_posix()


def _scan(paths: list[str]) -> tuple[list[Fingerprint | None], list[SkippedFile]]:
    """Decodes every file: its fingerprint, or why there is none."""

    def inspect(path: str) -> Fingerprint | SkippedFile:
        try:
            return fingerprint(open_rgb(path, (64, 64)))
        except ImageError as error:
            return SkippedFile(path, error.reason)

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(inspect, paths))
    skipped = [one for one in found if isinstance(one, SkippedFile)]
    return [None if isinstance(one, SkippedFile) else one for one in found], skipped
