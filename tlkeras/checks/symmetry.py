"""Measuring whether a symmetry holds: does a probe still know the images when they are flipped or turned?"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tlkeras.checks.suspects import pooled_features, quick_probe
from tlkeras.data.dataset import ImageSplit
from tlkeras.errors import InputError
from tlkeras.utils.validation import shown

SYMMETRIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "horizontal_flip": lambda images: images[:, :, ::-1],
    "vertical_flip": lambda images: images[:, ::-1],
    "half_turn": lambda images: images[:, ::-1, ::-1],
    "quarter_turn": lambda images: np.rot90(images, axes=(1, 2)),
}


@dataclass(frozen=True)
class Symmetry:
    """What `check_symmetry` measured for one symmetry.

    Attributes:
        name: `"horizontal_flip"`, `"vertical_flip"`, `"half_turn"` or `"quarter_turn"`.
        accuracy: of the probe on the images as they are.
        accuracy_changed: of the same probe on the same images, flipped or turned.
        standard_error: of the difference of the two, from the images' paired answers.
        verdict: `"safe"`: a loss of more than the tolerance is ruled out (two standard errors); `"unsafe"`: there
            is a loss; `"undecided"`: too few images to tell.
    """

    name: str
    accuracy: float
    accuracy_changed: float
    standard_error: float
    verdict: str

    def __str__(self) -> str:
        change = self.accuracy_changed - self.accuracy
        return (
            f"{self.name}: {self.accuracy:.3f} -> {self.accuracy_changed:.3f} "
            f"({change:+.3f} +- {self.standard_error:.3f}): {self.verdict}"
        )


def check_symmetry(
    train: ImageSplit,
    validation: ImageSplit,
    backbone: str | Callable[[np.ndarray], np.ndarray] = "efficientnet_lite0",
    symmetries: tuple[str, ...] = ("horizontal_flip", "vertical_flip"),
    tolerance: float = 0.05,
) -> list[Symmetry]:
    """Measures whether flips and turns leave recognizable what an image shows.

    A linear probe is fitted to features of the training images as they are, and scored on the validation images as
    they are and changed. Where the change costs much accuracy, the labels depend on the direction, or the backbone
    does: in both cases augmenting by it is a risk. A symmetry that holds for the features need not hold for the
    labels of a finer task, so the policy's reason still has to convince.

    Args:
        train: images the probe is fitted to.
        validation: images it is scored on.
        backbone: name of a pretrained backbone, or a function from pixels `(n, height, width, 3)` in [0, 255] to
            features `(n, d)`.
        symmetries: which to measure: `"horizontal_flip"`, `"vertical_flip"`, `"half_turn"`, `"quarter_turn"`.
        tolerance: loss of accuracy that would still be called safe.

    Returns:
        One `Symmetry` for each of `symmetries`.

    Raises:
        InputError: what is given is no split, an unknown symmetry, or quarter turns of images that are not square.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", image_size=(32, 32))
    >>> means = lambda pixels: pixels.mean(axis=(1, 2))  # the mean color does not change in a mirror
    >>> print(tlkeras.check_symmetry(images.train, images.validation, means, ("horizontal_flip",))[0])
    horizontal_flip: 0.200 -> 0.200 (+0.000 +- 0.000): safe
    """
    unknown = [name for name in symmetries if name not in SYMMETRIES]
    if unknown:
        raise InputError(f"symmetries are {', '.join(SYMMETRIES)}. Received: {unknown[0]!r}.")
    for name, one in (("train", train), ("validation", validation)):
        if not isinstance(one, ImageSplit):
            raise InputError(f"{name} is a split of tlkeras.load_images. Received: {name}={shown(one)}")
    height, width = train.image_size
    if "quarter_turn" in symmetries and height != width:
        raise InputError(f"Quarter turns need square images. Received: image_size={train.image_size}.")
    features = pooled_features(backbone, train.image_size)
    probe = quick_probe()
    with threadpool_limits(1, user_api="blas"):  # faster for matrices this small
        probe.fit(np.asarray(features(train.read()), "float64"), train.labels)
    images = validation.read()
    right = probe.predict(features(images)) == validation.labels

    results = []
    for name in symmetries:
        changed = probe.predict(features(np.ascontiguousarray(SYMMETRIES[name](images)))) == validation.labels
        difference = changed.astype(float) - right
        error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
        change = float(difference.mean())
        verdict = "undecided"
        if change + 2 * error < 0:
            verdict = "unsafe"
        elif change - 2 * error >= -tolerance:
            verdict = "safe"
        results.append(Symmetry(name, float(right.mean()), float(changed.mean()), error, verdict))
    return results
