"""Learn from unlabeled images: spread labels to neighboring images, and refit a probe to its own predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from threadpoolctl import threadpool_limits

from tlkeras.adaptation.propagation import spread_labels
from tlkeras.errors import InputError
from tlkeras.pipelines.labeled import LabeledFeatures, labeled_features
from tlkeras.pipelines.probe import linear_probe
from tlkeras.utils.validation import check_choice, check_integer, check_number

METHODS = ("spread", "threshold")

#: Number of times that the probe is fitted to its own predictions. More rounds change accuracy by less than a point.
_ROUNDS = 2


@dataclass(frozen=True)
class SelfTraining:
    """The result of `tlkeras.self_train`: a probe trained with unlabeled images, and one trained without them.

    Attributes:
        probe: Fitted `sklearn.pipeline.Pipeline` of a scaler and a logistic regression, as returned by
            `tlkeras.linear_probe`; `tlkeras.fold` accepts it.
        labeled_only: Pipeline like `probe`, trained on labeled images only.
        probabilities: Class probabilities for the unlabeled images, float64 of shape `(images, classes)`.
        threshold: Minimum probability of a pseudo-label.
        accuracy: `(self-trained, labeled only)`: for each kind of probe, the fraction of labeled images that are
            classified correctly by probes that were not trained on their labels; None if not measured.
        standard_error: Standard error of the difference between the two accuracies, over labeled images; None if not
            measured.
    """

    probe: Pipeline
    labeled_only: Pipeline
    probabilities: np.ndarray
    threshold: float
    accuracy: tuple[float, float] | None = None
    standard_error: float | None = None

    @property
    def better(self) -> bool:
        """Whether the self-trained probe is more accurate than `labeled_only` by more than one standard error."""
        return self.accuracy is not None and self.accuracy[0] - self.accuracy[1] > self.standard_error

    def pseudo_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return `(rows, labels)`: indices of the unlabeled images to use, and their predicted classes.

        For each of these images, the highest class probability is at least `threshold`. `tlkeras.fine_tune` can learn
        from these images as if they were labeled.
        """
        rows = np.flatnonzero(self.probabilities.max(axis=1) >= self.threshold)
        return rows, self.probe.classes_[self.probabilities[rows].argmax(axis=1)]

    def __str__(self) -> str:
        rows, _ = self.pseudo_labels()
        text = f"{len(rows)} of {len(self.probabilities)} unlabeled images reach probability {self.threshold:g}."
        if self.accuracy is None:
            return text
        advice = (
            "Use the self-trained probe."
            if self.better
            else "No clear gain. Use the probe trained on labeled images only."
        )
        return (
            f"Cross-validated accuracy on the labeled images: self-trained {self.accuracy[0]:.3f}, labeled only "
            f"{self.accuracy[1]:.3f} (standard error of the difference {self.standard_error:.3f}). {advice}\n{text}"
        )


def self_train(
    features: ArrayLike,
    labels: ArrayLike,
    unlabeled: ArrayLike,
    *,
    method: str = "spread",
    threshold: float = 0.8,
    groups: ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
) -> SelfTraining:
    """Fit a probe to labeled features, and to unlabeled features with the probe's own predictions as labels.

    Self-training often helps little and sometimes hurts, so tlkeras does not use it by default. This function also
    fits a probe without the unlabeled images and compares the two by cross-validation: the labels of one fold at a time
    are withheld from both probes.

    Args:
        features: Features of labeled images, of shape `(images, features)`.
        labels: Class indices or names, of shape `(images,)`.
        unlabeled: Features of the unlabeled images, of shape `(images, features)`. If these images come from a
            different domain than the labeled ones, align the features first with `tlkeras.FeatureAlignment`; the
            comparison then says nothing about the accuracy on that domain.
        method: `"spread"` (the default) averages the probe's probabilities with labels spread to near neighbors
            (`sklearn.semi_supervised.LabelSpreading`), and refits the probe to all images, with each pseudo-label
            weighted by its probability. `"threshold"` uses `sklearn.semi_supervised.SelfTrainingClassifier`, which
            adds, in each round, the images whose highest class probability is above the threshold.
        threshold: Minimum probability of a pseudo-label, in `pseudo_labels` and for `method="threshold"`. Defaults to
            0.8.
        groups: Array of shape `(images,)`; images in the same group are never split between training and held-out
            images. Defaults to None.
        folds: Number of folds for the comparison, at least 2. Defaults to 5, or fewer if the rarest class has fewer
            images.
        seed: Seed for the folds. Defaults to 0.

    Returns:
        `SelfTraining`; `print` shows the comparison.

    Raises:
        InputError: An array or an option is invalid.

    Example:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> centers = np.array([[0.0, 0.0], [4.0, 4.0]])
    >>> labels, hidden = np.arange(20) % 2, np.arange(200) % 2
    >>> known, others = centers[labels] + rng.normal(size=(20, 2)), centers[hidden] + rng.normal(size=(200, 2))
    >>> result = self_train(known, labels, others)
    >>> bool((result.probabilities.argmax(axis=1) == hidden).mean() > 0.97)
    True

    References: Zhou et al., 2003 (label spreading); Yarowsky, 1995 (self-training).
    """
    check_choice("method", method, METHODS)
    check_number("threshold", threshold, "(0, 1]")
    data = labeled_features(features, labels, groups)
    if data.multilabel:
        raise InputError("`labels` must have one class per image. Received: several labels per image.")
    unlabeled = check_unlabeled(unlabeled, data.features.shape[1])
    folds = min(check_integer("folds", folds, minimum=2), data.rarest)
    only = linear_probe(data.features, data.labels, groups=data.groups, folds=folds, seed=seed)
    probe, probabilities = fit_with_unlabeled(only, data, unlabeled, method, threshold)
    if folds < 2:
        return SelfTraining(probe, only, probabilities, threshold)
    right = np.zeros((2, len(data.labels)))
    for held_out in data.deal_folds(folds, seed):
        known = np.setdiff1d(np.arange(len(data.labels)), held_out)
        part = labeled_features(data.features[known], data.labels[known])
        other = linear_probe(part.features, part.labels, Cs=[only[-1].C])
        both = np.concatenate([unlabeled, data.features[held_out]])
        trained, _ = fit_with_unlabeled(other, part, both, method, threshold)
        for row, one in enumerate((trained, other)):
            right[row, held_out] = one.predict(data.features[held_out]) == data.labels[held_out]
    error = float((right[0] - right[1]).std(ddof=1) / np.sqrt(right.shape[1]))
    return SelfTraining(probe, only, probabilities, threshold, tuple(right.mean(axis=1).tolist()), error)


def fit_with_unlabeled(
    probe: Pipeline, data: LabeledFeatures, unlabeled: np.ndarray, method: str = "spread", threshold: float = 0.8
) -> tuple[Pipeline, np.ndarray]:
    """Fit a probe to labeled images, and to unlabeled images with the probe's own predictions as labels.

    Args:
        probe: Probe fitted to the labeled images by `linear_probe`.
        data: `LabeledFeatures` of the labeled images.
        unlabeled: float64 features of shape `(images, features)`.
        method: As in `self_train`.
        threshold: As in `self_train`.

    Returns:
        `(probe, probabilities)`: the new probe, and its class probabilities for the unlabeled images.
    """
    scaler, regression = probe
    known, others = scaler.transform(data.features), scaler.transform(unlabeled)
    with threadpool_limits(1, user_api="blas"):
        if method == "threshold":
            everything, targets = np.concatenate([known, others]), np.full(len(known) + len(others), -1)
            targets[: len(known)] = data.numbers
            new = SelfTrainingClassifier(clone(regression), threshold=threshold).fit(everything, targets).estimator_
        else:
            spread = spread_labels(known, data.numbers, others, len(data.classes))
            believed = (spread + probe.predict_proba(unlabeled)) / 2
            fit = _Regressions(regression, known, data.numbers, others)
            for _ in range(_ROUNDS):
                new = fit(believed)
                believed = new.predict_proba(others)
    new.classes_ = data.classes  # it was fitted to class numbers, since -1 means no label
    trained = Pipeline([("scaler", scaler), ("classifier", new)])
    return trained, trained.predict_proba(unlabeled)


class _Regressions:
    """Regressions fitted to labeled images and one fixed set of unlabeled images, with new pseudo-labels for each fit.

    The regressions are fitted in the subspace spanned by the feature vectors of all images, which takes less time and
    gives identical results.
    """

    def __init__(self, regression, known, numbers, others):
        self.regression, self.numbers = regression, numbers
        self.rows, self.axes = np.concatenate([known, others]), None
        if len(self.rows) < self.rows.shape[1]:
            values, vectors = np.linalg.eigh(self.rows @ self.rows.T)
            kept = values > values[-1] * 1e-10
            values, vectors = np.sqrt(values[kept]), vectors[:, kept]
            self.axes, self.rows = self.rows.T @ (vectors / values), vectors * values

    def __call__(self, believed):
        """Fit a regression to the labels and to pseudo-labels, each weighted by its probability."""
        weights = np.concatenate([np.ones(len(self.numbers)), believed.max(axis=1)])
        # With twice as many images, the same C penalizes half as strongly, so C is rescaled to their number.
        new = clone(self.regression).set_params(C=self.regression.C * len(self.numbers) / weights.sum())
        new.fit(self.rows, np.concatenate([self.numbers, believed.argmax(axis=1)]), weights)
        if self.axes is not None:
            new.coef_, new.n_features_in_ = new.coef_ @ self.axes.T, len(self.axes)
        return new


def check_unlabeled(features: ArrayLike, columns: int) -> np.ndarray:
    """Check features of unlabeled images, and return them in double precision.

    Raises:
        InputError: The features are not an array of finite numbers of shape `(images, columns)`.
    """
    try:
        table = np.asarray(features, "float64")
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != columns or not len(table) or not np.isfinite(table).all():
        raise InputError(
            f"`unlabeled` must contain finite numbers and have the shape (images, {columns}), with as many columns as "
            f"`features`. Received: {type(features).__name__} of shape {np.shape(features)}."
        )
    return table
