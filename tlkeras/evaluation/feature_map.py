"""A map of features in two dimensions, where images with similar features are close together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from PIL import ImageOps

from tlkeras.errors import InputError
from tlkeras.evaluation.illustration import HUES, INK, MARKERS, SOFT, Illustration, finish, short
from tlkeras.evaluation.sheets import as_picture
from tlkeras.utils.validation import invalid

_LEGEND = 20  # largest number of classes in a legend; with more, only names on the map
_THUMBNAIL = 0.42  # inches


def feature_map(
    features: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    *,
    images: Sequence[Any] | None = None,
    title: str = "",
) -> Figure:
    """Plot images by the first two principal components of their features, as thumbnails or markers.

    The map shows only two of many dimensions, so classes that overlap here may be far apart in other dimensions. The
    axis labels give the fraction of the variance that each axis explains.

    Args:
        features: Array of shape `(images, features)`. Rows are scaled to unit length first.
        labels: Class indices of shape `(images,)`.
        class_names: Class names, in index order.
        images: Images in any form that `tlkeras.contact_sheet` accepts. They are drawn as thumbnails if there is room,
            and as markers otherwise. Defaults to none.
        title: Figure title, ideally the result in one sentence. Defaults to none.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words. Up to 20 classes differ in color and
        shape.

    Raises:
        InputError: An argument does not have one entry per image.

    Example:

    >>> figure = feature_map([[1, 0], [0.9, 0.1], [0, 1]], [0, 0, 1], ["cat", "dog"])
    >>> figure.alt
    '3 images of 2 classes on two principal components, which show 100% of the variance: cat (2), dog (1).'
    """
    features, labels = _checked(features, labels, class_names, images)
    points, shares = _principal(features)
    present = np.unique(labels)
    many = len(present) > _LEGEND
    figure, axes = _plane(shares, 7.6 if many else 8.4)
    for number, label in enumerate(present):
        style = {"s": 14, "color": "#a8a8a8"} if many else _style(number)
        axes.scatter(*points[labels == label].T, label=short(class_names[label], 20), **style)
    axes.margins(0.06)
    if images is not None:
        _draw_thumbnails(axes, points, images, np.searchsorted(present, labels))
    if many or images is None:
        _draw_names(axes, points, labels, present, class_names)
    if not many:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.1)
    counts = [f"{short(class_names[label])} ({(labels == label).sum()})" for label in present[:_LEGEND]]
    alt = (
        f"{len(features)} images of {_classes(len(present))} on two principal components, which show "
        f"{shares.sum():.0%} of the variance: {', '.join(counts)}{', and others' if many else ''}."
    )
    return finish(figure, title, alt)


def _checked(features, labels, class_names, images):
    features, labels = np.asarray(features, "float64"), np.asarray(labels)
    if features.ndim != 2 or len(features) < 2 or labels.shape != (len(features),):
        raise InputError(
            "`features` must have the shape (images, features), with at least two images, and `labels` must have one "
            f"entry per image. Received: arrays of shapes {features.shape} and {labels.shape}."
        )
    if not np.isin(labels, np.arange(len(class_names))).all():
        raise invalid("labels", labels.tolist(), "be class indices less than the length of `class_names`")
    if images is not None and len(images) != len(features):
        raise InputError(f"`images` must have one entry per row of `features`. Received: {len(images)} images.")
    return features, labels


def _plane(shares, width):
    """Return a figure and its empty axes, labeled with the fractions of the variance."""
    figure = Illustration(figsize=(width, 5.6))
    axes = figure.subplots()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#c9c9c6")
    axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)", color=SOFT)
    axes.set_ylabel(f"second principal component ({shares[1]:.0%})", color=SOFT)
    return figure, axes


def _style(number):
    """Return the marker style of a class, distinct in grayscale: once all shapes are used, they repeat as outlines."""
    color, marker = HUES[number % len(HUES)], MARKERS[number % len(MARKERS)]
    shape = {"marker": marker, "s": 46 if marker in "PX*" else 26}
    if number < len(MARKERS):
        return shape | {"facecolors": color, "edgecolors": "white", "linewidths": 0.4}
    return shape | {"facecolors": "white", "edgecolors": color, "linewidths": 1.2}


def _classes(number):
    return "1 class" if number == 1 else f"{number} classes"


def _principal(features):
    """Return points of shape `(images, 2)` and the fraction of the variance for each axis."""
    from sklearn.decomposition import PCA

    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    if not np.ptp(features, axis=0).any():
        return np.zeros((len(features), 2)), np.zeros(2)
    if features.shape[1] < 2:
        return np.column_stack([features[:, 0] - features[:, 0].mean(), np.zeros(len(features))]), np.array([1.0, 0])
    pca = PCA(2, svd_solver="randomized" if min(features.shape) > 10 else "full", random_state=0)
    return pca.fit_transform(features), pca.explained_variance_ratio_


def _inches(axes, points):
    """Convert points to approximate positions in inches, regardless of the final layout of the axes."""
    width, height = axes.figure.get_size_inches() * (0.8, 0.85)
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    return (points - low) / (high - low) * (width, height)


def _draw_thumbnails(axes, points, images, numbers):
    """Draw as many images as fit without overlapping, starting with the outermost, which have the most room.

    The frame of an image shows its class by color, and is dashed where colors repeat.
    """
    places = _inches(axes, points)
    taken = np.empty((0, 2))
    for index in np.argsort(-np.linalg.norm(places - places.mean(axis=0), axis=1), kind="stable"):
        if (np.abs(taken - places[index]).max(axis=1) < _THUMBNAIL).any():
            continue
        taken = np.vstack([taken, places[index]])
        pixels = round(_THUMBNAIL * 0.82 * axes.figure.dpi)
        small = ImageOps.pad(as_picture(images[index]), (pixels, pixels), color="white")
        again, hue = divmod(int(numbers[index]), len(HUES))
        line = {"linewidth": 1.6, "linestyle": (0, (3, 1.5)) if again % 2 else "solid"}
        frame = {"edgecolor": HUES[hue], "boxstyle": "square,pad=0.06"} | line
        picture = OffsetImage(np.asarray(small), zoom=72 / axes.figure.dpi)
        axes.add_artist(AnnotationBbox(picture, points[index], bboxprops=frame, pad=0))


def _draw_names(axes, points, labels, present, class_names):
    """Write class names at the medians of their points if there is room, the largest class first."""
    sizes = [-(labels == label).sum() for label in present]
    taken = []
    for label in present[np.argsort(sizes, kind="stable")]:
        middle = np.median(points[labels == label], axis=0)
        name = short(class_names[label], 20)
        (across, up), half = _inches(axes, middle), 0.042 * len(name)
        if all(abs(up - other_up) > 0.2 or abs(across - other) > half + wide for other, other_up, wide in taken):
            taken.append((across, up, half))
            halo = [withStroke(linewidth=3.5, foreground="white")]
            axes.text(
                *middle, name, ha="center", va="center", fontweight="bold", color=INK, path_effects=halo, zorder=9
            )
