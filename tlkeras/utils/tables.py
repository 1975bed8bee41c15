"""Format tables as text."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows as aligned text, with words aligned left and numbers aligned right.

    Example:

    >>> print(table(("block", "layers"), [("stem", "2"), ("head", "10")]))
    block  layers
    stem        2
    head       10
    """
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [any(cell[:1].isdigit() for cell in column) for column in columns]
    lines = []
    for row in (header, *rows):
        cells = (f"{c:>{w}}" if right else f"{c:<{w}}" for c, w, right in zip(row, widths, numeric, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


class Table(tuple):
    """A tuple of rows that prints as a table. A slice of it is also a table."""

    __slots__ = ()

    def __getitem__(self, key):
        rows = super().__getitem__(key)
        return type(self)(rows) if isinstance(key, slice) else rows
