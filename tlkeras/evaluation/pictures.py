"""Figures of images with their predictions, and of images with their nearest neighbors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import ImageOps

from tlkeras.errors import InputError
from tlkeras.evaluation.activation_overlay import activation_overlay
from tlkeras.evaluation.illustration import HUES, INK, SOFT, Illustration, finish, short
from tlkeras.evaluation.sheets import as_picture
from tlkeras.utils.validation import check_integer, invalid

_PIXELS = 256  # per picture: two per screen pixel
_CELL = 1.22  # inches
_HEADING = 0.27  # cells
_RIGHT, _WRONG = HUES[0], HUES[1]


def answered_images(
    images: Sequence[Any],
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    columns: int = 6,
    maps: ArrayLike | Callable[[np.ndarray], ArrayLike] | None = None,
    title: str | None = None,
) -> Figure:
    """Show images with the classifier's predictions: some correct, some wrong, and the most confident mistakes.

    Correct and wrong predictions are sampled evenly from the most to the least confident, so the figure does not show
    only the best predictions. The label itself may be wrong, so captions say "label" rather than "truth".

    Args:
        images: Images in any form that `tlkeras.contact_sheet` accepts: pixels in [0, 255], `PIL.Image`, or paths.
        labels: Class indices of shape `(images,)`.
        probabilities: Array of shape `(images, classes)`, for images that the classifier was not trained on.
        class_names: Class names, in index order.
        columns: Images per row.
        maps: Activation maps of all images, `(images, rows, columns)`. Since computing maps is slow, this can also be a
            function that takes the indices of the last row's images and returns only the maps of these images. The maps
            are drawn below the most confident mistakes. Defaults to none.
        title: Figure title, ideally the result in one sentence. Defaults to the number of correct predictions.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words.

    Raises:
        InputError: An argument does not have one entry per image, or `probabilities` does not have one column per
            class.

    Example:

    >>> images = np.full((4, 32, 32, 3), 200, "uint8")
    >>> figure = answered_images(images, [0, 0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]], ["cat", "dog"])
    >>> figure.alt
    '3 of 4 answers are right (75.0%). Right: cat 90%; dog 90%; dog 70%. Most confident mistakes: dog 80% (label cat).'
    """
    labels, probabilities = _checked(images, labels, probabilities, class_names)
    columns = check_integer("columns", columns, minimum=1)
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right, wrong = order[answers[order] == labels[order]], order[answers[order] != labels[order]]
    worst, others = wrong[:columns], _evenly(wrong[columns:], columns)
    groups = {"Right": _evenly(right, columns), "Wrong": others, "Most confident mistakes": worst}
    cells, spoken = [], []
    for name, chosen in groups.items():
        if not len(chosen):
            continue
        texts = [_answer(class_names, labels[index], answers[index], confidence[index]) for index in chosen]
        color = _RIGHT if name == "Right" else _WRONG
        cells.append((name, [as_picture(images[index]) for index in chosen], [text for text, _ in texts], color))
        spoken.append(f"{name}: {'; '.join(words for _, words in texts)}.")
    if maps is not None and len(worst):
        drawn = maps(worst) if callable(maps) else np.asarray(maps)[worst]
        overlays = [activation_overlay(image, one) for image, one in zip(cells[-1][1], drawn, strict=True)]
        cells.append(("What supported the answer", overlays, [""] * len(worst), SOFT))
        spoken.append("Below them, activation maps, bright where the image supported the answer.")
    title = title or f"{len(right)} of {len(images)} answers are right ({len(right) / len(images):.1%})"
    return finish(_rows(cells, columns), title, " ".join(spoken))


def nearest_neighbors(
    images: Sequence[Any],
    features: ArrayLike,
    queries: int | Sequence[int],
    *,
    k: int = 6,
    labels: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Show images and, next to each, the images with the most similar features.

    Args:
        images: Images in any form that `tlkeras.contact_sheet` accepts.
        features: Array of shape `(images, features)`. Similarity is the cosine similarity.
        queries: Index, or several indices, of the images to find neighbors for; each gets one row.
        k: Number of neighbors per row; fewer are shown if there are too few images.
        labels: Class indices of shape `(images,)`, used to count the neighbors that have the query's class and to mark
            those that do not. Defaults to none.
        class_names: Class names, in index order, written below the images. Required with `labels`.
        groups: Array of shape `(images,)`: group of each image, such as near-duplicates. Other images in the query's
            group are omitted, since they are not informative. Defaults to none.
        title: Figure title, ideally the result in one sentence. Defaults to the number of neighbors with the query's
            label.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words.

    Raises:
        InputError: The arguments do not have one entry per image, or a query is not the index of an image.

    Example:

    >>> images = np.full((3, 32, 32, 3), 200, "uint8")
    >>> figure = nearest_neighbors(images, [[1, 0], [0, 1], [1, 0.1]], 0, k=2)
    >>> figure.alt
    'Neighbors of image 0: image 2 (0.995); image 1 (0.000).'
    """
    features = _checked_features(images, features, labels, class_names)
    k = check_integer("k", k, minimum=1)
    queries = [check_integer("queries", query, 0, len(images) - 1) for query in np.atleast_1d(queries).tolist()]
    names = [f"image {index}" for index in range(len(images))]
    if labels is not None:
        labels = np.asarray(labels)
        names = [short(class_names[label], 16) for label in labels]
    groups = np.arange(len(images)) if groups is None else np.asarray(groups)
    heading = "Each image and its nearest neighbors, with their cosine similarity"
    rows, spoken, same, total = [], [], 0, 0
    for query in queries:
        alike = features @ features[query]
        others = np.flatnonzero(groups != groups[query])
        nearest = others[np.argsort(-alike[others], kind="stable")[:k]]
        agree = np.ones(len(nearest), bool) if labels is None else labels[nearest] == labels[query]
        same, total = same + int(agree.sum()), total + len(nearest)
        marks = np.where(agree, "", "✗ ") if labels is not None else np.repeat("", len(nearest))
        captions = [f"{mark}{names[index]}\n{alike[index]:.2f}" for index, mark in zip(nearest, marks, strict=True)]
        colors = [INK, *(SOFT if one else _WRONG for one in agree)]
        shown = [as_picture(images[index]) for index in (query, *nearest)]
        rows.append(("" if rows else heading, shown, [names[query], *captions], colors))
        listed = "; ".join(f"{names[index]} ({alike[index]:.3f})" for index in nearest)
        spoken.append(f"Neighbors of {names[query]}: {listed}.")
    if labels is not None and not title:
        title = f"{same} of {total} nearest neighbors have the label of their image"
    return finish(_rows(rows, k + 1, first=True), title, " ".join(spoken))


def _checked(images, labels, probabilities, class_names):
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, "float64")
    if probabilities.shape != (len(images), len(class_names)) or not len(images):
        raise InputError(
            f"`probabilities` must have the shape (images, classes), here ({len(images)}, {len(class_names)}), with "
            f"at least one image. Received: an array of shape {probabilities.shape}."
        )
    if labels.shape != (len(images),) or not np.isin(labels, np.arange(len(class_names))).all():
        raise invalid("labels", labels.tolist(), "be one class index per image, less than the length of `class_names`")
    return labels, probabilities


def _checked_features(images, features, labels, class_names):
    """Check the arguments and return the features scaled to unit length."""
    features = np.asarray(features, "float64")
    if features.ndim != 2 or len(features) != len(images) or len(images) < 2:
        raise InputError(
            "`features` must be an array of shape (images, features), with one row per image, for at least two images. "
            f"Received: features of shape {features.shape} for {len(images)} image(s)."
        )
    if labels is not None and (class_names is None or np.shape(labels) != (len(images),)):
        raise InputError(
            "`labels` must be one class index per image, and `class_names` must be passed with `labels`. "
            f"Received: an array of shape {np.shape(labels)}."
        )
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _evenly(numbers, most):
    """Choose at most `most` numbers, evenly spaced from the first to the last."""
    return numbers[np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(int)]


def _answer(class_names, label, answer, confidence):
    """Return the caption of a prediction, and its description for the text alternative."""
    named, percent = short(class_names[answer], 16), f"{confidence:.0%}"
    if label == answer:
        return f"✓ {named} {percent}", f"{named} {percent}"
    given = short(class_names[label], 16)
    return f"✗ {named} {percent}\nlabel: {given}", f"{named} {percent} (label {given})"


def _rows(rows, columns, first=False):
    """Draw rows of pictures with a heading and captions; with `first`, a gap follows the first picture of each row."""
    lines = [max(text.count("\n") + bool(text) for text in texts) for _, _, texts, _ in rows]
    heights = [1.04 + _HEADING * bool(row[0]) + 0.13 * number for row, number in zip(rows, lines, strict=True)]
    across = columns + 0.25 * first
    figure = Illustration(figsize=(0.2 + 1.08 * _CELL * across, 0.45 + _CELL * sum(heights)), layout="none")
    width, height = figure.get_size_inches()
    top = height - 0.42
    for (name, pictures, texts, colors), tall in zip(rows, heights, strict=True):
        upper = top
        if name:
            upper = top - _HEADING * _CELL
            figure.text(0.1 / width, (upper + 0.06) / height, name, fontsize=10, color=INK, fontweight="bold")
        for column, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
            left = 0.1 + 1.08 * _CELL * (column + 0.25 * (first and column > 0))
            place = (left / width, (upper - _CELL) / height, _CELL / width, _CELL / height)
            axes = figure.add_axes(place, xticks=[], yticks=[])
            color = colors if isinstance(colors, str) else colors[column]
            axes.imshow(ImageOps.pad(picture, (_PIXELS, _PIXELS), color="white"))
            axes.spines[:].set(visible=True, color=color, linewidth=3 if first and not column else 1.5)
            figure.text(left / width, (upper - _CELL - 0.04) / height, text, va="top", fontsize=8, color=INK)
        top -= _CELL * tall
    return figure
