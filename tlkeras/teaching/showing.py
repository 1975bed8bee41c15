"""Show findings and tables below a notebook cell, with a plain-text version for terminals and screen readers."""

import base64
import html
import io
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tlkeras.errors import InputError
from tlkeras.utils import tables


class Shown:
    """Content for a notebook: Markdown or HTML where that can be rendered, else plain text.

    Attributes:
        data: Dict that maps MIME types to content.
        text: The same content as plain text.
        details: Dict that maps MIME types to metadata, such as the size of a picture. Defaults to none.
    """

    def __init__(self, data: Mapping[str, Any], text: str, details: Mapping[str, Any] | None = None):
        self.data, self.text, self.details = dict(data), text, dict(details or {})

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {**self.data, "text/plain": self.text}
        return (data, self.details) if self.details else data

    def __repr__(self):
        return self.text


def show(shown):
    """Display content below the cell; outside notebooks, print its text."""
    if "IPython" in sys.modules:
        from IPython import display, get_ipython

        if get_ipython() is not None:
            display.display(shown)
            return
    print(shown.text)


def finding(markdown: str) -> None:
    """Say in a box what a figure or a number means, so that the finding can be understood without seeing the figure.

    Args:
        markdown: One or two sentences. Numbers in them should be inserted from variables.

    Example:

    >>> finding("Three of **four** are right.")
    Finding: Three of four are right.
    """
    show(callout("Finding", markdown))


def callout(label: str, markdown: str) -> Shown:
    """Format Markdown as a block quote with a bold label."""
    body = f"**{label}.** {markdown}".strip()
    quoted = "\n".join(f"> {line}".rstrip() for line in body.split("\n"))
    return Shown({"text/markdown": quoted}, f"{label}: {plain(markdown)}")


def plain(markdown: str) -> str:
    """Remove the Markdown syntax for bold, italic, code and links."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", markdown)
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text)
    text = re.sub(r"(?<![\w*])\*(\S(?:.*?\S)?)\*(?![\w*])", r"\1", text)
    return text.replace("`", "")


def show_figure(alt: str) -> None:
    """Show pyplot's current figure with a text alternative, such as the figures of `tlkeras` have.

    Args:
        alt: Description of the figure in words, for readers who cannot see it.

    Example:

    >>> from matplotlib import pyplot
    >>> lines = pyplot.plot([1, 2, 3])
    >>> show_figure("A line that rises from 1 to 3.")
    A line that rises from 1 to 3.
    """
    from matplotlib import pyplot  # only for notebooks that draw with it

    figure, file = pyplot.gcf(), io.BytesIO()
    figure.savefig(file, format="png", dpi=2 * figure.dpi, bbox_inches="tight")  # two pixels for each of the page
    pyplot.close(figure)
    width, height = (int.from_bytes(file.getvalue()[at : at + 4], "big") for at in (16, 20))
    size = {"width": width // 2, "height": height // 2, "alt": alt}
    show(Shown({"image/png": base64.b64encode(file.getvalue()).decode()}, alt, {"image/png": size}))


def table(rows: Sequence[Mapping[str, Any]], caption: str | None = None) -> Shown:
    """Format rows as a table to show below a cell.

    Args:
        rows: Dicts with the same keys, which are the names of the columns. Values are converted with `str`, so round
            and format numbers first.
        caption: Caption, ideally a one-sentence statement of the result. Defaults to none.

    Returns:
        `Shown`, which a notebook displays as HTML if it is the last expression of a cell. `str()` formats it as a text
        table.

    Raises:
        InputError: There are no rows, or the rows have different columns.

    Example:

    >>> table([{"block": "stem", "accuracy": "41%"}, {"block": "block6b", "accuracy": "68%"}])
    block    accuracy
    stem          41%
    block6b       68%
    """
    rows = list(rows)
    if not rows or any(list(row) != list(rows[0]) for row in rows):
        columns = sorted({tuple(row) for row in rows})
        raise InputError(f"`rows` must contain one or more dicts with the same keys. Received: columns {columns}.")
    cells = [[str(value) for value in row.values()] for row in rows]
    text = tables.table(list(rows[0]), cells)
    return Shown({"text/html": html_table(list(rows[0]), cells, caption)}, f"{caption}\n{text}" if caption else text)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str | None = None, bold=()) -> str:
    """Render a table as HTML that takes its colors from the page, with text left-aligned and numbers right-aligned.

    Args:
        header: Names of the columns.
        rows: Cell texts, one list per row.
        caption: Text above the table. Defaults to None, no text.
        bold: Indices of the rows to set in bold.
    """
    numeric = [all(re.match(r"[-+\u2212]?\d|$", row[column]) for row in rows) for column in range(len(header))]
    sides = ["right" if number else "left" for number in numeric]

    def line(tag, texts):
        cells = zip(texts, sides, strict=True)
        return "".join(f'<{tag} style="text-align:{side}">{html.escape(text)}</{tag}>' for text, side in cells)

    body = [f"<tr>{line('th' if number in bold else 'td', row)}</tr>" for number, row in enumerate(rows)]
    above = f'<caption style="text-align:left">{html.escape(caption)}</caption>' if caption else ""
    return f"<table>{above}<thead><tr>{line('th', header)}</tr></thead><tbody>{''.join(body)}</tbody></table>"
