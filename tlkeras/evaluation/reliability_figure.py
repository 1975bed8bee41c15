"""The reliability diagram: the fraction of correct predictions against the predicted probability."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tlkeras.errors import InputError
from tlkeras.evaluation.calibration import Reliability
from tlkeras.evaluation.illustration import HUES, INK, SOFT, Illustration, finish


def reliability_figure(measured: Mapping[str, Reliability], title: str | None = None) -> Figure:
    """Draw reliability diagrams side by side, such as those before and after calibration.

    Bars show the fraction of correct predictions among images with similar probabilities. A bar that ends below the
    diagonal means overconfidence. The histogram below shows the number of images.

    Args:
        measured: Dict that maps each name to a result of `tlkeras.reliability`, all for the same images.
        title: Figure title, ideally the result in one sentence. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`, independent of pyplot, whose `alt` attribute describes it in words.

    Raises:
        InputError: `measured` is empty.

    Example:

    >>> import tlkeras
    >>> found = tlkeras.reliability([0, 0, 0, 1], [[0.9, 0.1]] * 4)
    >>> reliability_figure({"as trained": found}).axes[0].get_title()
    'as trained: error 0.150'
    """
    if not measured:
        raise InputError(
            "`measured` must be a dict that maps names to results of `tlkeras.reliability`, and not be empty. "
            "Received: an empty dict."
        )
    figure = Illustration(figsize=(0.5 + 3.5 * len(measured), 4.6))
    panels = figure.subplots(2, len(measured), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1))
    for column, (name, one) in enumerate(measured.items()):
        _draw(*panels[:, column], name, one)
    panels[0, 0].set_ylabel("share of correct predictions", color=SOFT)
    panels[1, 0].set_ylabel("images", color=SOFT)
    words = (
        f"{name}: error {one.expected_calibration_error:.3f}, 95% interval {one.interval[0]:.3f} to "
        f"{one.interval[1]:.3f}, by chance {one.noise:.3f}"
        for name, one in measured.items()
    )
    return finish(figure, title or "", f"Predicted probability and share of correct predictions: {'; '.join(words)}.")


def _draw(upper, lower, name, one):
    used = [part for part in one.bins if part.images]
    lefts = [part.low for part in used]
    widths = [part.high - part.low for part in used]
    accuracies = np.array([part.accuracy for part in used])
    confidences = [part.confidence for part in used]
    style = {"align": "edge", "color": f"{HUES[0]}44", "edgecolor": HUES[0], "linewidth": 0.8}
    upper.bar(lefts, accuracies, widths, **style)
    # Two more correct and two more wrong predictions, as in `score`, so a single image does not look certain.
    counts = np.array([part.images for part in used])
    shares = (accuracies * counts + 2) / (counts + 4)
    errors = np.sqrt(shares * (1 - shares) / (counts + 4))
    upper.errorbar(confidences, accuracies, yerr=errors, fmt="o", color=INK, markersize=4, capsize=3, linewidth=1.2)
    upper.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1.5)
    along = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
    upper.text(0.72, 0.77, "calibrated", color=SOFT, fontsize=8, ha="center", **along)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    upper.set_title(f"{name}: error {one.expected_calibration_error:.3f}", fontsize=10)
    low, high = one.interval
    text = f"95% interval {low:.3f} to {high:.3f}\nby chance {one.noise:.3f}"
    upper.text(0.03, 0.97, text, va="top", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    lower.bar(lefts, counts, widths, **style)
    lower.set_xlabel("probability of the predicted class", color=SOFT)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
