"""Measure whether a probe still classifies images correctly when they are flipped or rotated."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlkeras.checks.backbone_features import Backbone, feature_function
from tlkeras.data.dataset import ImageSplit
from tlkeras.pipelines.probe import linear_probe
from tlkeras.utils.validation import check_choice, check_number, invalid

SYMMETRIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "horizontal_flip": lambda images: images[:, :, ::-1],
    "vertical_flip": lambda images: images[:, ::-1],
    "half_turn": lambda images: images[:, ::-1, ::-1],
    "quarter_turn": lambda images: np.rot90(images, axes=(1, 2)),
}


@dataclass(frozen=True)
class Symmetry:
    """The result of `check_symmetry` for one symmetry.

    Attributes:
        name: `"horizontal_flip"`, `"vertical_flip"`, `"half_turn"` or `"quarter_turn"`.
        accuracy: Accuracy of the probe on the unchanged images, in [0, 1].
        accuracy_changed: Accuracy of the same probe on the same images after flipping or rotating them.
        standard_error: Standard error of the difference in accuracy, computed from the paired predictions for each
            image.
        verdict: `"unsafe"` if accuracy drops by more than two standard errors, `"safe"` if a drop of more than the
            tolerance is ruled out (at two standard errors), `"undecided"` if there are too few images to decide.
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
    backbone: Backbone = "efficientnet_lite0",
    symmetries: tuple[str, ...] = ("horizontal_flip", "vertical_flip"),
    tolerance: float = 0.05,
) -> list[Symmetry]:
    """Measure whether images stay recognizable when they are flipped or rotated.

    A linear probe is fitted to features of the unchanged training images. The probe is then scored on the validation
    images, first unchanged, then flipped or rotated. If flipping or rotating reduces accuracy a lot, either the labels
    or the backbone's features depend on orientation. In either case, augmenting with this symmetry is risky. Even if
    accuracy does not drop, a flip or rotation may change the labels of a finer-grained task, so also check that the
    reason given in the augmentation policy applies.

    Args:
        train: Split to fit the probe to.
        validation: Split to score the probe on.
        backbone: Name of a pretrained backbone, a Keras model, or a function that maps pixels of shape
            `(n, height, width, 3)` in [0, 255] to features of shape `(n, d)`.
        symmetries: Symmetries to measure: `"horizontal_flip"`, `"vertical_flip"`, `"half_turn"` or `"quarter_turn"`.
        tolerance: Largest drop in accuracy that is still considered safe. Defaults to 0.05.

    Returns:
        One `Symmetry` for each of `symmetries`.

    Raises:
        InputError: `train` or `validation` is not a split, a symmetry is unknown, or images to be rotated by 90 degrees
            are not square.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", image_size=(32, 32))
    >>> means = lambda pixels: pixels.mean(axis=(1, 2))  # the mean color does not change in a mirror
    >>> print(tlkeras.check_symmetry(images.train, images.validation, means, ("horizontal_flip",))[0])
    horizontal_flip: 0.200 -> 0.200 (+0.000 +- 0.000): safe
    """
    for symmetry in symmetries:
        check_choice("symmetries", symmetry, tuple(SYMMETRIES))
    for name, split in (("train", train), ("validation", validation)):
        if not isinstance(split, ImageSplit):
            raise invalid(name, split, "be a split, such as tlkeras.load_images(folder).train")
    tolerance = check_number("tolerance", tolerance, "[0, 1]")
    height, width = train.image_size
    if "quarter_turn" in symmetries and height != width:
        raise invalid("symmetries", symmetries, "not contain 'quarter_turn' if the images are not square")
    features = feature_function(backbone, train.image_size)
    probe = linear_probe(features(train.read()), train.labels, folds=1)  # fixed regularization: only for inspection
    images = validation.read()
    right = probe.predict(features(images)) == validation.labels
    changed = (np.ascontiguousarray(SYMMETRIES[name](images)) for name in symmetries)
    return [
        _compare(name, right, probe.predict(features(pixels)) == validation.labels, tolerance)
        for name, pixels in zip(symmetries, changed, strict=True)
    ]


def _compare(name: str, right: np.ndarray, right_changed: np.ndarray, tolerance: float) -> Symmetry:
    """Judge a symmetry by comparing the predictions for each image before and after it is flipped or rotated."""
    difference = right_changed.astype(float) - right
    error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
    change = float(difference.mean())
    verdict = "undecided"
    if change + 2 * error < 0:
        verdict = "unsafe"
    elif change - 2 * error >= -tolerance:
        verdict = "safe"
    return Symmetry(name, float(right.mean()), float(right_changed.mean()), error, verdict)
