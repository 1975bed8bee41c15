"""The confusion matrix as a figure."""

import numpy as np
from matplotlib.figure import Figure


def confusion_figure(scores, title=None):
    """Draws a confusion matrix: a row a true class, shaded by the share of the row, with counts.

    Args:
        scores: `tlkeras.report.metrics.Scores`.
        title: Heading; by default the accuracy with its standard error.

    Returns:
        A `matplotlib.figure.Figure`, not tied to pyplot, so nothing pops up and nothing needs closing.

    Example:

    >>> from tlkeras.report.metrics import score
    >>> figure = confusion_figure(score([0, 1, 1], [0, 1, 0], ["cat", "dog"], majority=1))
    >>> figure.axes[0].get_ylabel()
    'true class'
    """
    names = [one.name for one in scores.classes]
    counts = scores.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.48 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title or f"{scores.accuracy:.1%} ± {scores.standard_error:.1%} of {scores.images} images right")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(counts):
        dark = shares[row, column] > 0.5
        axes.text(column, row, counts[row, column], ha="center", va="center", color="white" if dark else "black")
    return figure
