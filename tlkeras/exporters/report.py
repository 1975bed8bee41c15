"""Report of an export: the contents of `export.json`, as a dict and as text."""

import os
from dataclasses import dataclass
from pathlib import Path

from tlkeras.exporters.processor import has_int8_dot_products
from tlkeras.exporters.verification import failure
from tlkeras.utils.tables import table

#: Keys of the results of `tlkeras.exporters.verification.compare` that each row of the table contains.
_MEASURED = (
    *("agreement", "largest_difference", "unknown_agreement"),
    *("accuracy", "drop", "drop_interval", "lost", "gained"),
)


@dataclass(frozen=True)
class Export:
    """An exported file and its verification.

    Attributes:
        path: Path of the file or of a SavedModel's folder, `pathlib.Path`.
        report: Contents of `export.json`, a dict. See docs/deployment.md.
    """

    path: Path
    report: dict

    def __str__(self) -> str:
        return export_text(self.report)


def report_of(options, subject, candidates, chosen, why, size, labels):
    """Build the contents of `export.json`.

    Args:
        options: `tlkeras.exporters.options.Options` of the export.
        subject: `tlkeras.exporters.subject.Subject` that was exported.
        candidates: `tlkeras.exporters.candidates.Candidates` that were measured.
        chosen: Name of the quantization used in the exported file.
        why: One sentence explaining the choice of quantization.
        size: Size of the file with its labels, in bytes.
        labels: Dict of labels, from which the provenance is copied.

    Returns:
        Dict that can be written as JSON.
    """
    verified = candidates.measured[chosen]
    return {
        "format": options.format,
        "quantization": chosen,
        "why": why,
        "batch": options.batch,
        "bytes": size,
        "images": {
            "count": len(subject.pixels),
            "what": subject.described,
            "seen_in_training": subject.seen,
            "calibrated_on": len(subject.calibration),
        },
        "verified": {key: value for key, value in verified.items() if key not in ("bytes", "milliseconds")},
        "candidates": candidate_rows(candidates, options.max_drop),
        "machine": {"cores": os.cpu_count(), "int8_dot_products": has_int8_dot_products()},
        "provenance": labels["provenance"],
    }


def candidate_rows(candidates, max_drop):
    """List the measured quantizations, then those that could not be written, as flat dicts."""
    rows = []
    for name, result in candidates.measured.items():
        row = {"quantization": name, "bytes": result["bytes"]}
        row |= {f"ms_{threads}": value for threads, value in result["milliseconds"].items()}
        row |= {key: result[key] for key in _MEASURED if key in result}
        failed = failure(result, max_drop)
        rows.append({**row, **({"failed": failed} if failed else {})})
    return rows + [{"quantization": name, "refused": why} for name, why in candidates.refused.items()]


def export_text(report):
    """Format the contents of `export.json` as a table and sentences."""
    lines = [rows_text(report["candidates"], report["quantization"]), ""]
    images, verified = report["images"], report["verified"]
    lines.append(report["why"])
    text = f"Verified on {images['count']} {images['what']}: the same answer for {verified['agreement']:.1%}, "
    text += f"largest probability difference {verified['largest_difference']:.1e}"
    if "drop" in verified:
        low, high = verified["drop_interval"]
        text += f"; accuracy {verified['accuracy']:.3f}, in Keras {verified['keras_accuracy']:.3f} "
        text += f"(drop {verified['drop']:+.3f}, 95% interval {low:+.3f} to {high:+.3f})"
    if "unknown" in verified:
        text += f"; called unknown {verified['unknown']:.1%}, in Keras {verified['keras_unknown']:.1%} "
        text += f"(same decision for {verified['unknown_agreement']:.1%})"
    lines.append(f"{text}.")
    if images["seen_in_training"]:
        all_seen = images["seen_in_training"] == images["count"]
        seen = "All" if all_seen else f"{images['seen_in_training']} of"
        lines.append(
            f"{seen} these images were used in training, so the accuracy is too optimistic, and "
            "answers for new images may change more often. Choose other images with --images."
        )
    worse = [one for one in verified.get("classes", ()) if one["images"] and one["export"] < one["keras"]]
    if worse:
        listed = (f"{one['name']} {one['keras']:.2f} -> {one['export']:.2f}" for one in worse)
        lines.append(f"Classes with lower accuracy: {', '.join(listed)}.")
    return "\n".join(lines)


def rows_text(rows, chosen=None, first=("quantization",)):
    """Format rows as a table, followed by the reasons why some files could not be written.

    Args:
        rows: Dicts from `candidate_rows`.
        chosen: Name of the quantization to mark. Defaults to None, which marks no row.
        first: Keys of the first columns. Defaults to `("quantization",)`.
    """
    threads = sorted({key for row in rows for key in row if key.startswith("ms_")})
    header = (*first, "MB", *(f"ms, {key[3:]} thread{'s' if key != 'ms_1' else ''}" for key in threads))
    unknown = any("unknown_agreement" in row for row in rows)
    header += ("same answer", *(("same unknown",) if unknown else ()), "accuracy", "")
    cells = []
    for row in rows:
        if "refused" not in row:
            accuracy = f"{row['accuracy']:.3f}" if "accuracy" in row else "-"
            note = "loses too much" if "failed" in row else "chosen" if row["quantization"] == chosen else ""
            times = (f"{row[key]:.1f}" if key in row else "-" for key in threads)
            head = (str(row[key]) for key in first)
            same = (row[key] for key in ("agreement", *(("unknown_agreement",) if unknown else ())))
            same = (f"{share:.3f}" for share in same)
            cells.append((*head, f"{row['bytes'] / 1e6:.2f}", *times, *same, accuracy, note))
    refused = {}
    for row in rows:
        if "refused" in row:
            refused.setdefault(row["refused"], []).append(" ".join(str(row[key]) for key in first))
    return "\n".join(
        [table(header, cells), *(f"Not written: {', '.join(names)}: {why}" for why, names in refused.items())]
    )
