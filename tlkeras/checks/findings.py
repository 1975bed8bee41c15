"""Report the findings of `check_images` as a table, JSON or contact sheets, and move unusable files elsewhere."""

import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tlkeras.data.reading import open_rgb, quiet
from tlkeras.errors import InputError
from tlkeras.evaluation.sheets import contact_sheet
from tlkeras.utils.files import check_outside, save_picture

TINY, HUGE, ODD_ASPECT = 32, 50_000_000, 4.0
# All kinds of findings, the worst first, each with its severity and its meaning. An error makes training fail or its
# result wrong. A warning is certain but may be intended. A hint is a guess that a person should review.
KINDS = {
    "unreadable": ("error", "empty or damaged; cannot be read as an image"),
    "unsupported": ("error", "an intact file in an unsupported format, or a file without read permission"),
    "leak": ("error", "the same or nearly the same picture is in two splits"),
    "contradiction": ("error", "the same picture is in two classes"),
    "imbalance": ("warning", "few images, in absolute terms or compared with the largest class"),
    "exact_duplicate": ("warning", "the same file is in a class twice"),
    "near_duplicate": ("warning", "nearly the same picture; load_images keeps them in the same split"),
    "blank": ("hint", "a single color, or nearly so"),
    "placeholder": ("hint", "plainer than all other images; perhaps an 'image not available' notice"),
    "dark": ("hint", "nearly black"),
    "overexposed": ("hint", "nearly white"),
    "blurred": ("hint", "without any sharp edge"),
    "suspect_label": (
        "hint",
        "a probe that was not trained on the image finds another class far more likely",
    ),
    "tiny": ("hint", f"a side shorter than {TINY} pixels"),
    "huge": ("hint", f"more than {HUGE // 1_000_000} megapixels; slow to read"),
    "odd_aspect": (
        "hint",
        f"one side is more than {ODD_ASPECT:g} times as long as the other; resizing distorts the image",
    ),
    "odd_mode": ("hint", "neither RGB nor 8-bit grayscale; it is converted"),
    "wrong_extension": ("hint", "the file extension does not match the content"),
}

_LISTED, _NAMED = 10, 6  # number of findings per kind, and of files per finding, that the table lists


@dataclass(frozen=True)
class Finding:
    """One finding that a person should review.

    Attributes:
        kind: Kind of the finding, a key of `KINDS`.
        paths: The file or files concerned; empty if the finding concerns a class.
        detail: Short description of the finding.
        score: Score in [0, 1]. For suspect labels, the estimated probability that the label is wrong; for blank, dark,
            overexposed and blurred images and placeholders, the severity of the problem. None for all other kinds.
    """

    kind: str
    paths: tuple[str, ...]
    detail: str
    score: float | None = None

    @property
    def severity(self) -> str:
        """Return `"error"`, `"warning"` or `"hint"`."""
        return KINDS[self.kind][0]


@dataclass(frozen=True)
class ImageReport:
    """The result of `check_images`. Printing it shows a table with up to ten findings of each kind.

    Attributes:
        directory: Folder that was checked, str.
        images: Dictionary that maps each class to its number of readable images.
        findings: Tuple of `Finding`. The most severe kinds come first; within a kind, the highest scores come first.
    """

    directory: str
    images: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Return True if there are no errors; warnings and hints are allowed."""
        return not any(finding.severity == "error" for finding in self.findings)

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def __str__(self) -> str:
        counts = Counter(one.severity for one in self.findings)
        total = ", ".join(f"{n} {severity}{'s' * (n > 1)}" for severity, n in counts.items()) or "nothing found"
        lines = [f"{self.directory}: {sum(self.images.values())} images, {len(self.images)} classes; {total}"]
        for kind, (severity, meaning) in KINDS.items():
            findings = self.of(kind)
            if not findings:
                continue
            lines.append(f"{severity}: {kind} ({len(findings)}): {meaning}")
            files = [_named(one.paths) for one in findings[:_LISTED]]
            width = min(60, max(map(len, files)))
            rows = (f"{file:{width}}  {one.detail}" for file, one in zip(files, findings, strict=False))
            lines += [f"    {row.strip()}" for row in rows]
            if len(findings) > _LISTED:
                lines.append(f"    and {len(findings) - _LISTED} more; use --json to list all, --sheets to draw them")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dictionaries, lists, strings and numbers."""
        findings = [{"severity": one.severity, **asdict(one), "paths": list(one.paths)} for one in self.findings]
        return {"directory": self.directory, "ok": self.ok, "images": self.images, "findings": findings}

    def contact_sheets(self, folder: str | os.PathLike, limit: int = 64, pages: int = 8) -> list[Path]:
        """Draw the images of all findings, in one or more PNG files per kind, and return the paths of these files.

        The title of each page says which images the page shows and how many there are in total. Near-duplicates of one
        image share a background color.

        Args:
            folder: Folder to write to; created if necessary.
            limit: Maximum number of images per page. Defaults to 64.
            pages: Maximum number of pages per kind. Defaults to 8. The report itself lists all images.

        Raises:
            InputError: The folder is inside the directory, where it would be treated as a class.
        """
        check_outside(folder, self.directory)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for kind, (_, meaning) in KINDS.items():
            findings = () if kind in ("unreadable", "unsupported") else self.of(kind)
            suspects = [(number, path, one.detail) for number, one in enumerate(findings) for path in one.paths]
            for start in range(0, min(len(suspects), limit * pages), limit):
                shown = suspects[start : start + limit]
                with quiet():
                    pictures = [open_rgb(Path(self.directory) / path, (160, 160)) for _, path, _ in shown]
                written.append(folder / (f"{kind}-{start // limit + 1}.png" if start else f"{kind}.png"))
                sheet = contact_sheet(
                    pictures,
                    ["\n".join([*path.rsplit("/", 1), detail]).rstrip() for _, path, detail in shown],
                    title=f"{kind}, {start + 1} to {start + len(shown)} of {len(suspects)} images: {meaning}",
                    groups=[number for number, _, _ in shown] if len(suspects) > len(findings) else (),
                )
                save_picture(sheet.save, written[-1])
        return written

    def quarantine(self, folder: str | os.PathLike) -> list[tuple[str, str]]:
        """Move empty files, damaged files and extra copies to a separate folder; nothing is deleted.

        The first of several copies stays where it is, and so do intact files in unsupported formats.

        Args:
            folder: Folder to move the files to. The files keep their paths relative to the directory. Existing files
                are never overwritten.

        Returns:
            A list of the moves, each a pair of the old and the new path.

        Raises:
            InputError: The folder is inside the directory, where it would be treated as a class, or already contains
                one of the files. In both cases, nothing is moved.
        """
        check_outside(folder, self.directory)
        surplus = [path for one in self.of("unreadable") for path in one.paths]
        surplus += [path for one in self.of("exact_duplicate") for path in one.paths[1:]]
        moves = [(Path(self.directory) / path, Path(folder) / path) for path in dict.fromkeys(surplus)]
        for _, target in moves:
            if target.exists():
                raise InputError(f"{str(target)!r} already exists. Choose an empty quarantine folder.")
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
        return [(str(source), str(target)) for source, target in moves]


def _named(paths: tuple[str, ...]) -> str:
    more = len(paths) - _NAMED
    return " = ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
