"""Compare methods on the same splits, as all notebooks do, and maintain the scoreboard of the course."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tlkeras.errors import InputError
from tlkeras.evaluation import comparison
from tlkeras.teaching.showing import Shown, html_table
from tlkeras.utils.tables import table as text_table
from tlkeras.utils.validation import check_integer, check_number

#: Type of output that the builder of the notebooks takes the rows from.
SCOREBOARD = "application/vnd.tlkeras.scoreboard+json"


def compare(scores: Mapping[str, ArrayLike], splits: Sequence[Any]) -> comparison.Comparison:
    """Compare two methods by their scores on the same splits: `tlkeras.compare` with names and split sizes filled in.

    Args:
        scores: Dict that maps the names of two methods to their scores, arrays of fractions of shape `(splits,)`.
        splits: The splits, from `lab.splits`.

    Returns:
        `Comparison`, which prints as one sentence: the difference, its interval, and whether the difference is
        statistically clear.

    Raises:
        InputError: `scores` does not contain exactly two methods, or the number of scores differs from the number of
            splits.

    Example:

    >>> from tlkeras.teaching import lab
    >>> splits = [lab.Split(np.arange(320), np.arange(320, 400))] * 4
    >>> print(compare({"A": [0.70, 0.74, 0.72, 0.69], "B": [0.31, 0.29, 0.36, 0.30]}, splits).verdict)
    A is better
    """
    if len(scores) != 2:
        raise InputError(f"`scores` must contain exactly two methods. Received: {len(scores)}.")
    (first, a), (second, b) = scores.items()
    return comparison.compare(a, b, names=(first, second), **_sizes(splits))


def interval(scores: ArrayLike, splits: Sequence[Any]) -> tuple[float, float, float]:
    """Compute a method's mean score and its 95% interval: `tlkeras.resampled_interval` with split sizes filled in.

    Args:
        scores: Fractions, an array of shape `(splits,)`.
        splits: The splits, from `lab.splits`.

    Returns:
        `(mean, low, high)`, which `tlkeras.dot_chart` and `scoreboard` accept.

    Example:

    >>> from tlkeras.teaching import lab
    >>> splits = [lab.Split(np.arange(320), np.arange(320, 400))] * 4
    >>> [round(value, 3) for value in interval([0.70, 0.74, 0.72, 0.69], splits)]
    [0.713, 0.663, 0.762]
    """
    return comparison.resampled_interval(scores, **_sizes(splits))


def counted(share: float, images: int) -> tuple[float, float, float]:
    """Compute the 95% interval of the fraction of correct predictions on one split (Wilson, 1927).

    The interval accounts only for the number of test images, not for the choice of training images, which would also
    differ in a new split.

    Args:
        share: Fraction of the test images that are classified correctly.
        images: Number of test images.

    Returns:
        `(share, low, high)`, like the result of `interval` for several splits.

    Example:

    >>> [round(value, 3) for value in counted(54 / 85, 85)]
    [0.635, 0.529, 0.73]
    """
    from scipy.stats import binomtest

    check_integer("images", images, minimum=1)
    exact = binomtest(round(check_number("share", share, "[0, 1]") * images), images)
    limits = exact.proportion_ci(0.95, "wilson")
    return float(share), float(limits.low), float(limits.high)


def scoreboard(notebook: str, rows: Mapping[str, Any], images: Any = "drawings, 160 px", splits: Any = 12) -> Shown:
    """Show the scoreboard of the course: the rows of earlier notebooks, then those of the current notebook, in bold.

    Args:
        notebook: Number of the notebook, such as `"03"`.
        rows: Dict that maps each approach to its accuracy on test images: a fraction, or `(fraction, low, high)` as
            returned by `interval` and `counted`. An empty dict adds nothing.
        images: Short description of the images on which the accuracies were measured, or a dict that maps approaches to
            such descriptions. Approaches missing from the dict get the default.
        splits: Number of splits, or a dict that maps approaches to numbers of splits. `""` means that there are no
            splits.

    Returns:
        `Shown`, which a notebook displays as a table. When a notebook is built, its rows are stored for later
        notebooks.

    Example:

    >>> scoreboard("00", {"always the largest class": 0.201}, images="drawings", splits="")
    notebook  approach                  images    splits  right
          00  always the largest class  drawings          20.1%
    """
    new = []
    for name, value in rows.items():
        of, over = (
            given.get(name, usual) if isinstance(given, Mapping) else given
            for given, usual in ((images, "drawings, 160 px"), (splits, 12))
        )
        right = [float(number) for number in np.atleast_1d(value)]
        new.append({"approach": name, "images": of, "splits": over, "right": right})
    return _board(notebook, new)


def stored_board(notebook: str) -> Shown:
    """Show the scoreboard of a notebook from stored rows only, including its own.

    Args:
        notebook: Number of the notebook, such as `"03"`.

    Example:

    >>> print(str(stored_board("00")).splitlines()[0].split())
    ['notebook', 'approach', 'images', 'splits', 'right']
    """
    return _board(notebook, [row for number, row in _stored() if number == notebook])


def _stored():
    """List `(notebook, row)` for all stored rows, in the order of the course."""
    folder = resources.files("tlkeras.teaching") / "measurements" / "scoreboard"
    if not folder.is_dir():
        return []
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return [(file.name[:2], row) for file in files for row in json.loads(file.read_text())]


def _board(notebook, new):
    """Show the stored rows of earlier notebooks, then the new rows in bold."""
    earlier = [(number, row) for number, row in _stored() if number < notebook]
    listed = [_line(*entry) for entry in [*earlier, *((notebook, row) for row in new)]]
    header = ["notebook", "approach", "images", "splits", "right"]
    bold = range(len(earlier), len(listed))
    data = {"text/html": html_table(header, listed, bold=bold), SCOREBOARD: new}
    return Shown(data, text_table(header, listed) if listed else "No approach has been measured yet.")


def percent(value: Any) -> str:
    """Format a fraction, with or without its interval, as a percentage.

    Args:
        value: A fraction, or `(fraction, low, high)` as returned by `interval`.

    Example:

    >>> percent(0.713), percent((0.713, 0.663, 0.762))
    ('71.3%', '71.3% (66.3 to 76.2)')
    """
    return _percent([float(number) for number in np.atleast_1d(value)])


def _percent(values):
    share, *limits = (100 * value for value in values)
    return f"{share:.1f}% ({limits[0]:.1f} to {limits[1]:.1f})" if limits else f"{share:.1f}%"


def _line(number, row):
    """Format a row of the scoreboard."""
    return [number, row["approach"], row["images"], str(row["splits"]), _percent(row["right"])]


def _sizes(splits):
    """Return the mean numbers of training and test images."""
    if not len(splits):
        raise InputError("`splits` must contain at least two splits. Received: none.")
    return {part: round(np.mean([len(getattr(split, part)) for split in splits])) for part in ("train", "test")}
