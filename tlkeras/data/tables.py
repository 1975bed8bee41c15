"""Read tables of images and labels from CSV, TSV, JSON Lines or Parquet files, or from data frames."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkeras.errors import InputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """A table, stored as rows.

    Attributes:
        name: Name of the table in messages.
        columns: Names of the columns.
        rows: One dictionary per row, mapping column names to cells. Cells from CSV files are text.
        places: Position of each row in the source, such as "line 2".
    """

    name: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    places: list[str]

    def where(self, index: int) -> str:
        return f"{self.name}, {self.places[index]}"


def is_frame(source: Any) -> bool:
    """Return whether `source` is a pandas or Polars data frame."""
    return hasattr(source, "columns") and (hasattr(source, "iloc") or hasattr(source, "to_dicts"))


def read_table(source: Any) -> Table:
    """Read a table from a data frame, or from a file whose suffix indicates its format.

    Raises:
        InputError: The file does not exist, is not encoded in UTF-8 or is damaged, or the package that reads it is
            missing.
    """
    if is_frame(source):
        rows = source.to_dicts() if hasattr(source, "to_dicts") else source.to_dict("records")
        columns = tuple(map(str, source.columns))
        rows = [dict(zip(columns, row.values(), strict=True)) for row in rows]
        return Table("the data frame", columns, rows, [f"row {number}" for number in range(len(rows))])
    path = Path(source)
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}.")
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet(path)
        text = _decoded(path)
        return _json_lines(path, text) if path.suffix.lower() == ".jsonl" else _delimited(path, text)
    except OSError as error:
        raise InputError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # the encodings that Excel saves
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{str(path)!r} is not encoded in UTF-8 (line {line}). Save it as UTF-8, which Excel calls 'CSV UTF-8'."
        ) from error


def _delimited(path: Path, text: str) -> Table:
    header = text.split("\n", 1)[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, places, columns = [], [], ()
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):  # Excel adds blank lines at the end
                continue
            if not columns:
                columns = _checked_header(path, cells)
                continue
            if len(cells) != len(columns):
                raise InputError(
                    f"{str(path)!r}, line {reader.line_num} has {len(cells)} cells, but the header has "
                    f"{len(columns)}. Put cells that contain the delimiter in quotes."
                )
            rows.append(dict(zip(columns, cells, strict=True)))
            places.append(f"line {reader.line_num}")
    except csv.Error as error:
        raise InputError(f"{str(path)!r}, line {reader.line_num} is damaged: {error}.") from error
    return Table(repr(str(path)), columns, rows, places)


def _checked_header(path: Path, cells: list[str]) -> tuple[str, ...]:
    repeated = next((name for name in cells if cells.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{str(path)!r} has two columns named {repeated!r}. Rename or remove one.")
    return tuple(cells)


def _json_lines(path: Path, text: str) -> Table:
    rows, places = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{str(path)!r}, line {number} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise InputError(f"{str(path)!r}, line {number} must be a JSON object such as {{...}}.")
        rows.append(row)
        places.append(f"line {number}")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(repr(str(path)), columns, [{name: row.get(name) for name in columns} for row in rows], places)


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputError(
            "Reading Parquet files needs the package pyarrow. Run: pip install 'tlkeras[tables]'."
        ) from error
    try:
        table = parquet.read_table(path)
    except ArrowException as error:
        raise InputError(f"{str(path)!r} is not a Parquet file, or is damaged.") from error
    rows = table.to_pylist()
    return Table(repr(str(path)), tuple(table.column_names), rows, [f"row {number}" for number in range(len(rows))])
