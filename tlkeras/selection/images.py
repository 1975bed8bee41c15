"""Load the images that are used to choose a backbone, a block and a strategy."""

import os

import numpy as np

from tlkeras.data.dataset import ImageSplit, ImageSplits
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError
from tlkeras.utils.validation import invalid

#: Largest number of images to compare candidates on. With more, differences have a standard error below 0.01 anyway.
MOST_IMAGES = 5000


def images_to_choose_on(images, seed=0) -> tuple[ImageSplit, tuple]:
    """Load the images that may be used for model selection: all except test images.

    Args:
        images: A source for `load_images`, whose test split, if it defines one, is ignored; an `ImageSplits`, whose
            training and validation images are used; or an `ImageSplit`, used as a whole.
        seed: Seed for the random subset that is taken if there are more than `MOST_IMAGES` images.

    Returns:
        `(split, skipped)`: the images, and a tuple of unreadable files.

    Raises:
        InputError: There are no images other than test images, there is only one class, or a class has fewer than two
            distinct images.
    """
    skipped = ()
    if isinstance(images, str | os.PathLike):
        images = load_images(images, validation_size=0, test_size=0)
    if isinstance(images, ImageSplits):
        skipped, images = images.skipped, images.train.join(images.validation)
    if not isinstance(images, ImageSplit):
        raise invalid(
            "images", images, "be a folder with one subfolder per class, or the result of `tlkeras.load_images`"
        )
    _check_distinct(images)
    if len(images) > MOST_IMAGES:
        chosen = np.random.default_rng(seed).choice(len(images), MOST_IMAGES, replace=False)
        images = images.take(np.sort(chosen))
    return images, skipped


def _check_distinct(images):
    """Raise an error if a class cannot be both learned and held out."""
    labels = images.labels if images.multilabel else np.eye(len(images.class_names))[images.labels]
    for name, column in zip(images.class_names, labels.T, strict=True):
        distinct = len(np.unique(images.groups[column > 0]))
        if distinct < 2:
            count = int(column.sum())
            raise InputError(
                f"Class {name!r} must have at least 2 distinct images. Received: {count} "
                f"{'image' if count == 1 else 'images'}, {distinct} distinct. Add images, or remove the class."
            )
