"""Charts of experiments: dots with intervals, and heat maps. Every value is also written as a number."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tlkeras.errors import InputError
from tlkeras.evaluation.illustration import HUES, INK, SCALE, SOFT, Illustration, finish, plain_axes, short
from tlkeras.utils.validation import invalid


def dot_chart(
    values: Mapping[str, float | Sequence[float]],
    *,
    title: str = "",
    xlabel: str = "accuracy",
    baselines: Mapping[str, float] | None = None,
    highlight: str | None = None,
) -> Figure:
    """Draw one dot per method, in percent, with its interval and its value.

    The axis of a dot chart need not include zero, so small but relevant differences are visible. Compare two methods
    with `tlkeras.compare`, not by whether their intervals overlap.

    Args:
        values: Dict that maps each name to a fraction in [0, 1], or to `(fraction, low, high)`, as returned by
            `tlkeras.resampled_interval`. The entries are drawn from top to bottom.
        title: Figure title, ideally the result in one sentence. A long title is wrapped. Defaults to none.
        xlabel: Name of the measured quantity.
        baselines: Dict that maps each name to one fraction, drawn as a dashed line. Defaults to none.
        highlight: Name of the entry that the title refers to. It is drawn in the accent color, and all other entries in
            gray. Defaults to None, which draws all entries in the accent color.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words.

    Raises:
        InputError: `values` is empty, a value is not in [0, 1], an interval does not contain its value, or `highlight`
            is not a name in `values`.

    Example:

    >>> figure = dot_chart({"frozen": (0.72, 0.68, 0.76), "scratch": 0.31}, title="Transfer wins")
    >>> figure.alt
    'Transfer wins. Accuracy: frozen 72.0% (68.0% to 76.0%); scratch 31.0%.'
    """
    baselines = dict(baselines or {})
    if not values:
        raise InputError("`values` must have at least one entry. Received: an empty dict.")
    if highlight is not None and highlight not in values:
        raise invalid("highlight", highlight, "be a name in `values`")
    rows = {name: 100 * _triple("values", value) for name, value in values.items()}
    lines = {name: 100 * _triple("baselines", value)[0] for name, value in baselines.items()}
    figure = Illustration(figsize=(7, 1.15 + 0.36 * len(rows) + 0.2 * len(lines)))
    axes = figure.subplots()
    plain_axes(axes, grid="x")
    every = np.concatenate([*rows.values(), [*lines.values()]])
    margin = max(2.0, 0.08 * np.ptp(every))
    lowest = every.min() - margin
    axes.set_xlim(lowest if lowest > 5 else 0, min(100, every.max() + margin))  # near zero, zero is shown
    for row, (name, (value, low, high)) in enumerate(rows.items()):
        color = HUES[0] if highlight in (None, name) else HUES[6]
        axes.plot([low, high], [row, row], color=color, linewidth=2.5, alpha=0.55, solid_capstyle="round")
        axes.plot(value, row, "o", color=color, markersize=8, markeredgecolor="white", clip_on=False)
        axes.annotate(
            f"{value:.1f}%", (1.01, row), xycoords=("axes fraction", "data"), va="center", color=INK, fontsize=10
        )
    _draw_baselines(axes, lines)
    axes.set_yticks(range(len(rows)), [short(name, 44) for name in rows], color=INK, fontsize=10)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    ranged = ", lines are intervals" if any(low < high for _, low, high in rows.values()) else ""
    axes.set_xlabel(f"{xlabel} (%{ranged})", color=SOFT)
    return finish(figure, title, f"{xlabel.capitalize()}: {'; '.join(_words(rows) + _words(lines))}.")


def heat_map(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    shares: bool = True,
) -> Figure:
    """Draw a table as a heat map: darker cells have larger values, and numbers are written where they are legible.

    With many rows or columns, the text shrinks. With even more, numbers are omitted, and only every second, third, ...
    name is shown.

    Args:
        values: Array of shape `(rows, columns)`; NaN is drawn as an empty cell.
        rows: Names of the rows.
        columns: Names of the columns.
        title: Figure title, ideally the result in one sentence. Defaults to none.
        xlabel: Label of the horizontal axis.
        ylabel: Label of the vertical axis.
        shares: If True (the default), the values must be fractions in [0, 1], and are shown in percent on a scale from
            0 to 100%. Otherwise, the scale spans the range of the values.

    Returns:
        `matplotlib.figure.Figure` whose `alt` attribute describes it in words.

    Raises:
        InputError: The shape of `values` does not match the names, or `shares` is True but a value is not in [0, 1].

    Example:

    >>> figure = heat_map([[0.9, 0.5], [0.4, 0.8]], ["photo", "sketch"], ["photo", "sketch"], ylabel="learned from")
    >>> figure.alt
    '2 rows by 2 columns, from 40% (sketch, photo) to 90% (photo, photo).'
    """
    values = np.asarray(values, "float64")
    if values.shape != (len(rows), len(columns)) or not values.size or np.isnan(values).all():
        raise InputError(
            f"`values` must have the shape ({len(rows)}, {len(columns)}), one row or column per name, and contain at "
            f"least one finite number. Received: an array of shape {values.shape}."
        )
    if shares and (np.nanmin(values) < 0 or np.nanmax(values) > 1):
        raise invalid("values", values.tolist(), "be fractions in [0, 1]", "For other values, pass `shares=False`.")
    low, high = (0, 1) if shares else (np.nanmin(values), np.nanmax(values))
    cell = min(0.62, 9 / max(values.shape))
    points = min(10, 20 * cell)
    lettering = 0.085 * max(len(short(name)) for name in rows)
    size = max(5.0, 1.0 + lettering + cell * len(columns)), 1.3 + lettering / 2 + cell * len(rows)
    figure = Illustration(figsize=size)
    axes = figure.subplots()
    plain_axes(axes)
    axes.imshow(values, cmap=SCALE, vmin=low, vmax=high, interpolation="nearest")
    _draw_names(axes, rows, columns, cell)
    axes.set_xlabel(xlabel, color=SOFT)
    axes.set_ylabel(ylabel, color=SOFT)
    axes.xaxis.set_label_position("top")
    write = (lambda value: f"{100 * value:.0f}%") if shares else (lambda value: f"{value:.3g}")
    if points >= 6:
        _write_numbers(axes, values, (low, high), points, write)
    return finish(figure, title, _in_words(values, rows, columns, write))


def _draw_names(axes, rows, columns, cell):
    """Write as many names of rows and columns as fit, for cells of the given size in inches."""
    step = ceil(0.11 / cell)
    named = range(0, len(columns), step)
    slanted = {"rotation": 40 if cell * step > 0.3 else 90, "ha": "left", "rotation_mode": "anchor"}
    slanted = slanted if _crowded(columns, cell * step) else {}
    axes.xaxis.tick_top()
    axes.set_xticks(named, [short(columns[index]) for index in named], color=INK, **slanted)
    named = range(0, len(rows), step)
    axes.set_yticks(named, [short(rows[index]) for index in named], color=INK)


def _write_numbers(axes, values, limits, points, write):
    low, high = limits
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = "white" if value - low > 0.55 * (high - low) else INK
            text = axes.text(column, row, write(value), ha="center", va="center", fontsize=points, color=color)
            text.set_in_layout(False)  # it is within its cell


def _in_words(values, rows, columns, write):
    extremes = []
    for index in (np.nanargmin(values), np.nanargmax(values)):
        row, column = np.unravel_index(index, values.shape)
        extremes.append(f"{write(values[row, column])} ({short(rows[row])}, {short(columns[column])})")
    return f"{_counted(len(rows), 'row')} by {_counted(len(columns), 'column')}, from {extremes[0]} to {extremes[1]}."


def _counted(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _crowded(names, inches):
    return max(len(short(name)) for name in names) * 0.085 > inches


def _triple(name, value):
    """Return an entry's fraction and the ends of its interval."""
    triple = np.atleast_1d(np.asarray(value, "float64"))
    triple = np.repeat(triple, 3) if triple.shape == (1,) else triple
    if triple.shape != (3,) or not 0 <= triple[1] <= triple[0] <= triple[2] <= 1:
        requirement = "contain fractions in [0, 1], or tuples (fraction, low, high) with low <= fraction <= high"
        raise invalid(name, value, requirement, "Write 72% as 0.72.")
    return triple


def _words(rows):
    words = []
    for name, value in rows.items():
        value, low, high = np.broadcast_to(value, 3)
        words.append(f"{short(name, 44)} {value:.1f}%" + (f" ({low:.1f}% to {high:.1f}%)" if low < high else ""))
    return words


def _draw_baselines(axes, lines):
    """Draw dashed lines, each with its name above the dots, at different heights."""
    middle = np.mean(axes.get_xlim())
    for number, (name, value) in enumerate(lines.items()):
        axes.axvline(value, color=SOFT, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        left = value < middle
        axes.annotate(
            f"{short(name)} {value:.1f}%",
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4 if left else -4, 3 + 12 * number),
            textcoords="offset points",
            ha="left" if left else "right",
            fontsize=9,
            color=SOFT,
        )
