"""The public function `learning_curve`: measure how accuracy grows with the number of images, and extrapolate."""

import os
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from tlkeras.data.dataset import ImageSplit, ImageSplits
from tlkeras.errors import InputError
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.pipelines.labeled import LabeledFeatures, labeled_features
from tlkeras.pipelines.regularization import DEFAULT_CS, log_losses, probability_paths
from tlkeras.selection.checks import check_choosing
from tlkeras.selection.forecast import LearningCurve
from tlkeras.selection.images import images_to_choose_on
from tlkeras.utils.progress import progress
from tlkeras.utils.validation import check_integer, invalid

#: Shares of the training images at which accuracy is measured: from about one eleventh to all, in factors of the square
#: root of 2.
SHARES = tuple(2.0 ** (-step / 2) for step in range(7, -1, -1))

#: Smallest number of images per class for a forecast, and smallest mean number per class to measure at.
FEWEST, SMALLEST = 10, 2.5

FOLDS = 5


def learning_curve(
    images: str | os.PathLike | ImageSplit | ImageSplits,
    *,
    backbone: str | keras.Model = "efficientnet_lite0",
    image_size: int | tuple[int, int] | None = None,
    repeats: int = 5,
    seed: int = 0,
    cache: bool | str | os.PathLike = True,
    verbose: bool = True,
) -> LearningCurve:
    """Evaluate linear probes trained on increasing numbers of images, and forecast the gain from additional images.

    The features of a frozen backbone are computed once. In each of `repeats` rounds, each fifth of the images is
    classified by probes trained on subsets of the other four fifths. The subsets range from one eleventh to all of
    these images. Smaller subsets are contained in larger ones and preserve the class proportions. Near-duplicates, and
    images in the same group, are never split between training and test images. The C of each probe is chosen on its
    training images.

    Three families of curves, POW4, MMF4 and LOG2, are then fitted to resampled measurements (images, or groups of them,
    drawn with replacement). The median and the 80% interval are taken over all forecasts of the fitted curves. As a
    check, the same procedure also forecasts the accuracy at the largest measured size from the measurements at sizes up
    to half as large, and reports the error. Trust a forecast only as much as this hindcast.

    A forecast assumes that new images are like the available ones. Images from a new camera, place or style can help
    more than forecast if the classifier will be used on such images.

    Args:
        images: A source for `tlkeras.load_images` (its test split, if it defines one, is ignored), an `ImageSplits`
            (training and validation images are used), or an `ImageSplit` (all images are used). At most 5,000 images
            are used.
        backbone: As in `tlkeras.FeatureExtractor`.
        image_size: As in `tlkeras.FeatureExtractor`. Defaults to the size that the backbone was trained at.
        repeats: Number of rounds, each with different folds and subsets. Defaults to 5, beyond which the interval
            hardly shrinks, since most of its width comes from the number of images.
        seed: Seed for folds, subsets and resampling. Defaults to 0.
        cache: As in `tlkeras.FeatureExtractor`.
        verbose: Whether to show progress on stderr. Defaults to True.

    Returns:
        `LearningCurve`, which prints as a table followed by the forecast in words.

    Raises:
        InputError: A class has fewer than 10 distinct images, since forecasts from fewer images can be off by large
            factors (https://arxiv.org/abs/2303.01598); images have several labels; or an argument is invalid.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", classes=["bird", "boat"])
    >>> curve = tlkeras.learning_curve(images, repeats=1, verbose=False)
    >>> curve.now, curve.forecast(50).accuracy > 0.5
    (24.0, True)

    References: Viering and Loog, 2021, https://arxiv.org/abs/2103.10948, on the shapes of learning curves; Mohr et al.,
    2022, https://doi.org/10.1007/978-3-031-26419-1_1, on the families.
    """
    check_integer("repeats", repeats, minimum=1)
    check_choosing(images, [backbone], None, {}, image_size, seed)
    split, _ = images_to_choose_on(images, seed)
    if split.multilabel:
        raise invalid("images", images, "have one label each", "Images with several labels are not supported.")
    names = np.array(split.class_names)[split.labels]
    check_enough(names, split.groups)
    extractor = FeatureExtractor(backbone, image_size=image_size, resize=split.resize, cache=cache, verbose=verbose)
    features = extractor.transform(split)
    return curve_of_features(features, names, split.groups, repeats=repeats, seed=seed, verbose=verbose)


def curve_of_features(
    features, labels, groups=None, *, repeats: int = 5, seed: int = 0, verbose: bool = False
) -> LearningCurve:
    """Measure and fit a learning curve as `learning_curve` does, but on precomputed features.

    Args:
        features: Array of shape `(images, features)`.
        labels: Array of shape `(images,)` of class indices or names.
        groups: Array of shape `(images,)`, or None if all images are independent.
        repeats: As in `learning_curve`.
        seed: As in `learning_curve`.
        verbose: As in `learning_curve`. Defaults to False.

    Returns:
        `LearningCurve`.
    """
    data = labeled_features(features, labels, groups)
    check_enough(data.labels, data.groups)
    counts = np.bincount(data.numbers)
    trained = len(data.labels) * (1 - 1 / FOLDS) / len(counts)
    shares = [share for share in SHARES if share * trained >= SMALLEST]
    rounds = progress(range(repeats), total=repeats, description="learning curve", unit="round", verbose=verbose)
    right = np.stack([_round(data, shares, seed + number) for number in rounds])
    per_class = np.array(shares) * trained
    return LearningCurve.fitted(per_class, right, data.groups, now=len(data.labels) / len(counts), seed=seed)


def probe_accuracy(data: LabeledFeatures, repeats: int = 5, seed: int = 0) -> float:
    """Measure the accuracy of a probe trained on four fifths of the images, by cross-validation.

    Args:
        data: `LabeledFeatures` of the images.
        repeats: Number of rounds, each with different folds.
        seed: Seed for the folds.

    Returns:
        The accuracy, measured as for the last point of a learning curve on these images.
    """
    return float(np.mean([_round(data, (1.0,), seed + number) for number in range(repeats)]))


def check_enough(labels: Sequence, groups) -> None:
    """Raise an error if a class has too few distinct images for a forecast.

    Raises:
        InputError: A class has too few distinct images; the message names the class.
    """
    classes, numbers = np.unique(labels, return_inverse=True)
    groups = np.arange(len(numbers)) if groups is None else np.asarray(groups)
    distinct = [len(np.unique(groups[numbers == number])) for number in range(len(classes))]
    if min(distinct) < FEWEST:
        fewest = int(np.argmin(distinct))
        raise InputError(
            f"A forecast needs at least {FEWEST} distinct images per class. Received: {distinct[fewest]} of class "
            f"{str(classes[fewest])!r}. Curves from so few images overestimate the required number of images "
            "many times over. Add images, or remove the class."
        )


@threadpool_limits.wrap(limits=1, user_api="blas")  # more threads would wait for each other on matrices this small
def _round(data: LabeledFeatures, shares: Sequence[float], seed: int) -> np.ndarray:
    """Classify each image with probes trained on parts of the other folds; return correctness, `(shares, images)`."""
    rng = np.random.default_rng(seed)
    right = np.empty((len(shares), len(data.labels)), bool)
    everything = np.arange(len(data.labels))
    for held_out in data.deal_folds(FOLDS, seed):
        pool = np.setdiff1d(everything, held_out)
        C = _chosen_C(_rows(data, pool), seed)
        position = _position_in_class(data.numbers[pool], rng)
        for row, share in enumerate(shares):
            learned = pool[position < share]
            part = _rows(data, np.concatenate([learned, held_out]))
            rows = np.arange(len(learned), len(part.labels))
            ((answers,),) = probability_paths(part, [rows], (C,))
            right[row, held_out] = answers.argmax(axis=1) == part.numbers[rows]
    return right


def _rows(data: LabeledFeatures, rows: np.ndarray) -> LabeledFeatures:
    """Select some of the images; all classes remain."""
    parts = {name: getattr(data, name)[rows] for name in ("features", "labels", "numbers", "groups")}
    return replace(data, **parts)


def _position_in_class(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each image a position in [0, 1) in its class; one per class is 0, so each subset contains every class."""
    position = np.empty(len(numbers))
    for number in np.unique(numbers):
        members = np.flatnonzero(numbers == number)
        position[members] = rng.permutation(len(members)) / len(members)
    return position


def _chosen_C(data: LabeledFeatures, seed: int) -> float:
    """Choose C by holding out a quarter of the training images; the smaller subsets use this value as well."""
    held_out = data.deal_folds(4, seed)[0]
    ((*path,),) = probability_paths(data, [held_out], DEFAULT_CS)
    losses = log_losses(np.array(path), data, held_out).mean(axis=1)
    return DEFAULT_CS[int(losses.argmin())]
