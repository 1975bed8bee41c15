"""The data from which the report of a run is rendered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Part:
    """One split of the data.

    Attributes:
        name: `"train"`, `"validation"` or `"test"`.
        counts: Number of images per class, int array of shape `(classes,)`.
        images: Number of images in the split.
        given: Whether the data set itself defines the split.
    """

    name: str
    counts: np.ndarray
    images: int
    given: bool = False


@dataclass(frozen=True)
class Facts:
    """All data that a report shows.

    Attributes:
        name: Title, such as the name of the run's folder.
        class_names: Class names, in index order.
        metrics: Contents of the run's `metrics.json`.
        paths: Paths or names of the measured images.
        labels: Labels of the measured images, int array of shape `(images,)`, or 0s and 1s of shape `(images, classes)`
            if an image may have several labels.
        probabilities: Predicted probabilities, from models that were not trained on the measured images, float array of
            shape `(images, classes)`.
        thresholds: Probability threshold of each label, or None if each image has exactly one class.
        features: Features of the measured images, array of shape `(images, features)`, or None.
        events: Events of the run's log.
        parts: Splits of the data, a sequence of `Part`.
        near_duplicates: Number of images that have a near-duplicate or belong to a group.
        command: Command or Python call that reproduces the run.
        read: Function that maps indices of measured images to the images' pixels, uint8 of shape `(n, height, width,
            3)`, or None.
        explain: Function that maps pixels and class indices to activation maps, or None.
        files: Dict that maps the names of the run's files to their sizes in bytes.
        notes: Sentences on the reliability of the predictions.
    """

    name: str
    class_names: Sequence[str]
    metrics: Mapping
    paths: Sequence[str]
    labels: np.ndarray
    probabilities: np.ndarray
    thresholds: Sequence[float] | None = None
    features: np.ndarray | None = None
    events: Sequence[Mapping] = ()
    parts: Sequence[Part] = ()
    near_duplicates: int = 0
    command: str = ""
    read: Callable[[np.ndarray], np.ndarray] | None = None
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def multilabel(self):
        """Whether an image may have several labels."""
        return self.thresholds is not None

    @property
    def scores(self):
        """The scores in `metrics`."""
        return self.metrics["scores"]

    @cached_property
    def decided(self):
        """The predictions: class indices of shape `(images,)`, or booleans of shape `(images, classes)`."""
        if self.multilabel:
            return self.probabilities >= np.asarray(self.thresholds)
        return self.probabilities.argmax(axis=1)

    @cached_property
    def right(self):
        """Whether each prediction is correct, bool `(images,)`. With several labels per image, all must be correct."""
        if self.multilabel:
            return (self.decided == (self.labels > 0.5)).all(axis=1)
        return self.decided == self.labels
