"""Compare domains: the accuracy on each domain, and the distance between the features of two domains."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from zlib import crc32

import keras
import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from tlkeras.augment.corruptions import corrupt
from tlkeras.data.dataset import ImageSplit
from tlkeras.data.reading import read_image
from tlkeras.errors import InputError
from tlkeras.evaluation.metrics import score
from tlkeras.features.engines.compiled import quick_engine
from tlkeras.features.streaming import stream_features
from tlkeras.models.heads import with_features
from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import FALLBACK_C
from tlkeras.pipelines.regularization import cross_validated_path
from tlkeras.utils.progress import progress
from tlkeras.utils.validation import check_integer, invalid, shown

#: Largest number of images per domain for computing the distance; more images hardly change it.
MOST_FOR_DISTANCE = 2000


@dataclass(frozen=True)
class DomainDistance:
    """The distance between two domains: how easily a classifier can tell their features apart.

    Attributes:
        distance: Proxy A-distance, `2 * (1 - 2 * error)` but at least 0: 0 if the domains cannot be told apart, 2 if
            every image is assigned to the right domain.
        interval: 95% interval `(low, high)` of the distance.
        error: Fraction of images that a cross-validated classifier assigns to the wrong domain, with equal weight for
            both domains; 0.5 is chance.
    """

    distance: float
    interval: tuple[float, float]
    error: float


@dataclass(frozen=True)
class DomainRow:
    """The results on the images of one domain.

    Attributes:
        name: Name of the domain, str.
        images: Number of readable images.
        accuracy: Fraction of correct predictions.
        standard_error: Standard error of the accuracy.
        interval: 95% interval `(low, high)` of the accuracy.
        distance: `DomainDistance` from the first domain; None for the first domain itself.
        skipped: Number of unreadable images.
    """

    name: str
    images: int
    accuracy: float
    standard_error: float
    interval: tuple[float, float]
    distance: DomainDistance | None
    skipped: int = 0


@dataclass(frozen=True)
class DomainComparison:
    """The accuracy on each domain, and each domain's distance from the first one. It prints as a table.

    Attributes:
        rows: A `DomainRow` for each domain.
    """

    rows: tuple[DomainRow, ...] = field(repr=False)

    def __str__(self) -> str:
        width = max(len("domain"), *(len(row.name) for row in self.rows))
        lines = [f"{'domain':<{width}}  images  accuracy  95% interval  distance  95% interval"]
        for row in self.rows:
            low, high = row.interval
            line = f"{row.name:<{width}}  {row.images:>6}  {row.accuracy:>8.3f}  {low:.2f} to {high:.2f}"
            if row.distance is not None:
                low, high = row.distance.interval
                line += f"  {row.distance.distance:>8.2f}  {low:.2f} to {high:.2f}"
            lines.append(line)
        return "\n".join(lines)

    def to_dict(self) -> dict:
        """Return the rows as plain numbers, lists and dicts, ready for JSON."""
        return {"domains": [asdict(row) for row in self.rows]}


def domain_distance(
    first: ArrayLike,
    second: ArrayLike,
    *,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> DomainDistance:
    """Measure the distance between two domains by how well a classifier on their features tells them apart.

    The classifier is a cross-validated logistic regression with equal weight for both domains. The proxy A-distance `2
    * (1 - 2 * error)` is related to an upper bound on the drop in accuracy from one domain to the other. The distance
    does not measure the actual drop.

    Args:
        first: Features of the first domain, of shape `(images, features)`.
        second: Features of the second domain, of shape `(other images, features)`.
        groups: Two arrays, one per domain. Images with equal values in the same domain or in both, such as drawings of
            one object in two styles, are held out together. Defaults to None, which treats all images as independent.
        folds: Number of folds. Defaults to 5.
        seed: Seed for the folds. Defaults to 0.

    Returns:
        `DomainDistance`.

    Raises:
        InputError: The shapes of the features do not match, or there are fewer images than folds.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> domain_distance(rng.normal(0, 1, (60, 4)), rng.normal(9, 1, (50, 4))).distance
    2.0

    References: Ben-David et al., 2007, https://papers.nips.cc/paper/2983; Ganin et al., 2016,
    https://arxiv.org/abs/1505.07818
    """
    first, second = np.asarray(first, "float64"), np.asarray(second, "float64")
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise InputError(
            "`first` and `second` must be features from the same network, of shape (images, features). Received: "
            f"{first.shape} and {second.shape}."
        )
    folds = check_integer("folds", folds, minimum=2)
    if min(len(first), len(second)) < folds:
        raise InputError(
            f"A domain distance requires at least {folds} images per domain. Received: {len(first)} and {len(second)}."
        )
    together = None if groups is None else np.concatenate([np.asarray(one) for one in groups])
    data = labeled_features(np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)]), together)
    with threadpool_limits(1, user_api="blas"):
        path, _ = cross_validated_path(data, data.deal_folds(folds, seed), [FALLBACK_C], "balanced")
    wrong = (path[0].argmax(axis=1) != data.numbers).astype("float64")
    return _from_errors(wrong, data.numbers, data.groups)


def _from_errors(wrong, domains, groups):
    """Convert classification errors to a distance, treating images in the same group as dependent."""
    weights = len(domains) / 2 / np.bincount(domains)[domains]  # equal total weight for both domains
    error, standard_error = mean_with_error(wrong * weights, groups)
    count = len(domains)
    smoothed = (error * count + 2) / (count + 4)
    standard_error = max(standard_error, float(np.sqrt(smoothed * (1 - smoothed) / (count + 4))))
    low, high = (float(np.clip(2 - 4 * (error + side * 1.96 * standard_error), 0, 2)) for side in (1, -1))
    return DomainDistance(float(np.clip(2 - 4 * error, 0, 2)), (low, high), error)


def compare_domains(
    model: keras.Model,
    domains: Mapping[str, ImageSplit],
    *,
    corruptions: Sequence[str] = ("noise", "dark", "blur"),
    severity: int = 3,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    verbose: bool = False,
) -> DomainComparison:
    """Compare a classifier's accuracy on clean, corrupted and shifted images, and the distances between their features.

    Args:
        model: Classifier that takes raw pixels and ends in a `Dense` layer. The features are the inputs of that layer.
        domains: Dict that maps each name to labeled images, such as a split from `tlkeras.load_images`. The first
            domain is the reference: it is also corrupted, and distances are measured from it.
        corruptions: Kinds of corruption, as in `tlkeras.corrupt`, to apply to the first domain. Defaults to noise,
            darkness and blur.
        severity: Severity of the corruptions, from 1 to 5. Defaults to 3.
        class_names: The model's class names, in index order. Defaults to None, which uses the class names of the first
            domain.
        seed: Seed for the noise and the folds. Defaults to 0.
        verbose: Whether to print progress to stderr. Defaults to False.

    Returns:
        `DomainComparison`.

    Raises:
        InputError: A domain has a class unknown to the model, several labels per image, or fewer than 5 readable
            images.

    Example:

    >>> import tlkeras
    >>> inputs = keras.Input((32, 32, 3))
    >>> outputs = keras.layers.Dense(10, "softmax")(keras.layers.GlobalAveragePooling2D()(inputs))
    >>> images = tlkeras.load_images("data/clipart10", image_size=32)
    >>> domains = {"clean": images.test, "shifted": images.validation}
    >>> compared = tlkeras.compare_domains(keras.Model(inputs, outputs), domains, corruptions=["dark"])
    >>> [row.name for row in compared.rows]
    ['clean', 'clean, dark', 'shifted']
    """
    if not isinstance(domains, Mapping) or not domains:
        raise invalid("domains", domains, "be a dict that maps names to labeled images, with the reference first")
    names = tuple(class_names or next(iter(domains.values())).class_names)
    for name, split in domains.items():
        _check_domain(name, split, names)
    for kind in corruptions:
        corrupt(np.zeros((1, 1, 1, 3), "uint8"), kind, severity)  # raises an error for an unknown kind
    (reference, first), *others = domains.items()
    todo = [(reference, first, None)]
    todo += [(f"{reference}, {kind}", first, (kind, severity, seed)) for kind in corruptions]
    todo += [(name, split, None) for name, split in others]
    engine, measured = quick_engine(with_features(model)), []
    with progress(
        total=sum(len(split) for _, split, _ in todo), description="comparing", unit="image", verbose=verbose
    ) as bar:
        for _, split, change in todo:
            measured.append(_outputs(engine, split, change, bar))
    rows = [
        _row(name, split, names, *outputs, None if index == 0 else measured[0], change is not None, seed)
        for index, ((name, split, change), outputs) in enumerate(zip(todo, measured, strict=True))
    ]
    return DomainComparison(tuple(rows))


def _check_domain(name, split, names):
    if split.multilabel:
        raise InputError(f"Domain {name!r} has several labels per image. `compare_domains` needs one label per image.")
    used = [split.class_names[number] for number in np.unique(split.labels)]
    unknown = [one for one in used if one not in names]
    if unknown:
        raise InputError(
            f"Domain {name!r} has the class {unknown[0]!r}, which is not among the model's classes: {shown(names)}."
        )


def _outputs(engine, split, change, bar):
    """Compute the outputs for a split; return `(places, rows)`, the positions and outputs of the readable images."""
    places, rows = [], []
    for items in stream_features(list(split.sources), _Reader(split, change), lambda: engine, 32):
        for item in items:
            if item.error is None:
                places.append(item.index)
                rows.append(item.features)
        bar.update(len(items))
    return np.array(places, int), np.stack(rows) if rows else np.zeros((0, 0), "float32")


class _Reader:
    """A reader for `stream_features` that reads the images of a split and optionally corrupts them."""

    def __init__(self, split, change):
        self.split, self.change = split, change

    def pixels(self, source, content=None):
        """Read one image, uint8 `(height, width, 3)`."""
        image = read_image(source, self.split.image_size, self.split.resize)
        if self.change is None:
            return image
        kind, severity, seed = self.change
        return corrupt(image[None], kind, severity, seed + crc32(image.tobytes()))[0]  # different noise for each image


def _row(name, split, names, places, outputs, reference, same_images, seed):
    if len(places) < 5:
        raise InputError(f"Domain {name!r} must have at least 5 readable images. Received: {len(places)}.")
    classes = len(names)
    labels = np.array([names.index(split.class_names[number]) for number in split.labels[places]])
    scores = score(labels, outputs[:, :classes].argmax(axis=1), names, 0, groups=split.groups[places])
    half = 1.96 * scores.standard_error
    interval = max(0.0, scores.accuracy - half), min(1.0, scores.accuracy + half)
    distance = None
    if reference is not None:
        (first, there), (second, here) = (_some(*one, seed) for one in (reference, (places, outputs)))
        groups = (first, second) if same_images else None
        distance = domain_distance(there[:, classes:], here[:, classes:], groups=groups, seed=seed)
    skipped = len(split) - len(places)
    return DomainRow(name, len(places), scores.accuracy, scores.standard_error, interval, distance, skipped)


def _some(places, outputs, seed):
    """Sample at most `MOST_FOR_DISTANCE` images; equal `places` give equal samples."""
    chosen = np.random.default_rng(seed).permutation(len(places))[:MOST_FOR_DISTANCE]
    return places[chosen], outputs[chosen]
