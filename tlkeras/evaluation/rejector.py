"""Detect images of unknown classes by the distance of their features from the features of known images."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.utils.files import file_written_whole

_ARRAYS = ("center", "scale", "references", "distances")


@dataclass(frozen=True)
class HeldOutClass:
    """Results for one class that was left out when fitting and then treated as unknown.

    Attributes:
        name: Name of the class, str.
        images: Number of images of the class.
        caught: Fraction of these images that are called unknown.
        auroc: Area under the ROC curve: the probability that a random image of this class is farther from the known
            images than a random known image is.
    """

    name: str
    images: int
    caught: float
    auroc: float


@dataclass(frozen=True)
class RejectionReport:
    """Detection results for unknown classes, measured by leaving out one class at a time.

    Attributes:
        false_alarms: Target false-alarm rate: the fraction of images of known classes that are called unknown.
        caught: Fraction of images called unknown, averaged over the left-out classes.
        standard_error: Standard error of `caught` over classes.
        auroc: Area under the ROC curve, averaged over the left-out classes; 0.5 is chance.
        images: Number of images of known classes.
        classes: A `HeldOutClass` for each class.
    """

    false_alarms: float
    caught: float
    standard_error: float
    auroc: float
    images: int
    classes: tuple[HeldOutClass, ...] = field(repr=False)

    def to_dict(self) -> dict:
        """Return the report as plain numbers, lists and dicts, ready for JSON."""
        return asdict(self) | {"classes": [asdict(one) for one in self.classes]}


@dataclass(frozen=True, eq=False)
class Rejector:
    """A detector for images of unknown classes, based on features of a network; see `tlkeras.fit_rejection`.

    The distance of an image is its cosine distance from the nearest known image. The unknown score of an image is the
    fraction of known images that have a smaller distance from their own nearest known image. An image with a score of
    0.99 is farther from its nearest known image than 99% of the known images are from theirs.

    Attributes:
        false_alarms: Target false-alarm rate: the fraction of images of known classes that are called unknown.
        center: float32 array of shape `(features,)`: mean of the signed square roots of the features.
        scale: float32 array of shape `(features,)`: standard deviations of these square roots, none below a tenth of
            the median.
        references: float32 array of shape `(images, features)`: features of known images, standardized and scaled to
            length 1.
        distances: float32 array of shape `(images,)`: distance of each known image from the nearest known image in a
            different group, in ascending order.
        report: `RejectionReport`, measured by leaving out one class at a time.

    Example:

    >>> from sklearn.datasets import load_digits
    >>> import tlkeras
    >>> X, y = load_digits(return_X_y=True)
    >>> rejector = tlkeras.fit_rejection(X[y < 5], y[y < 5])
    >>> bool(rejector.is_unknown(X[y == 7]).mean() > 0.5)
    True
    """

    false_alarms: float
    center: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    references: np.ndarray = field(repr=False)
    distances: np.ndarray = field(repr=False)
    report: RejectionReport | None = None

    @property
    def features(self) -> int:
        """The number of features per image."""
        return len(self.center)

    def unknown_scores(self, features: np.ndarray) -> np.ndarray:
        """Score images: near 0 for images close to a known image, near 1 for images far from all known images.

        Args:
            features: Array of shape `(images, features)`.

        Returns:
            float64 array of shape `(images,)`, in [0, 1): one minus the conformal p-value, where the image itself
            counts as one of the known images. Of new images of known classes, a fraction of about `false_alarms` has a
            score of at least `1 - false_alarms`.

        Raises:
            InputError: `features` has the wrong shape.

        References: Barber et al., 2021, https://doi.org/10.1214/20-AOS1965 (distances that leave out the image itself);
        Bates et al., 2023, https://doi.org/10.1214/22-AOS2244
        """
        nearer = np.searchsorted(self.distances, self.measure(features), side="left")
        return nearer / (len(self.distances) + 1)

    def is_unknown(self, features: np.ndarray) -> np.ndarray:
        """Determine which images belong to none of the known classes.

        Args:
            features: Array of shape `(images, features)`.

        Returns:
            bool array of shape `(images,)`.
        """
        return self.exceeds(self.unknown_scores(features))

    @property
    def threshold(self) -> float:
        """The unknown score at or above which an image is called unknown."""
        return 1 - self.false_alarms - 1e-6  # scores may be float32

    def exceeds(self, scores: np.ndarray) -> np.ndarray:
        """Determine which unknown scores are high enough to predict `"unknown"`."""
        return np.asarray(scores) >= self.threshold

    def measure(self, features: np.ndarray) -> np.ndarray:
        """Compute the distance of each image from the nearest known image, float32 `(images,)`."""
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != self.features:
            raise InputError(
                f"`features` must have the shape (images, {self.features}) and come from the network whose features "
                f"the rejector was fitted on. Received: shape {features.shape}."
            )
        return 1 - (embed(features, self.center, self.scale) @ self.references.T).max(axis=1)

    def save(self, path: str | os.PathLike) -> None:
        """Write an `.npz` file that can be opened with NumPy alone.

        Args:
            path: File to write; it appears only when it is complete.
        """
        report = None if self.report is None else self.report.to_dict()
        about = {"false_alarms": self.false_alarms, "report": report}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with file_written_whole(Path(path)) as part, part.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Rejector":
        """Read a file written by `save`.

        Raises:
            InputError: The file is missing or damaged, is not a rejector, or was written by a version that computed the
                scores in a different way.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                other = {"folds", "matrix"} & set(file.files)  # distances from parts of the known images
                if other:
                    raise ValueError(
                        "it was written by an earlier version of tlkeras, whose scores had a different meaning"
                    )
                about, arrays = json.loads(str(file["about"])), {name: file[name] for name in _ARRAYS}
            report = about["report"]
            if report is not None:
                classes = tuple(HeldOutClass(**one) for one in report["classes"])
                report = RejectionReport(**{**report, "classes": classes})
            return cls(about["false_alarms"], **arrays, report=report)
        except Exception as error:  # zipfile, json and NumPy raise different errors for a damaged file
            raise InputError(
                f"{os.fspath(path)!r} cannot be read as a rejector: {first_line(error)}. Fit the rejector "
                "again with `tlkeras fit --reject` or `tlkeras.fit_rejection`."
            ) from error


def embed(features: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardize the signed square roots of features, and scale each row to length 1.

    Square roots reduce the influence of the few features with very large values, so every feature contributes.

    Returns:
        float32 array with the shape of `features`.
    """
    return unit((signed_root(features) - center) / scale)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale each row to Euclidean length 1; a row of zeros does not change."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))


def signed_root(features: np.ndarray) -> np.ndarray:
    """Return the square root of each absolute value with the sign of the value, in float32."""
    features = np.asarray(features, "float32")
    return np.sign(features) * np.sqrt(np.abs(features))
