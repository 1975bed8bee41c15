"""Curves of percentages in side-by-side panels, for the notebooks: by learning rate, epoch or number of images."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from tlkeras.errors import InputError
from tlkeras.evaluation.illustration import HUES, INK, MARKERS, SOFT, Illustration, finish, plain_axes

#: Up to this many points, ticks are at the points and nowhere else: there is no epoch 1.5.
_POINTS_WITH_TICKS = 12


def line_chart(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    x: Sequence[float],
    *,
    title: str = "",
    xlabel: str = "",
    log: bool = False,
    baselines: Mapping[str, float] | None = None,
):
    """Draw curves of percentages, in one or more panels with a shared horizontal axis.

    Args:
        panels: Dict that maps the name of each panel to its curves, a dict that maps the name of each curve to
            fractions in [0, 1] of shape `(points,)` or `(runs, points)`. With several runs, the line is their mean, and
            a band reaches from the lowest run to the highest. A curve may end early, and points that are NaN are left
            out.
        x: Positions of the points on the horizontal axis.
        title: Figure title, ideally a one-sentence statement of the result. Defaults to none.
        xlabel: Name of the horizontal axis.
        log: Whether the horizontal axis is logarithmic, with ticks at the points.
        baselines: Dict that maps each name to one fraction, drawn as a dashed line in the first panel. Defaults to
            none.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words.

    Raises:
        InputError: There is no panel, or a curve has more points than `x`.

    Example:

    >>> figure = line_chart({"new task": {"all layers": [0.1, 0.6, 0.3]}}, [1e-5, 1e-4, 1e-3], xlabel="learning rate")
    >>> figure.alt
    'New task: all layers 10% to 30%, highest 60% at 1e-4.'
    """
    x, baselines = np.asarray(x, float), dict(baselines or {})
    curves = {name: {key: np.atleast_2d(runs) for key, runs in panel.items()} for name, panel in panels.items()}
    if not curves or any(runs.shape[1] > len(x) for panel in curves.values() for runs in panel.values()):
        raise InputError("`panels` must contain at least one panel, with at most as many points per curve as in `x`.")
    figure = Illustration(figsize=(3.9 * len(curves) if len(curves) > 1 else 7, 3.5))
    words, every = [], figure.subplots(1, len(curves), squeeze=False)[0]
    for number, (axes, (name, panel)) in enumerate(zip(every, curves.items(), strict=True)):
        plain_axes(axes, grid="y")
        if log:
            axes.set_xscale("log")
            axes.set_xticks([], minor=True)
        if log or len(x) <= _POINTS_WITH_TICKS:
            axes.set_xticks(x, [_short(value) for value in x])
        elif (x % 1 == 0).all():
            axes.xaxis.get_major_locator().set_params(integer=True)
        for key, runs in panel.items():
            words.append(_draw(axes, x, key, runs, list(panel).index(key), name))
        for key, value in baselines.items() if number == 0 else ():
            axes.axhline(100 * value, color=SOFT, linestyle="--", linewidth=1.3)
            words.append(f"{key} {value:.0%}")
        _label(axes, panel, baselines if number == 0 else {})
        axes.set_title(f"{name} (%)", loc="left", fontsize=10, color=INK, fontweight="normal")
        axes.set_xlabel(xlabel, color=SOFT)
    text = "; ".join(words)
    return finish(figure, title, f"{text[:1].upper()}{text[1:]}.")


def _draw(axes, x, name, runs, number, panel):
    """Draw one curve, and return a description of it in words."""
    measured = ~np.isnan(runs).any(axis=0)
    runs, at = runs[:, measured], x[: runs.shape[1]][measured]
    color, mean = HUES[number % len(HUES)], 100 * runs.mean(axis=0)
    axes.plot(at, mean, color=color, marker=MARKERS[number % len(MARKERS)], markersize=6, markeredgecolor="white")
    if len(runs) > 1:
        axes.fill_between(at, 100 * runs.min(axis=0), 100 * runs.max(axis=0), color=color, alpha=0.15, linewidth=0)
    best = int(mean.argmax())
    return f"{panel}: {name} {mean[0]:.0f}% to {mean[-1]:.0f}%, highest {mean[best]:.0f}% at {_short(at[best])}"


def _short(value):
    """Format a number for a narrow axis, such as 0.0001 as 1e-4."""
    return f"{value:.0e}".replace("e-0", "e-") if 0 < value < 0.01 else f"{value:g}"


def _label(axes, panel, baselines):
    """Write the names of curves and baselines at the right ends of the lines, and move overlapping names apart."""
    ends = [(100 * runs.mean(axis=0)[-1], key, HUES[i % len(HUES)]) for i, (key, runs) in enumerate(panel.items())]
    ends += [(100 * value, key, SOFT) for key, value in baselines.items()]
    low, high = axes.get_ylim()
    gap, floor = 0.075 * (high - low), -np.inf
    for height, key, color in sorted(ends):
        floor = max(height, floor + gap)
        axes.annotate(
            key, (1.02, floor), xycoords=("axes fraction", "data"), color=color, fontsize=9.5, va="center",
            annotation_clip=False,
        )  # fmt: skip
    axes.set_ylim(low, high)
