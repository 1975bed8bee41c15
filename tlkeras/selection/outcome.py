"""The task of a strategy, and its result: a model, and the predictions from which its accuracy is computed."""

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

#: Largest number of images for which the features strategy cross-validates. With more, a held-out fifth is enough: its
#: standard error is below 0.016, and five times as many regressions on thousands of images take minutes.
MOST_TO_CROSS_VALIDATE = 5000


@dataclass(frozen=True)
class Task:
    """Images to train on, and the training options.

    Attributes:
        images: `ImageSplits` to train and evaluate on.
        backbone: Name of the backbone.
        probe: Classifier on frozen features: `"logistic"` or `"lda"`, as in `tlkeras.linear_probe`.
        calibrate: Whether to provide predictions for fitting a temperature.
        reject: Whether to fit a rejector for images of unknown classes.
        block: Name of the block that a probe reads, or names of several blocks; None for the output of the backbone.
        tapped: `Tapped` that has already computed the features of all blocks for most images, or None.
        flips: Names of the flips over which predictions are averaged, for comparison with those for unflipped images;
            see `tlkeras.selection.flips`.
        refit: Whether the delivered model is trained on all images once the accuracy has been measured.
        cross_validate: Whether a probe may be measured by cross-validation over all images; False if some of the images
            were used to choose the block or the kind of probe.
        class_weight: None, or `"balanced"` to give all classes the same total weight.
        epochs: Number of epochs of fine-tuning.
        domain: Domain of the images, for augmentation in fine-tuning, or None for no augmentation.
        minutes: Maximum duration of fine-tuning, or None for no limit.
        smaller_sides: Side lengths in pixels that images may be resized to if fine-tuning would otherwise take too
            long.
        callbacks: Keras callbacks for fine-tuning.
        cache: Cache of features, as in `FeatureExtractor`.
        checkpoint: Folder for checkpoints from which fine-tuning resumes, or None.
        seed: Seed for all random choices.
        on_event: Function called with a dict for each event (a phase or an epoch), or None.
        verbose: Whether to show progress on stderr.
    """

    images: ImageSplits
    backbone: str = "efficientnet_lite0"
    probe: str = "logistic"
    calibrate: bool = False
    reject: bool = False
    block: str | tuple[str, ...] | None = None
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
        """The images that the delivered model may train on: all except a test split that the data set defines."""
        images = self.images
        made = [] if "test" in images.given else [images.test]
        return images.train.join(images.validation, *made)

    def report(self, phase: str, seconds: float, images: int | None = None, **details) -> None:
        """Report the end of a phase to `on_event` and, if `verbose`, to stderr."""
        if images is not None:
            details = {"images": images, "images_per_second": round(images / max(seconds, 1e-9), 1), **details}
        if self.verbose:
            shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in details.items()}
            words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown.items())
            print(f"{phase:<12} {seconds:7.1f} s  {words}", file=sys.stderr)
        if self.on_event is not None:
            self.on_event({"phase": phase, "seconds": seconds, **details})


@dataclass(frozen=True)
class Measured:
    """Predictions for images, made by models that were not trained on these images.

    Attributes:
        images: The `ImageSplit` to which the predictions belong.
        probabilities: Array of shape `(images, classes)`.
        by: `"cross-validation"`, `"held-out images"` (if the model was refitted, it has since been trained on these
            images) or `"test images"` (never used for training).
        features: Array of shape `(images, features)`: the inputs of the head, for a map of the images; None if the
            features are not known.
        flipped: Probabilities from the same models, averaged over each image and its flips, or None.
    """

    images: ImageSplit
    probabilities: np.ndarray
    by: Literal["cross-validation", "held-out images", "test images"]
    features: np.ndarray | None = None
    flipped: np.ndarray | None = None


@dataclass
class Trained:
    """A classifier, and a record of its training.

    Attributes:
        model: `keras.Model` that maps raw pixels to class probabilities.
        measured: `Measured` predictions from which the accuracy is computed.
        learned: `ImageSplit` that the model was trained on.
        choices: Dict of the strategy's decisions, such as the C of a logistic regression.
        seconds: Dict that maps each phase to its duration in seconds.
        rejector: `tlkeras.Rejector`, or None.
        calibration: `Measured` predictions used to fit the temperature; None to use `measured`.
    """

    model: "keras.Model"
    measured: Measured
    learned: ImageSplit
    choices: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    rejector: "Rejector | None" = None
    calibration: Measured | None = None


def right(probabilities, labels):
    """Return a score per prediction, float64 `(images,)`: 1 or 0; for several labels, the fraction that is correct."""
    if labels.ndim == 2:
        return ((probabilities >= 0.5) == (labels >= 0.5)).mean(axis=1)
    return (probabilities.argmax(axis=1) == labels).astype("float64")
