"""Choose the images to label next: typical images in the first round, images with a small margin in later rounds."""

import csv
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize

from tlkeras.adaptation.unlabeled import refuse_unreadable, unlabeled_images
from tlkeras.data.labels import is_missing
from tlkeras.errors import InputError
from tlkeras.evaluation.sheets import contact_sheet
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.pipelines.probe import linear_probe
from tlkeras.utils.files import check_folder, file_written_whole
from tlkeras.utils.validation import check_integer, invalid

#: Number of dimensions to cluster images in; much faster than using all of them, with little loss.
_DIMENSIONS = 64

#: Number of neighbors whose distance measures how typical an image is, as in the paper.
_NEIGHBORS = 20


@dataclass(frozen=True)
class LabelOrder:
    """The result of `tlkeras.label_order`: images in the order in which to label them.

    Attributes:
        order: int64 array of shape `(count,)`: indices of unlabeled images, the most useful first.
        paths: str array of shape `(images,)`: paths of all images passed to `label_order`.
        labels: object array of shape `(images,)`: the labels so far, with None for unlabeled images.
        sources: All images, in a form that `tlkeras.read_image` accepts.
        reason: A phrase that says how the images were chosen.
    """

    order: np.ndarray
    paths: np.ndarray
    labels: np.ndarray
    sources: Sequence[Any]
    reason: str

    def __len__(self) -> int:
        return len(self.order)

    def __str__(self) -> str:
        known = sum(label is not None for label in self.labels)
        return f"{len(self.order)} of {len(self.paths) - known} unlabeled images, in this order: {self.reason}."

    def contact_sheet(self, count: int = 20) -> Image.Image:
        """Draw the first images with their file names.

        Args:
            count: Number of images to draw. Defaults to 20.

        Raises:
            ImageError: An image cannot be read.
        """
        first = self.order[: check_integer("count", count, minimum=1)]
        names = [f"{rank}. {Path(self.paths[one]).name}" for rank, one in enumerate(first, 1)]
        return contact_sheet([self.sources[one] for one in first], names, columns=5, title="Label these first")

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a table with the columns `path` and `label`: labeled images first, then the images to label.

        Pass the filled-in table to `tlkeras.fit(path)`; rows without a label are ignored. Paths are relative to the
        folder of the table if possible.

        Args:
            path: Path of the CSV file to write.

        Raises:
            InputError: The file cannot be written.
        """
        path = Path(path)
        check_folder(path.parent)
        known = [one for one, label in enumerate(self.labels) if label is not None]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with file_written_whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["path", "label"])
                for one in [*known, *self.order]:
                    writer.writerow([_relative(self.paths[one], path.parent), self.labels[one] or ""])
        except OSError as error:
            raise InputError(f"{str(path)!r} cannot be written: {error.strerror}.") from error


def label_order(
    unlabeled: Any,
    model_or_features: str | keras.Model | np.ndarray = "efficientnet_lite0",
    *,
    labels: Sequence[Any] | str | os.PathLike | None = None,
    count: int | None = None,
    seed: int = 0,
) -> LabelOrder:
    """Order images by how useful their labels would be.

    Without labels, the images are clustered, and the most typical image of each cluster is returned, starting with the
    largest cluster. With labels for at least two classes, a probe is fitted to the labeled images. The images with the
    smallest margin between the probe's two most probable classes are then returned, one per cluster, so that they are
    not all alike. Label the first few images in the result, then call the function again with all labels so far.

    Args:
        unlabeled: Images, with or without labels: a folder (subfolder names are ignored); paths; pixels; or a split
            from `tlkeras.load_images`.
        model_or_features: Name of a backbone, or a Keras model, whose features determine which images are alike; or the
            features themselves, of shape `(images, features)`. Defaults to the backbone that is installed with tlkeras.
        labels: Labels so far: one per image, with None or an empty string for unlabeled images; or the filled-in table
            from `to_csv`. Defaults to None.
        count: Number of images to return. Defaults to 100, or all if there are fewer.
        seed: Seed for the clustering. Defaults to 0.

    Returns:
        `LabelOrder`, with `order`, `contact_sheet()` and `to_csv(path)`.

    Raises:
        InputError: An image cannot be read, or an argument is invalid.

    Example:

    >>> import numpy as np
    >>> features = np.repeat(np.eye(3), [50, 30, 20], axis=0) + np.random.default_rng(0).normal(0, 0.01, (100, 3))
    >>> paths = [f"{number}.jpg" for number in range(100)]
    >>> label_order(paths, features, count=3).order // 10 < [5, 8, 10]
    array([ True,  True,  True])

    References: Hacohen et al., 2022, https://arxiv.org/abs/2202.02794 (typical images first); Citovsky et al., 2021,
    https://arxiv.org/abs/2107.14263 (margins within clusters).
    """
    images = unlabeled_images(unlabeled)
    features = _features(images, model_or_features)
    known = _known_labels(labels, images.paths)
    open_rows = np.flatnonzero([label is None for label in known])
    if not len(open_rows):
        raise InputError("`labels` must be missing for some images. Received: a label for every image.")
    count = min(check_integer("count", 100 if count is None else count, minimum=1), len(open_rows))
    names = {label for label in known if label is not None}
    if len(names) < 2:
        order = typical_first(features[open_rows], count, seed)
        reason = "the most typical image of each cluster, large clusters first"
    else:
        rows = np.flatnonzero([label is not None for label in known])
        margins = _margins(features[rows], [str(known[row]) for row in rows], features[open_rows])
        order = undecided_first(features[open_rows], margins, count, seed)
        reason = f"the ones that a probe trained on {len(rows)} labels is least sure of, one per cluster"
    return LabelOrder(open_rows[order], images.paths, known, images.sources, reason)


def typical_first(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the most typical row of each of `count` clusters, starting with the largest cluster.

    Args:
        features: Array of shape `(images, features)`.
        count: Number of clusters.
        seed: Seed for the clustering.
    """
    points = _reduced(features, seed)
    clusters = _clusters(points, count, seed)
    sizes = np.bincount(clusters, minlength=count)
    chosen = []
    for cluster in np.argsort(-sizes, kind="stable"):
        rows = np.flatnonzero(clusters == cluster)
        if len(rows):
            apart = np.linalg.norm(points[rows][:, None] - points[rows][None], axis=-1)
            nearest = np.sort(apart, axis=1)[:, 1 : _NEIGHBORS + 1]
            chosen.append(rows[nearest.mean(axis=1).argmin() if len(rows) > 2 else 0])
    return _filled(chosen, count, len(features), seed)


def undecided_first(features: np.ndarray, margins: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the row with the smallest margin from each of `count` clusters, in ascending order of margin.

    Args:
        features: Array of shape `(images, features)`.
        margins: Array of shape `(images,)`: the highest probability minus the second highest.
        count: Number of clusters.
        seed: Seed for the clustering.
    """
    clusters = _clusters(_reduced(features, seed), count, seed)
    chosen = [
        rows[margins[rows].argmin()] for rows in map(np.flatnonzero, clusters == np.arange(count)[:, None]) if len(rows)
    ]
    return _filled(sorted(chosen, key=lambda row: margins[row]), count, len(features), seed)


def _reduced(features, seed):
    """Scale rows to length 1 and reduce them to fewer dimensions."""
    unit = normalize(features)
    dimensions = min(_DIMENSIONS, *unit.shape)
    return PCA(dimensions, random_state=seed).fit_transform(unit) if dimensions < unit.shape[1] else unit


def _clusters(points, count, seed):
    """Return the cluster of each row; duplicate images may leave some clusters empty."""
    if count >= len(points):
        return np.arange(len(points))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(count, n_init=1, random_state=seed).fit_predict(points)


def _filled(chosen, count, images, seed):
    """Add random rows if duplicate images left some clusters empty."""
    rest = np.setdiff1d(np.random.default_rng(seed).permutation(images), chosen)
    return np.array([*chosen, *rest[: count - len(chosen)]], "int64")


def _margins(features, labels, others):
    """Compute a probe's margins, of shape `(images,)`: the highest probability minus the second highest."""
    probabilities = np.sort(linear_probe(features, labels, estimator="lda").predict_proba(others), axis=1)
    return probabilities[:, -1] - probabilities[:, -2]


def _features(images, model_or_features):
    """Return the features of all images."""
    if isinstance(model_or_features, str | keras.Model):
        extraction = FeatureExtractor(model_or_features).extract(list(images.sources))
        refuse_unreadable(extraction.unreadable, len(images))
        return extraction.features
    features = np.asarray(model_or_features)
    if features.ndim != 2 or features.dtype.kind not in "iuf" or not np.isfinite(features).all():
        raise invalid(
            "model_or_features",
            model_or_features,
            "be the name of a backbone, a Keras model, or finite features with one row per image",
        )
    if len(features) != len(images):
        raise InputError(
            f"`model_or_features` must have one row per image. Received: {len(features)} rows for {len(images)} images."
        )
    return features.astype("float64")


def _known_labels(labels, paths):
    """Return one label per image, None for unlabeled images."""
    if labels is None:
        return np.full(len(paths), None, object)
    if isinstance(labels, str | os.PathLike):
        labels = _labels_in(Path(labels), paths)
    if len(labels) != len(paths):
        raise InputError(
            f"`labels` must have one entry per image. Received: {len(labels)} entries for {len(paths)} images."
        )
    known = np.full(len(paths), None, object)
    for row, label in enumerate(labels):
        known[row] = None if is_missing(label) else label
    return known


def _labels_in(table, paths):
    """Read the labels from a table written by `to_csv`."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["path"], row["label"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"`labels` must be a table with the columns path and label. Received: {str(table)!r}: {error!r}."
        ) from error
    given = {os.path.realpath(table.parent / path): label for path, label in rows}
    return [given.get(os.path.realpath(path)) for path in paths]


def _relative(path, folder):
    """Make a path relative to a folder if the folder contains it."""
    path, folder = Path(path).absolute(), Path(folder).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
