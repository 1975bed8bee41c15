"""An image data set that is divided into training, validation and test splits and can be read in batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlkeras.data.batches import ImageBatches
from tlkeras.data.reading import Resize, read_images
from tlkeras.data.splits import deal_folds
from tlkeras.errors import InputError
from tlkeras.utils.validation import check_integer


@dataclass(frozen=True)
class SkippedFile:
    """A file that `load_images` left out.

    Attributes:
        path: Path of the file, str.
        reason: Reason why the file cannot be read as an image, str.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSplit:
    """A subset of the images of a data set: their files, their labels and how to read them.

    Attributes:
        paths: Paths, str array of shape `(images,)`. An image that is not a file has a name instead of a path.
        labels: Indices into `class_names`, int64 array of shape `(images,)`. In a multi-label data set, float32 array
            of shape `(images, classes)`: 1 if the label applies to the image, otherwise 0.
        class_names: Names of the classes, a tuple of str; the same for all splits of a data set.
        image_size: `(height, width)` that images are resized to, in pixels.
        resize: How to resize: `"stretch"`, `"crop"` or `"pad"`, as in `read_image`.
        groups: Int64 array of shape `(images,)`. Images with the same group number are near-duplicates, or belong
            together according to the `groups` passed to `load_images`.
        sources: Array of shape `(images,)` with the inputs for `read_images`: the paths, or the contents of the images.
    """

    paths: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Resize
    groups: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        kind = "labels, several per image" if self.multilabel else "classes"
        return f"ImageSplit({len(self)} images, {len(self.class_names)} {kind})"

    @property
    def multilabel(self) -> bool:
        """Return whether an image may have several labels, or none."""
        return self.labels.ndim == 2

    def counts(self) -> np.ndarray:
        """Count the images per class.

        Returns:
            Int64 array of shape `(classes,)`.

        Example:

        >>> import tlkeras
        >>> tlkeras.load_images("data/clipart10").test.counts()
        array([ 7,  5,  7,  7,  5, 13,  6, 17, 10,  8])
        """
        if self.multilabel:
            return self.labels.sum(axis=0).astype("int64")
        return np.bincount(self.labels, minlength=len(self.class_names))

    def read(self, workers: int | None = None) -> np.ndarray:
        """Read all images into a uint8 array of shape `(images, height, width, 3)`.

        Args:
            workers: Number of threads. Defaults to one per core.
        """
        return read_images(self.sources, self.image_size, self.resize, workers)

    def take(self, indices: np.ndarray) -> "ImageSplit":
        """Return a split with only the images at `indices`, in that order, for subsets and cross-validation.

        Args:
            indices: Integers, or one boolean per image.

        Raises:
            InputError: `indices` are neither integers nor one boolean per image.

        Example:

        >>> import tlkeras
        >>> train = tlkeras.load_images("data/clipart10").train
        >>> len(train.take([0, 5, 7])), len(train.take(train.labels == 0))
        (3, 21)
        """
        indices = np.atleast_1d(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "biu"):
            raise InputError(
                "`indices` must be integers, or one boolean per image. "
                f"Received: shape {indices.shape}, dtype {indices.dtype}."
            )
        if indices.dtype != bool:
            indices = indices.astype("int64")
        arrays = {name: getattr(self, name)[indices] for name in ("paths", "labels", "groups", "sources")}
        return replace(self, **arrays)

    def sample(self, per_class: int, seed: int = 0) -> "ImageSplit":
        """Return a split with at most `per_class` images of each class, for learning curves.

        For a given seed, a smaller sample is part of every larger sample, so a curve shows the effect of adding images
        rather than of drawing different images. In a multi-label data set, up to `per_class` images are drawn for each
        label, and up to `per_class` images without labels. Common labels can occur more often, because images drawn for
        rarer labels can have them, too.

        Args:
            per_class: Maximum number of images per class, 1 or more.
            seed: Seed for the choice of images. Defaults to 0.

        Raises:
            InputError: `per_class` is not a positive integer.

        Example:

        >>> import tlkeras
        >>> len(tlkeras.load_images("data/clipart10").train.sample(per_class=5))
        50
        """
        per_class = check_integer("per_class", per_class, minimum=1)
        order = np.random.default_rng(seed).permutation(len(self))
        labels = self.labels if self.multilabel else np.eye(len(self.class_names), dtype=bool)[self.labels]
        members = np.column_stack([labels, ~labels.any(axis=1)]).astype(bool)[order]
        first = members & (np.cumsum(members, axis=0) <= per_class)
        return self.take(np.sort(order[first.any(axis=1)]))

    def join(self, *others: "ImageSplit") -> "ImageSplit":
        """Return one split with the images of this split, followed by those of `others`.

        Args:
            others: Other splits of the data set that this split belongs to.

        Example:

        >>> import tlkeras
        >>> images = tlkeras.load_images("data/clipart10")
        >>> images.train.join(images.validation, images.test)
        ImageSplit(427 images, 10 classes)
        """
        splits, arrays = (self, *others), ("paths", "labels", "groups", "sources")
        return replace(self, **{name: np.concatenate([getattr(one, name) for one in splits]) for name in arrays})

    def batches(
        self,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[..., Any] | None = None,
        mix: Callable[..., Any] | None = None,
        workers: int | None = None,
    ) -> ImageBatches:
        """Return batches of pixels and labels, read when needed, for `fit`, `evaluate` and `predict`.

        Args:
            batch_size: Images per batch. Defaults to 32, as in Keras.
            shuffle: Whether to use a new random order in each epoch. By default, every epoch has the order of `paths`.
            seed: Seed for shuffling and augmentation. Defaults to 0.
            augment: Layer or function, called as `augment(images, training=True)` on each batch, such as
                `tlkeras.augmentation("photo")`.
            mix: Layer that mixes images and their labels, such as `keras.layers.MixUp` or `tlkeras.FourierMix`. The
                labels are then one-hot, for `categorical_crossentropy`.
            workers: Number of threads that read ahead. Defaults to one per core.

        Returns:
            A `keras.utils.PyDataset` of `(images, labels)`. Images have shape `(n, height, width, 3)` and are uint8, or
            float32 if augmented or mixed. Labels are int64 of shape `(n,)`, or float32 of shape `(n, classes)` if mixed
            or multi-label.

        Raises:
            InputError: `batch_size` is not a positive integer, or `augment` or `mix` cannot be called.

        Example:

        >>> import tlkeras
        >>> images, labels = tlkeras.load_images("data/clipart10").test.batches(32)[0]
        >>> images.shape, labels.shape
        ((32, 224, 224, 3), (32,))
        """

        def read(indices: np.ndarray) -> np.ndarray:
            return read_images(self.sources[indices], self.image_size, self.resize, workers=1)

        return ImageBatches(read, self.labels, batch_size, shuffle, seed, augment, mix, len(self.class_names), workers)


@dataclass(frozen=True)
class ImageSplits:
    """A data set divided into training, validation and test splits.

    The splits share no images and, by default, no near-duplicates, unless the data set itself defines them that way.

    Attributes:
        train, validation, test: Splits of the data set, each an `ImageSplit`.
        class_names: Names of the classes, a tuple of str in the order of the label indices.
        image_size: `(height, width)` that images are resized to, in pixels.
        resize: How to resize, as in `read_image`.
        skipped: Files that could not be read, a tuple of `SkippedFile`.
        given: Names of the splits that the data set itself defines, such as `{"test"}` for a folder with a `test`
            folder. `load_images` created all other splits.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Resize
    skipped: tuple[SkippedFile, ...] = ()
    given: frozenset[str] = frozenset()

    @property
    def multilabel(self) -> bool:
        """Return whether an image may have several labels, or none."""
        return self.train.multilabel

    def __repr__(self) -> str:
        kind = "labels, several per image" if self.multilabel else "classes"
        return (
            f"ImageSplits({len(self.class_names)} {kind}: train {len(self.train)}, validation "
            f"{len(self.validation)}, test {len(self.test)}; {len(self.skipped)} skipped)"
        )

    def folds(self, count: int = 5, seed: int = 0) -> list[tuple[ImageSplit, ImageSplit]]:
        """Return cross-validation folds over the training and validation images, without the test images.

        Args:
            count: Number of folds. Defaults to 5.
            seed: Seed for the folds. A different seed gives different folds. Defaults to 0.

        Returns:
            `count` pairs of `ImageSplit`, one for training and one for validation. Each training or validation image is
            in the validation split of exactly one pair. Folds are stratified as evenly as possible without splitting a
            group, so no group is in both splits of a pair.

        Raises:
            InputError: A class has fewer images than there are folds.

        Example:

        >>> import tlkeras
        >>> [len(validation) for train, validation in tlkeras.load_images("data/clipart10").folds(3)]
        [114, 114, 114]
        """
        both = self.train.join(self.validation)
        smallest = int(both.counts().min())
        check_integer("count", count, 2, max(smallest, 2), f"The smallest class has {smallest} images.")
        held_out = deal_folds(both.labels, both.groups, count, seed)
        return [(both.take(np.setdiff1d(np.arange(len(both)), one)), both.take(one)) for one in held_out]
