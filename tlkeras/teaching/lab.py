"""Helpers that the notebooks share but do not show: data sets, repeated splits, scores, training on stored features."""

import csv
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tlkeras.errors import InputError
from tlkeras.teaching.looking import darkness, neighbors_agree, relabeled, strongest_maps
from tlkeras.teaching.materials import clipart10, emoji4
from tlkeras.utils.validation import check_choice, check_integer

#: Height and width of images in the course: large enough for fair conclusions, small enough for a laptop.
IMAGE_SIZE = 160
#: Splits of frozen features: enough for a narrow interval; more hardly narrow it.
SPLITS = 12
STYLES = ("line", "noto", "rendered", "twemoji")


__all__ = [
    "Split",
    "darkness",
    "drawings",
    "emoji",
    "features",
    "label_notes",
    "neighbors_agree",
    "relabeled",
    "scores",
    "splits",
    "strongest_maps",
    "train_head",
]


class Split(NamedTuple):
    """Row indices of training images, test images and, on request, validation images."""

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray = np.arange(0)


def drawings(image_size: int = IMAGE_SIZE):
    """Load the course's 427 drawings, in ten classes, as one `tlkeras.ImageSplit`.

    Args:
        image_size: Height and width that images are resized to, in pixels.

    Example:

    >>> drawings()
    ImageSplit(427 images, 10 classes)
    """
    import tlkeras  # imports Keras, which `start` must silence first

    return tlkeras.load_images(clipart10(), image_size=image_size, test_size=0, validation_size=0).train


def emoji(style: str | None = None, image_size: int = IMAGE_SIZE):
    """Load the emoji, in fifteen classes, as one `tlkeras.ImageSplit`. Images with the same name form a group.

    Args:
        style: `"line"`, `"noto"`, `"rendered"` or `"twemoji"` for the 442 emoji of one style. Defaults to None, all
            four. An emoji has the same group number in every style only if all four styles are loaded at once.
        image_size: Height and width that images are resized to, in pixels.

    Example:

    >>> emoji("noto")
    ImageSplit(442 images, 15 classes)
    """
    import tlkeras

    if style is not None:
        check_choice("style", style, STYLES)
    styles = STYLES if style is None else (style,)
    images = tlkeras.load_images(
        emoji4(),
        label_of=lambda path: path.split("/")[-2] if path.endswith(".jpg") and path.split("/")[-3] in styles else None,
        groups=r"([^/]+)\.jpg$",
        near_duplicates=False,
        image_size=image_size,
        test_size=0,
        validation_size=0,
    )
    return images.train


def label_notes(images: Any) -> np.ndarray:
    """Return whether each drawing's label is wrong or doubtful, according to people who reviewed all drawings.

    Args:
        images: `tlkeras.ImageSplit` of drawings.

    Returns:
        Str array of shape `(images,)`: `"wrong"`, `"doubtful"` or `""`. See data/clipart10/README.md.

    Example:

    >>> notes = label_notes(drawings())
    >>> (notes == "wrong").sum(), (notes == "doubtful").sum()
    (np.int64(16), np.int64(17))
    """
    with (clipart10() / "LABEL_NOISE.csv").open(encoding="utf-8") as file:
        verdicts = {row["file"]: row["verdict"] for row in csv.DictReader(file)}
    return np.array([verdicts.get("/".join(str(path).replace("\\", "/").split("/")[-2:]), "") for path in images.paths])


def features(images: Any, backbone: Any = "efficientnet_lite0", block: str | Sequence[str] | None = None, **settings):
    """Compute the features of all images, or read them from disk if an earlier call stored them.

    Args:
        images: `tlkeras.ImageSplit`, such as the result of `drawings`.
        backbone: As in `tlkeras.FeatureExtractor`.
        block: Name of a block, or names of several, whose features are computed in one pass. Defaults to None, the last
            block.
        **settings: Further arguments of `tlkeras.FeatureExtractor`, such as `weights=None`.

    Returns:
        Float32 array of shape `(images, features)`; for several blocks, a dict that maps each block to such an array.
    """
    import tlkeras
    from tlkeras.features.network import block_widths, shared_network
    from tlkeras.features.parameters import network_settings

    if isinstance(backbone, str):  # a model has a size of its own
        settings = {"image_size": images.image_size, **settings}
    if block is None or isinstance(block, str):
        return tlkeras.FeatureExtractor(backbone, block=block, **settings).transform(images)
    if len(block) == 1:
        return {block[0]: features(images, backbone, block[0], **settings)}
    extractor = tlkeras.FeatureExtractor(backbone, block=list(block), **settings)
    at_once = extractor.transform(images)
    widths = block_widths(shared_network(network_settings(extractor)), block)
    return dict(zip(block, np.split(at_once, np.cumsum(widths)[:-1], axis=1), strict=True))


def splits(
    images: Any, count: int = SPLITS, *, test_size: float = 0.25, validation_size: float = 0.0, seed: int = 0
) -> list[Split]:
    """Make several random, stratified splits of images, with near-duplicates and groups kept together.

    Args:
        images: `tlkeras.ImageSplit`, such as the result of `drawings`.
        count: Number of splits. Defaults to 12.
        test_size: Fraction of the images in the test set. Defaults to a quarter.
        validation_size: Fraction of the images in the validation set. Defaults to 0: with frozen features, choices are
            made by cross-validation within the training images.
        seed: Seed of the first split; each further split uses the next integer.

    Returns:
        List of `Split`.

    Example:

    >>> [(len(split.train), len(split.test)) for split in splits(drawings(), 2)]
    [(320, 107), (320, 107)]
    """
    from tlkeras.data.splits import split

    keys, names = [str(path) for path in images.paths], list(images.class_names)
    above = len(os.path.commonpath(keys))  # splits do not depend on where the data is
    found = []
    for number in range(seed, seed + check_integer("count", count, minimum=1)):
        parts = split(
            [key[above:] for key in keys],
            images.labels,
            images.groups,
            names,
            test_size=test_size,
            validation_size=validation_size,
            seed=number,
        )
        found.append(Split(**parts))
    return found


def scores(fit: Callable[..., Any], features: ArrayLike, images: Any, splits: Sequence[Split]) -> np.ndarray:
    """Fit a classifier on the training images of every split, and measure its accuracy on the test images.

    Args:
        fit: Function that takes features and labels and returns a fitted classifier with a method `predict`. If the
            function has a parameter named `groups`, it receives the groups of the training images, for
            cross-validation.
        features: Array of shape `(images, features)`.
        images: `tlkeras.ImageSplit`, such as the result of `drawings`; only the labels and groups are used.
        splits: List of `Split`.

    Returns:
        Float64 array of shape `(splits,)`: fractions of correct predictions, for `teaching.compare` and
        `teaching.interval`.

    Raises:
        InputError: `features` does not have exactly one row per image.
    """
    features, labels = np.asarray(features), images.labels
    if len(features) != len(labels):
        raise InputError(
            f"`features` must have one row for each of the {len(labels)} images. Received: {len(features)} rows."
        )
    grouped = "groups" in inspect.signature(fit).parameters
    measured = []
    for train, test, _ in splits:
        known = {"groups": images.groups[train]} if grouped else {}
        classifier = fit(features[train], labels[train], **known)
        measured.append(np.mean(classifier.predict(features[test]) == labels[test]))
    return np.array(measured)


def train_head(
    features: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    model: Any = None,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
):
    """Train a Keras head on stored features.

    Args:
        features: Array of shape `(images, features)`.
        labels: Class indices, an int array of shape `(images,)`.
        validation: Features and labels to evaluate on after each epoch. Defaults to none.
        model: Keras model that maps features to probabilities. Defaults to one dense layer on standardized features.
        epochs: Number of training epochs.
        learning_rate: Learning rate of Adam.
        batch_size: Number of images per training step.
        callbacks: Keras callbacks to pass to `fit`.
        seed: Seed for the initial weights and the order of images.

    Returns:
        `(model, history)`; `history` is the dict that maps each metric, such as `"val_accuracy"`, to its values per
        epoch.
    """
    import keras

    keras.utils.set_random_seed(seed)
    if model is None:
        scale = keras.layers.Normalization()
        scale.adapt(features)
        head = keras.layers.Dense(int(labels.max()) + 1, activation="softmax")
        model = keras.Sequential([keras.Input(features.shape[1:]), scale, head])
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    trained = model.fit(
        features,
        labels,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation,
        callbacks=list(callbacks),
        verbose=0,
    )
    return model, trained.history
