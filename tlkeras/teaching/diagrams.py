"""Diagrams for the course, in the style of its other figures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from numpy.typing import ArrayLike

from tlkeras.evaluation.illustration import HUES, INK, PAPER, SOFT, Illustration, finish, plain_axes

_BLOCKS = ("stem", "block 1", "…", "block 7", "top")
_BLUE, _ORANGE, _PALE = HUES[0], HUES[1], "#dbe9f6"


def transfer_diagram() -> Figure:
    """Draw a diagram of transfer learning: a network is trained on many photos, and everything but its head is reused.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words.

    Example:

    >>> transfer_diagram().alt.split(":")[0]
    'Transfer learning'
    """
    figure = Illustration(figsize=(8.4, 3.5), layout="none")
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.88))
    axes.set(xlim=(0, 84), ylim=(-1, 30))
    axes.axis("off")
    _row(axes, 20, "1.2 million photos", "ImageNet", "1000 classes", "head, thrown away", trained_before=True)
    _row(axes, 2, "a few hundred drawings", "ours", "10 classes", "new head, trained by us", trained_before=False)
    for number in range(len(_BLOCKS)):
        across = 23.5 + 8 * number
        axes.add_patch(FancyArrowPatch((across, 19.4), (across, 9.6), arrowstyle="-|>", mutation_scale=11, color=_BLUE))
    axes.text(66, 14.5, "weights are copied\nand stay as they are", color=_BLUE, fontsize=9.5, va="center")
    alt = (
        "Above, a chain of blocks from stem to top with a head of 1000 classes, trained on 1.2 million photos. Arrows "
        "copy the weights of all blocks into the same chain below, which reads a few hundred drawings and ends in a "
        "new head of 10 classes. Only this head is trained; the old one is thrown away."
    )
    return finish(figure, "Transfer learning: keep what a network learned from photos, replace its head", alt)


def decision_regions(
    classifiers: Mapping[str, Callable[[np.ndarray], ArrayLike]],
    points: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str] = ("class 0", "class 1"),
    *,
    title: str = "",
) -> Figure:
    """Draw the region of the plane that each classifier assigns to the second of two classes of points.

    Args:
        classifiers: Dict that maps each name to a function from points of shape `(n, 2)` to class indices 0 and 1 of
            shape `(n,)`.
        points: Array of shape `(n, 2)`.
        labels: Array of shape `(n,)` of zeros and ones.
        classes: Names of the two classes.
        title: Figure title, ideally a one-sentence statement of the result. Defaults to none.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words: one panel per classifier, titled with
        the fraction of the points that it classifies correctly.

    Example:

    >>> right = {"right of 0": lambda points: points[:, 0] > 0}
    >>> decision_regions(right, [[-1, 0], [1, 0]], [0, 1], ("left", "right")).alt
    'Right of 0: 100% of the points right, 50% of the plane called right.'
    """
    points, labels = np.asarray(points, float), np.asarray(labels)
    figure = Illustration(figsize=(3.2 * len(classifiers), 3.7))
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    across, up = np.meshgrid(*(np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)))
    plane, words = np.stack([across.ravel(), up.ravel()], axis=1), []
    panels = figure.subplots(1, len(classifiers), squeeze=False, sharey=True)[0]
    for axes, (name, classify) in zip(panels, classifiers.items(), strict=True):
        plain_axes(axes)
        region = np.asarray(classify(plane), float).reshape(across.shape)
        axes.contourf(across, up, region, [-0.5, 0.5, 1.5], colors=[PAPER, _PALE])
        axes.contour(across, up, region, [0.5], colors=INK, linewidths=1)
        for label, marker, color in ((0, "o", _ORANGE), (1, "^", _BLUE)):
            chosen = points[labels == label]
            axes.scatter(*chosen.T, marker=marker, s=16, color=color, edgecolor=PAPER, linewidth=0.4)
        right = f"{np.mean(np.asarray(classify(points)) == labels):.0%}"
        axes.set_title(f"{name}: {right} right", loc="left", fontsize=10, color=INK, fontweight="normal")
        axes.set_xlabel("first input", color=SOFT)
        axes.set_aspect("equal")
        words.append(f"{name}: {right} of the points right, {region.mean():.0%} of the plane called {classes[1]}")
    panels[0].set_ylabel("second input", color=SOFT)
    marks = [
        _mark("o", _ORANGE, classes[0]),
        _mark("^", _BLUE, classes[1]),
        Patch(color=_PALE, label=f"called {classes[1]}"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    text = "; ".join(words)
    return finish(figure, title, f"{text[:1].upper()}{text[1:]}.")


def _mark(marker, color, name):
    return Line2D([], [], linestyle="", marker=marker, color=color, label=name)


def _row(axes, height, images, whose, classes, head, trained_before):
    """Draw one row of the diagram, from images to classes."""
    axes.text(0, height + 4.8, images, fontsize=9.5, fontweight="bold", color=INK, va="center")
    axes.text(0, height + 1.8, whose, fontsize=9, color=SOFT, va="center")
    for number, name in enumerate(_BLOCKS):
        _box(axes, 20 + 8 * number, height, 7, name, _PALE, _BLUE)
        _arrow(axes, 18.4 + 8 * number if number else 17.6, height, 20 + 8 * number)
    color = SOFT if trained_before else _ORANGE
    _arrow(axes, 59, height, 61)
    _box(axes, 61, height, 9, "head", "#ffffff" if trained_before else "#fbe3d6", color, dashed=trained_before)
    _arrow(axes, 70, height, 72)
    axes.text(72.6, height + 3.5, classes, fontsize=9.5, color=INK, va="center")
    axes.text(
        65.5,
        height - 1.2 if not trained_before else height + 8.6,
        head,
        fontsize=9,
        color=color,
        ha="center",
        va="center",
    )


def _box(axes, left, bottom, width, name, face, edge, dashed=False):
    style = "--" if dashed else "-"
    box = FancyBboxPatch(
        (left + 0.5, bottom + 0.5), width - 1, 6, boxstyle="round,pad=0.4", facecolor=face, edgecolor=edge, ls=style
    )
    axes.add_patch(box)
    axes.text(left + width / 2, bottom + 3.5, name, ha="center", va="center", fontsize=8.5, color=INK)


def _arrow(axes, start, height, end):
    arrow = FancyArrowPatch((start, height + 3.5), (end, height + 3.5), arrowstyle="-|>", mutation_scale=8, color=SOFT)
    axes.add_patch(arrow)
