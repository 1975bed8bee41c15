"""Compare all export formats and quantizations of one run on the same images."""

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from tlkeras.errors import InputError
from tlkeras.exporters.options import MODEL_FILES, QUANTIZATIONS
from tlkeras.exporters.report import candidate_rows, rows_text
from tlkeras.utils.files import check_folder
from tlkeras.utils.tables import Table
from tlkeras.utils.validation import check_choice, check_integer


class Comparison(Table):
    """Rows of a comparison: dicts with `format`, `quantization`, `bytes`, `ms_1` and so on. They print as a table."""

    def __str__(self) -> str:
        return rows_text(self, first=("format", "quantization"))


def check_comparison(
    formats: Collection[str] | None = None, threads: Sequence[int] | None = None, chart: Path | None = None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Check the arguments of a comparison.

    Args:
        formats: Names of the formats to compare. Defaults to None, which means all.
        threads: Thread counts with which to time each file. Defaults to None, which means 1 and 2.
        chart: Path of the chart to write. Defaults to None, which writes no chart.

    Returns:
        `(formats, threads)`.

    Raises:
        InputError: A format is unknown, a number of threads is not positive, or the chart cannot be written.

    Example:

    >>> check_comparison(["litert"])
    (('litert',), (1, 2))
    """
    formats, threads = tuple(formats or MODEL_FILES), tuple(sorted(set(threads or (1, 2))))
    for name in formats:
        check_choice("format", name, tuple(MODEL_FILES))
    for count in threads:
        check_integer("threads", count, 1)
    if chart is not None:
        if chart.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"`chart` must end in .png, .svg or .pdf. Received: chart={str(chart)!r}.")
        check_folder(chart.parent)
    return formats, threads


def compare_exports(
    model: Any,
    formats: Collection[str] | None = None,
    threads: Sequence[int] | None = None,
    *,
    images: Any = None,
    class_names: Sequence[str] | None = None,
    seconds: float = 1.0,
    on_format: Callable[[str], None] | None = None,
) -> Comparison:
    """Export a model in all formats and quantizations to temporary files, and measure each file.

    Args:
        model: As in `tlkeras.export`.
        formats: Names of the formats to compare. Defaults to None, which means all.
        threads: Thread counts with which to time each file. Defaults to None, which means 1 and 2.
        images: As in `tlkeras.export`.
        class_names: As in `tlkeras.export`.
        seconds: Seconds of timing for each combination of file and number of threads. Defaults to 1.
        on_format: Function that is called with the name of each format before it is measured. Defaults to None.

    Returns:
        `Comparison`: a tuple of dicts, which prints as a table. A format that cannot be written has a row with the
        reason in `refused`.
    """
    from tlkeras.exporters.candidates import measure_candidates
    from tlkeras.exporters.subject import subject_of

    formats, threads = check_comparison(formats, threads)
    subject, rows = subject_of(model, images, class_names), []
    for format in formats:
        if on_format is not None:
            on_format(format)
        with tempfile.TemporaryDirectory(prefix="tlkeras-") as folder:
            try:
                candidates = measure_candidates(
                    subject, format, QUANTIZATIONS[format], 1, Path(os.fspath(folder)), threads, seconds
                )
            except InputError as error:
                rows.append({"format": format, "quantization": "all", "refused": str(error)})
                continue
            rows += [{"format": format, **row} for row in candidate_rows(candidates, None)]
    return Comparison(rows)
