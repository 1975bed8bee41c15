"""Add the verification of exported files to an existing page, in one section per format."""

import re

from markupsafe import Markup

from tlkeras.report.wording import percent, size
from tlkeras.utils.files import file_written_whole

#: Placeholder in the page before which the sections are inserted.
PLACE = "<!-- exports -->"

_SECTION = Markup(
    """<!-- export {format} -->
<section id="export-{format}" aria-labelledby="export-{format}-title">
<h2 id="export-{format}-title">Export: {format}</h2>
<p>{why}</p>
<p class="soft">{proof}</p>
<div class="wide" tabindex="0" role="region" aria-label="Variants of {format}">
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>
</section>
<!-- end of export {format} -->
"""
)
_COLUMNS = {
    "quantization": ("Weights", str),
    "bytes": ("Size", size),
    "accuracy": ("Accuracy", percent),
    "drop": ("Drop", lambda share: f"{100 * share:.1f} points"),
    "agreement": ("Same answer as Keras", percent),
    "unknown_agreement": ("Same unknown decision", percent),
    "largest_difference": ("Largest difference", "{:.2g}".format),
}


def add_export(path, report):
    """Add an export to a run's page, replacing any earlier export in that format.

    Args:
        path: Path of `report.html`, `pathlib.Path`.
        report: Contents of `export.json`.
    """
    page = with_export(path.read_text("utf-8"), report)
    with file_written_whole(path) as part:
        part.write_text(page, "utf-8")


def with_export(page, report):
    """Return a page with an added section for an export.

    Args:
        page: HTML that `render_page` returned.
        report: Dict with `format`, `why`, `images` and `candidates`, a list of flat dicts, one per quantization that
            was measured or could not be written.

    Example:

    >>> report = {"format": "litert", "why": "Small.", "candidates": [{"quantization": "int8", "agreement": 0.99}]}
    >>> "99.0%" in with_export(f"<main>{PLACE}</main>", report)
    True
    """
    name = re.sub(r"\W", "", report["format"])
    page = re.sub(f"<!-- export {name} -->.*?<!-- end of export {name} -->\n", "", page, flags=re.DOTALL)
    rows = report["candidates"]
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in ("failed", "refused")]
    titles = [_COLUMNS[key][0] if key in _COLUMNS else _title(key) for key in columns]
    if any(not row.keys().isdisjoint(("failed", "refused")) for row in rows):
        titles.append("")
    images = report.get("images", {})
    section = _SECTION.format(
        format=name,
        why=report.get("why", ""),
        proof=f"Opened by its own runtime and compared with Keras on {images['count']} {images['what']}."
        if images
        else "",
        head=_join(('<th scope="col"{}>{}</th>' if text else "<td{}>{}</td>", _kind(at), text) for at, text in
                   enumerate(titles)),
        rows=_join(("<tr>{}{}</tr>\n", _cells(row, columns, report.get("quantization")), _note(row)) for row in rows),
    )  # fmt: skip
    return page.replace(PLACE, str(section) + PLACE, 1)


def _join(parts):
    return Markup("").join(Markup(template).format(*values) for template, *values in parts)


def _kind(column):
    return Markup(' class="text"') if column == 0 else ""


def _cells(row, columns, chosen):
    texts = [_shown(key, row.get(key)) for key in columns]
    if columns and row.get(columns[0]) == chosen and chosen is not None:
        texts[0] = Markup("<strong>{}</strong> (delivered)").format(texts[0])
    return _join(("<td{}>{}</td>", _kind(at), text) for at, text in enumerate(texts))


def _note(row):
    """Return a cell with the reason why a quantization cannot be used, if any."""
    note = row.get("failed") or row.get("refused")
    return Markup('<td class="text">{}</td>').format(note) if note else ""


def _shown(key, value):
    if value is None:
        return "–"
    if key in _COLUMNS:
        return _COLUMNS[key][1](value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _title(key):
    """Return the title of a column. For example, `ms_4` is the time with four threads."""
    if match := re.fullmatch(r"ms_(\d+)", key):
        return f"ms, {match[1]} thread{'' if match[1] == '1' else 's'}"
    return key.replace("_", " ").capitalize()
