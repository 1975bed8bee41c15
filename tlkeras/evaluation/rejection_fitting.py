"""Fit a rejector, and measure how many unknown images it catches by leaving out one class at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from tlkeras.errors import InputError
from tlkeras.evaluation.rejector import HeldOutClass, RejectionReport, Rejector, signed_root, unit
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.scaling import with_floor
from tlkeras.utils.validation import check_number, invalid

#: Largest number of known images to keep, chosen at random: 50 MB for a thousand features.
MOST_KEPT = 10_000

#: Largest number of images, and of classes (the most common ones), in the report, since each class needs a fit.
MOST_MEASURED, MOST_LEFT_OUT = 2000, 20

#: Number of images to compare with all others at a time.
_ROWS = 1000


def fit_rejection(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    false_alarms: float = 0.05,
    seed: int = 0,
) -> Rejector:
    """Learn to detect images of unknown classes, using only the features of images of known classes.

    An image is called unknown if its distance from the nearest known image exceeds the `1 - false_alarms` quantile of
    such distances among the known images. The fraction of unknown images that this rule catches is measured by leaving
    out one class at a time and treating it as unknown.

    Args:
        features: Array of shape `(images, features)`, from a frozen backbone. A network that was fine-tuned on the
            known classes has discarded features that distinguish unknown classes.
        labels: Class indices or names of shape `(images,)`, with at least two classes.
        groups: Array of shape `(images,)`: group of each image, such as near-duplicates. An image is not compared with
            other images in its group. Defaults to None, which treats all images as independent.
        class_names: Names for the report, in ascending order of the labels. Defaults to None, which uses the labels
            themselves.
        false_alarms: Target false-alarm rate: the fraction of images of known classes that are called unknown. Defaults
            to 0.05.
        seed: Seed for sampling if there are more than 10,000 images. Defaults to 0.

    Returns:
        `Rejector`.

    Raises:
        InputError: The shapes of the arrays do not match, images have several labels, or there are fewer than `1 /
            false_alarms - 1` images (19 by default).

    Example:

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> fit_rejection(X, y, false_alarms=0.1).report.images
    150

    Reference: Sun et al., 2022, https://arxiv.org/abs/2204.06507
    """
    data = labeled_features(features, labels, groups)
    _check(data, class_names, false_alarms)
    names = list(map(str, data.classes.tolist() if class_names is None else class_names))
    order = np.random.default_rng(seed).permutation(len(data.labels))
    with threadpool_limits(1, user_api="blas"):
        report = _report(data, np.sort(order[:MOST_MEASURED]), names, false_alarms)
        return keep_references(data, np.sort(order[:MOST_KEPT]), false_alarms, report)


def keep_references(data, rows, false_alarms, report=None):
    """Build a rejector from some of the images.

    Args:
        data: `LabeledFeatures` of all images.
        rows: Indices of the images to keep, from at least two groups.
        false_alarms: Target fraction of known images that are called unknown.
        report: `RejectionReport` to attach, or None.
    """
    roots, groups = signed_root(data.features[rows]), data.groups[rows]
    center, scale = roots.mean(axis=0), with_floor(roots.std(axis=0))
    references = unit((roots - center) / scale)
    distances = []
    for start in range(0, len(references), _ROWS):
        some = slice(start, start + _ROWS)
        same = np.equal.outer(groups[some], groups)
        distances.append(1 - np.where(same, -1, references[some] @ references.T).max(axis=1))
    return Rejector(false_alarms, center, scale, references, np.sort(np.concatenate(distances)), report)


def _check(data, class_names, false_alarms):
    check_number("false_alarms", false_alarms, "(0, 1)")
    if data.multilabel:
        raise InputError(
            "`labels` must have one class per image to fit a rejector. Received: several labels per image."
        )
    if class_names is not None and len(class_names) != len(data.classes):
        raise invalid("class_names", class_names, f"name each of the {len(data.classes)} classes in `labels`")
    least = int(np.ceil(1 / false_alarms - 1 - 1e-9))
    if len(data.labels) < least:
        raise InputError(
            f"A false-alarm rate of {false_alarms:g} needs at least {least} images. "
            f"Received: {len(data.labels)} images. Add images, or allow more false alarms."
        )


def _report(data, rows, names, false_alarms):
    """Leave out one class at a time, and measure the fraction of its images that are called unknown."""
    classes, counts = [], np.bincount(data.numbers[rows], minlength=len(data.classes))
    for number in np.argsort(-counts, kind="stable")[:MOST_LEFT_OUT]:
        inside = rows[data.numbers[rows] == number]
        others = rows[(data.numbers[rows] != number) & ~np.isin(data.groups[rows], data.groups[inside])]
        if not len(inside) or len(np.unique(data.groups[others])) < 2:
            continue
        rejector = keep_references(data, others, false_alarms)
        unknown = rejector.measure(data.features[inside])
        truth = np.repeat([0, 1], [len(others), len(inside)])
        auroc = float(roc_auc_score(truth, np.concatenate([rejector.distances, unknown])))
        caught = float(rejector.is_unknown(data.features[inside]).mean())
        classes.append(HeldOutClass(names[number], len(inside), caught, auroc))
    if not classes:
        raise InputError(
            "No class can be left out, because every class shares groups with other classes. Pass different `groups`."
        )
    shares = np.array([one.caught for one in classes])
    error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0
    auroc = float(np.mean([one.auroc for one in classes]))
    return RejectionReport(false_alarms, float(shares.mean()), error, auroc, len(data.labels), tuple(classes))
