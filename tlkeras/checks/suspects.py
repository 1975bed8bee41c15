"""Suspecting labels: which images does a probe that did not see them take for another class?"""

import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tlkeras.checks.findings import Finding
from tlkeras.data.listing import ImageFile
from tlkeras.data.reading import read_images
from tlkeras.errors import InputError


def confident_suspects(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Finds labels that are probably wrong, by confident learning.

    How many: an image counts as one of another class where that class is the likeliest of those whose probability
    reaches its average over the images that bear its label. Which: as many as there are such images, those whose
    own label has the lowest probability, of the images that the model would label otherwise.

    Args:
        labels: int array of shape `(images,)`.
        probabilities: array of shape `(images, classes)`, each row from a model that did not see the image.

    Returns:
        The indices of the suspects, the least probable label first.
    """
    own = probabilities[np.arange(len(labels)), labels]
    usual = [own[labels == one].mean() if (labels == one).any() else np.inf for one in range(probabilities.shape[1])]
    confident = np.where(probabilities >= usual, probabilities, -np.inf)
    count = int((np.isfinite(confident.max(axis=1)) & (confident.argmax(axis=1) != labels)).sum())
    otherwise = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return otherwise[np.argsort(own[otherwise], kind="stable")][:count]


def suspect_labels(
    files: list[ImageFile],
    groups: np.ndarray,
    backbone: str | Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    seed: int,
) -> list[Finding]:
    """Suspects the labels of all classes of two pictures or more, near-duplicates of one another counted once.

    Of a class of one picture none is left to learn from when that picture is judged.
    """
    pictures = Counter(label for label, _ in {(file.label, group) for file, group in zip(files, groups, strict=True)})
    judged = [index for index, file in enumerate(files) if pictures[file.label] > 1]
    files, groups = [files[index] for index in judged], groups[judged]
    names, labels = np.unique([file.label for file in files], return_inverse=True)
    if len(names) < 2:
        return []
    extract = pooled_features(backbone, size)
    paths = [file.path for file in files]
    parts = [extract(read_images(paths[start : start + 256], size)) for start in range(0, len(paths), 256)]
    features = np.concatenate(parts, dtype="float64")
    # Matrices this small are multiplied faster by one thread.
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # a fold need not have an image of each class
        warnings.filterwarnings("ignore", "Number of classes in training fold")
        folds = _folds(labels, groups, min(10, max(pictures.values())), seed)
        if folds is None:
            return []
        probabilities = cross_val_predict(
            quick_probe(), features, labels, groups=groups, cv=folds, method="predict_proba"
        )
    return [
        Finding(
            "suspect_label",
            (files[index].key,),
            f"{names[labels[index]]}? {names[probabilities[index].argmax()]} {probabilities[index].max():.2f}",
            1 - float(probabilities[index, labels[index]]),
        )
        for index in confident_suspects(labels, probabilities)
        if probabilities[index, labels[index]] > 0  # else all images of its class were in its fold
    ]


def _folds(labels, groups, most, seed):
    """As many folds as may be, each with two classes or more to learn from; None if there are none such."""
    for count in range(most, 1, -1):
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        folds = list(splitter.split(labels, labels, groups))
        if all(len(np.unique(labels[train])) > 1 for train, _ in folds):
            return folds
    return None


def quick_probe() -> Pipeline:
    """A linear probe of a fixed strength, which suits a thousand features of few images: to look with, not to keep."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def _checked_features(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    if not callable(function):
        raise InputError(f"backbone is a name or a function from pixels to features. Received: backbone={function!r}")

    def features(images: np.ndarray) -> np.ndarray:
        found = np.asarray(function(images))
        if found.ndim != 2 or len(found) != len(images):
            raise InputError(
                f"backbone, of {len(images)} images, gives features of shape ({len(images)}, features). "
                f"Received: a function that gives {found.shape}"
            )
        return found

    return features


def pooled_features(
    backbone: str | Callable[[np.ndarray], np.ndarray], size: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Gives a function from pixels `(n, height, width, 3)` to features `(n, d)`."""
    if not isinstance(backbone, str):
        return _checked_features(backbone)
    from tlkeras.backbones.build import backbone as build_backbone

    model = build_backbone(backbone, pooling="avg", image_size=size)
    return lambda images: model.predict(images, batch_size=32, verbose=0)
