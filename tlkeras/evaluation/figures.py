"""Figures of experiments: accuracy bars, curves, and decision regions.

All figures are readable in grayscale: series differ in markers, dashes and hatches, and every axis is labeled. They are
`matplotlib.figure.Figure`s, independent of pyplot, so no window opens and nothing needs to be closed.
"""

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from tlkeras.evaluation.illustration import HUES, MARKERS

DASHES = ("-", "--", "-.", ":")
HATCHES = ("", "//", "..", "\\\\", "xx")


def standard_error(values):
    """Compute the standard error of the mean of several runs.

    Args:
        values: Array of shape `(runs, ...)`: results of the runs.

    Returns:
        Array of shape `(...)`: the sample standard deviation divided by the square root of the number of runs; 0 for a
        single run.

    Example:

    >>> float(standard_error([0.70, 0.74, 0.72]).round(4))
    0.0115
    """
    values = np.asarray(values, float)
    return values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(values.shape[1:])


def with_error(values):
    """Format the mean of several runs with its standard error.

    Args:
        values: Array of shape `(runs,)`: results of the runs.

    Example:

    >>> with_error([0.70, 0.74, 0.72])
    '0.72 ± 0.01'
    """
    return f"{np.mean(values):.2f} ± {standard_error(values):.2f}"


def accuracy_bars(accuracies, baselines=None, *, xlabel="accuracy", title=None):
    """Draw the mean accuracy of each approach as a bar, each run as a dot, and baselines as lines.

    Args:
        accuracies: Dict that maps the name of each approach to the accuracies of its runs, in [0, 1].
        baselines: Dict that maps each name to one accuracy, or to the accuracies of several runs, whose mean is drawn.
        xlabel: Label of the horizontal axis; change it if the values are fractions other than accuracies.
        title: Figure title.

    Returns:
        `matplotlib.figure.Figure`. Whiskers show one standard error of the mean on each side.

    Example:

    >>> figure = accuracy_bars({"features": [0.70, 0.74], "from scratch": [0.30, 0.26]}, {"majority": 0.2})
    >>> figure.axes[0].get_xlabel()
    'accuracy'
    """
    baselines = baselines or {}
    height = 1.3 + 0.42 * len(accuracies) + 0.2 * len(baselines)
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    for row, (runs, hatch) in enumerate(zip(accuracies.values(), cycle(HATCHES))):
        runs = np.atleast_1d(runs)
        error = standard_error(runs)
        axes.barh(row, runs.mean(), 0.62, color="#c6dbef", edgecolor="black", hatch=hatch, linewidth=0.8)
        if len(runs) > 1:
            axes.errorbar(runs.mean(), row, xerr=error, color="black", capsize=4, linewidth=1.5)
            axes.plot(runs, np.full(len(runs), row - 0.2), "o", color="black", markersize=3)
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # for when a baseline crosses the number
        axes.text(runs.max() + error + 0.015, row, f"{runs.mean():.2f}", va="center", bbox=paper)
    _draw_baselines(axes.axvline, baselines)
    axes.set_yticks(range(len(accuracies)), list(accuracies))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(xlabel)
    _finish(figure, axes, title, legend=bool(baselines))
    return figure


def curves(series, x, *, xlabel, ylabel, baselines=None, title=None):
    """Draw lines with a band of one standard error, such as accuracy by block or loss by epoch.

    Args:
        series: Dict that maps each name to an array of shape `(points,)`, or `(runs, points)` to draw the mean with a
            band. Series may differ in length; shorter ones end early.
        x: Positions of the points, as numbers or names.
        xlabel: Label of the horizontal axis.
        ylabel: Label of the vertical axis.
        baselines: As in `accuracy_bars`.
        title: Figure title.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> figure = curves({"train": [0.9, 0.5, 0.3]}, [1, 2, 3], xlabel="epoch", ylabel="loss")
    >>> figure.axes[0].get_ylabel()
    'loss'
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    named = isinstance(x[0], str)
    at = np.arange(len(x)) if named else np.asarray(x)
    for (name, runs), marker, dash, color in zip(series.items(), cycle(MARKERS), cycle(DASHES), cycle(HUES)):
        runs = np.atleast_2d(runs)
        mean, error = runs.mean(axis=0), standard_error(runs)
        axes.plot(at[: len(mean)], mean, dash, marker=marker, markersize=5, color=color, label=name)
        if len(runs) > 1:
            axes.fill_between(at[: len(mean)], mean - error, mean + error, color=color, alpha=0.15, linewidth=0)
    _draw_baselines(axes.axhline, baselines or {})
    if named:
        axes.set_xticks(at, x)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    _finish(figure, axes, title, legend=len(series) > 1 or bool(baselines))
    return figure


def decision_regions(classifiers, points, labels, title=None):
    """Draw the region that each classifier assigns to the second of two classes of points in the plane.

    Args:
        classifiers: Dict that maps each name to a function that takes points of shape `(n, 2)` and returns class
            indices (0 or 1) of shape `(n,)`.
        points: Array of shape `(n, 2)`.
        labels: Array of zeros and ones, of shape `(n,)`.
        title: Figure title.

    Returns:
        `matplotlib.figure.Figure`, one panel per classifier, titled with the classifier's accuracy on the points.

    Example:

    >>> figure = decision_regions({"left or right": lambda points: points[:, 0] > 0}, [[-1, 0], [1, 0]], [0, 1])
    >>> figure.axes[0].get_title()
    'left or right: 1.00 correct'
    """
    points, labels = np.asarray(points, float), np.asarray(labels)
    figure = Figure(figsize=(3.5 * len(classifiers), 3.4), layout="constrained")
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    across, up = np.meshgrid(*(np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)))
    plane = np.stack([across.ravel(), up.ravel()], axis=1)
    panels = figure.subplots(1, len(classifiers), squeeze=False)[0]
    for axes, (name, classify) in zip(panels, classifiers.items(), strict=True):
        region = np.asarray(classify(plane), float).reshape(across.shape)
        axes.contourf(across, up, region, [-0.5, 0.5, 1.5], colors=["white", "#c6dbef"])
        axes.contour(across, up, region, [0.5], colors="black", linewidths=1)
        for label, marker, face in ((0, "o", "white"), (1, "^", "black")):
            chosen = points[labels == label]
            axes.scatter(*chosen.T, marker=marker, s=22, facecolor=face, edgecolor="black", label=f"class {label}")
        axes.set_title(f"{name}: {np.mean(classify(points) == labels):.2f} correct", fontsize=10)
        axes.set_xlabel("first input")
        axes.set_ylabel("second input")
        axes.set_aspect("equal")
    figure.axes[0].legend(loc="upper left", fontsize=8)
    if title:
        figure.suptitle(title)
    return figure


def _draw_baselines(line, baselines):
    for (name, value), dash in zip(baselines.items(), cycle(DASHES[1:])):
        value = float(np.mean(value))
        line(value, linestyle=dash, color="#525252", linewidth=1.5, label=f"{name}: {value:.2f}")


def _finish(figure, axes, title, legend):
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title)
    if legend:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
