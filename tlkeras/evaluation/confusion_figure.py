"""The confusion matrix as a figure."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from tlkeras.utils.fonts import font_file, one_line

# Inches per cell, largest total size of the cells, and margin. With more than 20 classes, the cells shrink.
_CELL, _CELLS, _MARGIN = 0.48, 10, 2.2
_WIDE = 6.5  # width if there are few classes with long names
_POINTS, _LEGIBLE = 10, 5  # font sizes
_LONGEST = 32  # characters of a name


def confusion_figure(scores, title=None):
    """Draw a confusion matrix with counts: one row per true class, each cell shaded by its fraction of the row.

    With many classes, the text shrinks so that the figure stays within 13 inches per side. With even more classes,
    counts are omitted, and only every second, third, ... name is shown.

    Args:
        scores: `tlkeras.evaluation.metrics.Scores` of one split.
        title: Figure title. Defaults to the accuracy with its standard error.

    Returns:
        `matplotlib.figure.Figure`, independent of pyplot, so no window opens and nothing needs to be closed.

    Example:

    >>> from tlkeras.evaluation.metrics import score
    >>> figure = confusion_figure(score([0, 1, 1], [0, 1, 0], ["cat", "dog"], majority=1))
    >>> figure.axes[0].get_ylabel()
    'true class'
    """
    names = [one.name for one in scores.classes]
    counts = scores.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = min(_CELL, _CELLS / len(names))
    points = min(_POINTS, 0.7 * 72 * cell)
    side = max(_MARGIN + cell * len(names), _WIDE if max(map(len, names)) > 12 else 0)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    named = range(0, len(names), ceil(_LEGIBLE / points))
    shown = [_shown(names[index]) for index in named]
    axes.set_xticks(named, shown, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(named, shown)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a dollar sign is not math
        label.set_fontproperties(FontProperties(fname=font_file(label.get_text()), size=max(points, _LEGIBLE)))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.suptitle(title or f"{scores.accuracy:.1%} ± {scores.standard_error:.1%} of {scores.images} images correct")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(counts) if points >= _LEGIBLE else ():
        color = "white" if shares[row, column] > 0.5 else "black"
        number = axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=points)
        number.set_in_layout(False)  # layout would measure each number several times
    return figure


def _shown(name):
    name = one_line(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
