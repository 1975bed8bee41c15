"""What a strategy is asked to do, and what it delivers: a model and the predictions that its number comes from."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlkeras.data.dataset import ImageSplit, ImageSplits

if TYPE_CHECKING:
    import keras

    from tlkeras.evaluation.rejector import Rejector
    from tlkeras.selection.candidates import Tapped

#: Images up to which the features strategy cross-validates. Beyond, a fifth held out is enough: its standard error is
#: below 0.016, and five times as many regressions of thousands of images take minutes.
MOST_TO_CROSS_VALIDATE = 5000


@dataclass(frozen=True)
class Task:
    """Images to learn from and how to learn.

    Attributes:
        images: `ImageSplits`.
        backbone: Name of the backbone.
        probe: Classifier on frozen features: `"logistic"` or `"lda"`, as in `tlkeras.linear_probe`.
        calibrate: Whether a temperature will be chosen, so predictions to choose it by are needed.
        reject: Whether to fit a rejector of images of unknown classes.
        block: Name of the block whose output a probe reads; None for the output of the backbone.
        tapped: `Tapped` that has computed the features of all blocks of most images already, or None.
        flips: Names of flips to average predictions over, for comparison; see `tlkeras.selection.flips`.
        refit: Whether the delivered model learns from all images, once the number is known.
        cross_validate: Whether a probe may be measured by cross-validation over all images; False where some of them
            have chosen the block or the kind of probe.
        class_weight: None or `"balanced"`.
        epochs: Epochs of fine-tuning.
        domain: What the images are, for augmentation in fine-tuning, or None for no augmentation.
        minutes: Time that fine-tuning may take, or None for no limit.
        smaller_sides: Sides in pixels that images may be resized to where fine-tuning takes too long.
        callbacks: Keras callbacks for fine-tuning.
        cache: Where features are kept, as in `FeatureExtractor`.
        checkpoint: Folder for what fine-tuning resumes from, or None.
        seed: Seed of all that is random.
        on_event: Function called with a dict per event (a phase or an epoch), or None.
        verbose: Whether to show progress on stderr.
    """

    images: ImageSplits
    backbone: str = "efficientnet_lite0"
    probe: str = "logistic"
    calibrate: bool = False
    reject: bool = False
    block: str | None = None
    tapped: "Tapped | None" = None
    flips: tuple[str, ...] = ()
    refit: bool = True
    cross_validate: bool = True
    class_weight: str | None = None
    epochs: int = 4
    domain: str | None = None
    minutes: float | None = None
    smaller_sides: tuple[int, ...] = ()
    callbacks: Sequence[Any] = ()
    cache: bool | Path = True
    checkpoint: Path | None = None
    seed: int = 0
    on_event: Callable[[dict], None] | None = None
    verbose: bool = False

    @property
    def learnable(self) -> ImageSplit:
        """The images that the delivered model may learn from: all but a test split that the data set defines."""
        images = self.images
        made = [] if "test" in images.given else [images.test]
        return images.train.join(images.validation, *made)

    def report(self, phase: str, seconds: float, images: int | None = None, **details) -> None:
        """Report the end of a phase, on stderr if `verbose` and to `on_event`."""
        if images is not None:
            details = {"images": images, "images_per_second": round(images / max(seconds, 1e-9), 1), **details}
        if self.verbose:
            words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items())
            print(f"{phase:<12} {seconds:7.1f} s  {words}", file=sys.stderr)
        if self.on_event is not None:
            self.on_event({"phase": phase, "seconds": seconds, **details})


@dataclass(frozen=True)
class Measured:
    """Predictions of images by models that had not seen them.

    Attributes:
        images: `ImageSplit` that was predicted.
        probabilities: Array of shape `(images, classes)`.
        by: `"cross-validation"`, `"held-out images"` (the delivered model has learned from them since, if it was
            refitted) or `"test images"` (never learned from).
        features: Array of shape `(images, features)`: the inputs of the head that answered, for a map of the images;
            None if they are not known.
        flipped: Probabilities by the same models, averaged over each image and its flips, or None.
    """

    images: ImageSplit
    probabilities: np.ndarray
    by: Literal["cross-validation", "held-out images", "test images"]
    features: np.ndarray | None = None
    flipped: np.ndarray | None = None


@dataclass
class Trained:
    """A classifier, and how it was trained.

    Attributes:
        model: `keras.Model` from raw pixels to class probabilities.
        measured: `Measured`: what the honest number is computed from.
        learned: `ImageSplit` that the model has learned from.
        choices: Dict of what the strategy decided on the way, such as the C of a logistic regression.
        seconds: Dict of the time that each phase took.
        rejector: `tlkeras.Rejector`, or None.
        calibration: `Measured` to choose a temperature by; None where that is `measured`.
    """

    model: "keras.Model"
    measured: Measured
    learned: ImageSplit
    choices: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    rejector: "Rejector | None" = None
    calibration: Measured | None = None


def right(probabilities, labels):
    """Score each prediction: float64 of shape `(images,)`; with several labels per image, the share of correct ones."""
    if labels.ndim == 2:
        return ((probabilities >= 0.5) == (labels >= 0.5)).mean(axis=1)
    return (probabilities.argmax(axis=1) == labels).astype("float64")
