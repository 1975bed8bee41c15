"""Fit a rejector: choose its distance and threshold, and measure what it catches with one class left out at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from tlkeras.errors import InputError
from tlkeras.evaluation.rejector import SCORES, HeldOutClass, RejectionReport, Rejector, signed_root, unit
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.regularization import deal_folds
from tlkeras.utils.validation import check_choice, check_integer, check_number, invalid

#: Images beyond which a nearest neighbor costs more memory than it is worth; class means serve then.
MOST_NEIGHBORS = 10_000

#: Classes that are left out at most, the most common first: each needs a fit of its own.
MOST_LEFT_OUT = 20


def fit_rejection(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    score: str = "auto",
    false_alarms: float = 0.05,
    folds: int = 5,
    seed: int = 0,
) -> Rejector:
    """Learn to answer "none of these", from the features of known classes alone.

    An image is called unknown if it lies farther from the known images than all but a share `false_alarms` of those
    lie from each other. That threshold is found by cross-validation. How many unknown images it catches is measured by
    leaving out one class at a time, which plays the unknown.

    Args:
        features: Array of shape `(images, features)`, from a frozen backbone: a network fine-tuned on these classes
            has forgotten what tells others apart.
        labels: Class numbers or names of shape `(images,)`, of two classes or more.
        groups: Array of shape `(images,)`: images of one group are held out together. Defaults to None, all images are
            independent.
        class_names: Names for the report, in ascending order of the labels. Defaults to None, the labels themselves.
        score: Distance from the known images. `"knn"` is the cosine distance from the nearest one. `"mahalanobis"` is
            that from the nearest class mean, in units of the spread within classes. `"auto"` (the default) takes the
            one with the larger mean AUROC over left-out classes.
        false_alarms: Share of images of known classes that may be called unknown. Defaults to 0.05.
        folds: Number of folds for the threshold. Defaults to 5.
        seed: Seed of the folds. Defaults to 0.

    Returns:
        `Rejector`.

    Raises:
        InputError: The arrays do not fit together, images have several labels, or there are too few images for the
            share of false alarms: at least `1 / false_alarms - 1`, or 19 by default.

    Example:

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> fit_rejection(X, y, false_alarms=0.1).report.images
    150

    References: Sun et al., 2022, https://arxiv.org/abs/2204.06507, on nearest neighbors; Müller and Hein, 2025,
    https://arxiv.org/abs/2505.18032, on normalized features for the Mahalanobis distance.
    """
    data = labeled_features(features, labels, groups)
    _check(data, score, class_names, false_alarms, folds)
    names = data.classes.tolist() if class_names is None else class_names
    scores = SCORES if score == "auto" else (score,)
    if score == "auto" and len(data.labels) > MOST_NEIGHBORS:
        scores = ("mahalanobis",)
    with threadpool_limits(1, user_api="blas"):
        known = {one: held_out_distances(data, one, folds, seed) for one in scores}
        left_out = {one: _left_out(data, one, known[one], false_alarms) for one in scores}
        report = _report(data, list(map(str, names)), left_out, false_alarms)
        return fit_distance(data, slice(None), report.score, known[report.score], false_alarms, report)


def _check(data, score, class_names, false_alarms, folds):
    check_choice("score", score, ("auto", *SCORES))
    check_number("false_alarms", false_alarms, "(0, 1)")
    check_integer("folds", folds, minimum=2)
    if data.multilabel:
        raise InputError("`labels` must name one class per image for `fit_rejection`; several labels have no unknown.")
    if class_names is not None and len(class_names) != len(data.classes):
        raise invalid("class_names", class_names, f"name the {len(data.classes)} classes of `labels`")
    least = int(np.ceil(1 / false_alarms - 1 - 1e-9))
    if len(data.labels) < least:
        raise InputError(
            f"A share of {false_alarms:g} false alarms can be promised with {least} images or more. Received: "
            f"{len(data.labels)} images. Add images, or allow more false alarms."
        )
    if (count := len(np.unique(data.groups))) < folds:
        raise invalid("folds", folds, f"be at most {count}, the number of groups", "More groups would help most.")


def fit_distance(data, rows, score, distances=(), false_alarms=0.05, report=None):
    """Fit a distance to some images.

    Args:
        data: `LabeledFeatures`.
        rows: The images to fit to: indices, booleans or a slice.
        score: `"knn"` or `"mahalanobis"`.
        distances: Distances of known images from others, for the threshold; none to measure distances only.
        false_alarms: Share of known images that may be called unknown.
        report: `RejectionReport` to hand on, or None.

    Returns:
        `Rejector`.
    """
    roots = signed_root(data.features[rows])
    center, scale = roots.mean(axis=0), roots.std(axis=0)
    scale = np.where(scale > 1e-6, scale, np.float32(1)).astype("float32")
    embedded = unit((roots - center) / scale)
    matrix, references, precision = np.zeros((0, 0), "float32"), embedded, 0.0
    if score == "mahalanobis":
        matrix, references, precision = _within_classes(embedded.astype("float64"), data.numbers[rows])
    distances = np.sort(np.asarray(distances, "float32"))
    return Rejector(score, false_alarms, center, scale, distances, matrix, references, precision, report)


def _within_classes(embedded, numbers):
    """Compute what a Mahalanobis distance needs: the inverse of the shrunk covariance within classes, and class means.

    The inverse is `precision * identity - matrix @ matrix.T`: with fewer images than features most axes hold nothing
    but the shrinkage, and the rest come from the small matrix of the images' products.

    Returns:
        `(matrix, means, precision)`: float32 of shapes `(features, axes)` and `(classes, features)`, and a float.
    """
    classes, inverse = np.unique(numbers, return_inverse=True)
    means = np.stack([embedded[inverse == one].mean(axis=0) for one in range(len(classes))])
    rest = embedded - means[inverse]
    count, features = rest.shape
    few = count < features
    products = (rest @ rest.T if few else rest.T @ rest) / count
    shrinkage = ledoit_wolf(rest, float((products**2).sum()))
    floor = max(shrinkage, 1e-6) * max(float((rest**2).mean()), 1e-12)
    values, vectors = np.linalg.eigh(products)
    kept = values > 1e-6 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    axes = rest.T @ vectors / np.sqrt(values * count) if few else vectors
    spread = (1 - shrinkage) * values
    matrix = axes * np.sqrt(spread / (spread + floor) / floor)
    return matrix.astype("float32"), means.astype("float32"), 1 / floor


def ledoit_wolf(rest, squares):
    """Compute the shrinkage of a covariance matrix, as `sklearn.covariance.ledoit_wolf_shrinkage`, without the matrix.

    Args:
        rest: Centered rows, of shape `(images, features)`.
        squares: Sum of the squares of the covariance matrix, or of the matrix of the rows' products, which is equal.

    Returns:
        A number in [0, 1].

    Reference: Ledoit and Wolf, 2004, https://doi.org/10.1016/S0047-259X(03)00096-4
    """
    count, features = rest.shape
    lengths = (rest**2).sum(axis=1)
    mean = lengths.sum() / count / features
    noise = ((lengths**2).sum() / count - squares) / features / count
    distance = squares / features - mean**2
    return 0.0 if distance <= 0 else float(np.clip(noise / distance, 0, 1))


def held_out_distances(data, score, folds=5, seed=0):
    """Measure the distance of every image from those of the other folds; float32 `(images,)`."""
    distances = np.empty(len(data.labels), "float32")
    for rows in deal_folds(data, folds, seed):
        rest = np.setdiff1d(np.arange(len(data.labels)), rows)
        distances[rows] = fit_distance(data, rest, score).measure(data.features[rows])
    return distances


def _left_out(data, score, known, false_alarms):
    """Leave out one class at a time; return a dict from its number to (share caught, AUROC).

    Args:
        data: `LabeledFeatures`.
        score: The distance.
        known: Distance of each image as one of a known class.
        false_alarms: Share of known images that may be called unknown.
    """
    results = {}
    for number in np.argsort(-np.bincount(data.numbers), kind="stable")[:MOST_LEFT_OUT].tolist():
        inside = data.numbers == number
        others = ~inside & ~np.isin(data.groups, data.groups[inside])
        if others.sum() < 2:
            continue
        fitted = fit_distance(data, others, score, known[~inside], false_alarms)
        unknown = fitted.measure(data.features[inside])
        truth = np.r_[np.zeros((~inside).sum()), np.ones(inside.sum())]
        auroc = roc_auc_score(truth, np.r_[known[~inside], unknown])
        results[number] = float(fitted.is_unknown(data.features[inside]).mean()), float(auroc)
    return results


def _report(data, names, left_out, false_alarms):
    """Choose the distance, and put together what was measured."""
    auroc = {score: {number: pair[1] for number, pair in results.items()} for score, results in left_out.items()}
    numbers = list(next(iter(left_out.values())))
    if not numbers:
        raise InputError("No class can be left out: all share groups with each other. Pass other `groups`.")
    counts, classes = np.bincount(data.numbers), []
    for number in numbers:
        chosen = _best(auroc, [other for other in numbers if other != number] or numbers)
        caught, area = left_out[chosen][number]
        classes.append(HeldOutClass(names[number], int(counts[number]), caught, area))
    shares = np.array([one.caught for one in classes])
    error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0
    means = {score: float(np.mean(list(areas.values()))) for score, areas in auroc.items()}
    return RejectionReport(
        _best(auroc, numbers), false_alarms, float(shares.mean()), error, means, len(data.labels), tuple(classes)
    )


def _best(auroc, numbers):
    return max(auroc, key=lambda score: np.mean([auroc[score][number] for number in numbers]))
