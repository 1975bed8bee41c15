"""A data set of images in training, validation and test splits, and how batches of it are read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from tlkeras.data.batches import ImageBatches
from tlkeras.data.reading import Resize, read_images
from tlkeras.errors import InputError


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
        paths: str array of shape `(images,)`; names, where the images are not files.
        labels: int64 array of shape `(images,)`, indices into `class_names`.
        class_names: tuple of str, shared by all splits of a data set.
        image_size: `(height, width)` in pixels that the images are brought to.
        resize: how: `"stretch"`, `"crop"` or `"pad"`, as in `read_image`.
        groups: int64 array of shape `(images,)`: images with equal numbers are near-duplicates, or belong together
            by the `groups` given to `load_images`.
        sources: array of shape `(images,)` of what `read_images` takes: the paths, or the images' content.
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
        return f"ImageSplit({len(self)} images, {len(self.class_names)} classes)"

    def read(self, workers: int | None = None) -> np.ndarray:
        """Reads all images, uint8 array of shape `(images, height, width, 3)`."""
        return read_images(self.sources, self.image_size, self.resize, workers)

    def take(self, indices: np.ndarray) -> "ImageSplit":
        """Gives the split of only these images, in this order: for subsets and cross-validation.

        Args:
            indices: integers, or for each image whether to take it.

        Raises:
            InputError: they are neither.

        Example:

        >>> import tlkeras
        >>> train = tlkeras.load_images("data/clipart10").train
        >>> len(train.take([0, 5, 7])), len(train.take(train.labels == 0))
        (3, 21)
        """
        indices = np.atleast_1d(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "biu"):
            raise InputError(
                "take wants the numbers of images, or for each image whether to take it. "
                f"Received: shape {indices.shape}, dtype {indices.dtype}"
            )
        if indices.dtype != bool:
            indices = indices.astype("int64")
        arrays = {name: getattr(self, name)[indices] for name in ("paths", "labels", "groups", "sources")}
        return replace(self, **arrays)

    def sample(self, per_class: int, seed: int = 0) -> "ImageSplit":
        """Gives a split of at most `per_class` images a class, for learning curves.

        With one seed, a smaller sample is part of every larger one, so that a curve shows the effect of more images
        and not of other ones.

        Example:

        >>> import tlkeras
        >>> len(tlkeras.load_images("data/clipart10").train.sample(per_class=5))
        50
        """
        if not isinstance(per_class, Integral) or per_class < 1:
            raise InputError(f"per_class is a number of images, 1 or more. Received: per_class={per_class!r}.")
        order = np.random.default_rng(seed).permutation(len(self))
        chosen = [order[self.labels[order] == label][:per_class] for label in range(len(self.class_names))]
        return self.take(np.sort(np.concatenate(chosen)))

    def join(self, *others: "ImageSplit") -> "ImageSplit":
        """Return one split of these images, then those of the others.

        Args:
            others: Splits of the same data set.

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
        """Gives what `fit`, `evaluate` and `predict` take: batches of pixels and labels, read as needed.

        Args:
            batch_size: images per batch.
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
            return read_images(self.sources[indices], self.image_size, self.resize, workers=1)

        return ImageBatches(read, self.labels, batch_size, shuffle, seed, augment, mix, len(self.class_names), workers)


@dataclass(frozen=True)
class ImageSplits:
    """A data set in three parts that share no image and no near-duplicate.

    Attributes:
        train, validation, test: `ImageSplit`.
        class_names: tuple of str; the position is the label.
        skipped: tuple of `SkippedFile`: what could not be read.
        image_size: `(height, width)` in pixels that the images are brought to.
        resize: how, as in `read_image`.
        given: names of the splits that the data set itself defines, such as `{"test"}` for a folder with a `test`
            folder; the others were made by `load_images`.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: Resize
    skipped: tuple[SkippedFile, ...] = ()
    given: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return (
            f"ImageSplits({len(self.class_names)} classes: train {len(self.train)}, validation "
            f"{len(self.validation)}, test {len(self.test)}; {len(self.skipped)} skipped)"
        )

    def folds(self, count: int = 5, seed: int = 0) -> list[tuple[ImageSplit, ImageSplit]]:
        """Gives cross-validation folds over training and validation images; the test images take no part.

        Args:
            count: number of folds.
            seed: another seed gives other folds.

        Returns:
            `count` pairs of training and validation `ImageSplit`. Every image is in one validation split, folds
            are stratified as well as whole groups allow, and no group lies in both splits of a pair.

        Raises:
            InputError: a class has fewer images than there are folds.

        Example:

        >>> import tlkeras
        >>> [len(validation) for train, validation in tlkeras.load_images("data/clipart10").folds(3)]
        [114, 114, 114]
        """
        both = self.train.join(self.validation)
        smallest = int(np.bincount(both.labels, minlength=len(self.class_names)).min())
        if not (isinstance(count, Integral) and 2 <= count <= smallest):
            raise InputError(f"folds are 2 to {smallest}, the images of the smallest class. Received: {count!r}.")
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        pairs = splitter.split(both.paths, both.labels, both.groups)
        return [(both.take(train), both.take(validation)) for train, validation in pairs]
