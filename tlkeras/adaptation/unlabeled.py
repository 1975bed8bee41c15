"""List and check unlabeled images, and read them in batches, for the functions in this folder."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.dataset import ImageSplit
from tlkeras.data.listing import files_within
from tlkeras.data.reading import ImageError, read_images
from tlkeras.errors import InputError
from tlkeras.features.inputs import as_images


@dataclass(frozen=True)
class Unlabeled:
    """Images without labels.

    Attributes:
        sources: Sequence of images in any form that `tlkeras.read_image` accepts.
        paths: Array of str of shape `(images,)`: paths, or `"image 17"` for an image that is not a file.
    """

    sources: Sequence[Any]
    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.sources)

    def batches(self, image_size: tuple[int, int], resize: str, size: int) -> Iterator[np.ndarray]:
        """Read the images in batches: float32 arrays of shape `(n, height, width, 3)`.

        Raises:
            ImageError: An image cannot be read.
        """
        for start in range(0, len(self), size):
            yield read_images(self.sources[start : start + size], image_size, resize).astype("float32")


def unlabeled_images(images: Any, name: str = "unlabeled") -> Unlabeled:
    """List images and ignore their labels.

    Args:
        images: A folder (all files in it and its subfolders are listed); paths; pixels of shape
            `(images, height, width, 3)`; or a split from `tlkeras.load_images`.
        name: Name of the argument, for error messages.

    Raises:
        InputError: There are no images, or `images` has none of the forms above.

    Example:

    >>> len(unlabeled_images("data/clipart10/bug"))
    36
    """
    if isinstance(images, str | os.PathLike):
        folder = Path(images)
        if not folder.is_dir():
            raise InputError(
                f"`{name}` must be an existing folder, or a sequence of images. Received: {str(images)!r}."
            )
        images = [str(folder / one) for one in files_within(folder) if not one.lower().endswith(_NO_IMAGES)]
        if not images:
            raise InputError(f"`{name}` must contain images. Received: {str(folder)!r}, a folder without images.")
    try:
        sources = as_images(images).sources
    except InputError as error:
        raise InputError(str(error).replace("`X`", f"`{name}`")) from error
    sources = sources if isinstance(sources, np.ndarray) else list(sources)
    if isinstance(images, ImageSplit):
        paths = images.paths
    else:
        paths = [
            os.fsdecode(one) if isinstance(one, str | os.PathLike) else f"image {i}" for i, one in enumerate(sources)
        ]
    if not len(sources):
        raise InputError(f"`{name}` must contain images. Received: an empty sequence.")
    return Unlabeled(sources, np.asarray(paths))


#: Files that are often stored next to images but are not images.
_NO_IMAGES = (".csv", ".md", ".txt", ".json")


def refuse_unreadable(unreadable: dict[int, ImageError], count: int) -> None:
    """Raise an error if some images cannot be read.

    Args:
        unreadable: `Extraction.unreadable`.
        count: Total number of images.

    Raises:
        InputError: At least one image cannot be read; the message names the first three.
    """
    if unreadable:
        listed = "; ".join(f"{one.path!r}: {one.reason}" for one in list(unreadable.values())[:3])
        more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        raise InputError(
            f"{len(unreadable)} of {count} images cannot be read: {listed}{more}. Remove these files and try again."
        )
