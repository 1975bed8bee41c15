"""The findings of `check_images`: as a table, as JSON, as contact sheets, and files moved out of the way."""

import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tlkeras.data.reading import open_rgb, quiet
from tlkeras.errors import InputError
from tlkeras.evaluation.sheets import contact_sheet
from tlkeras.utils.files import check_outside

TINY, HUGE, ODD_ASPECT = 32, 50_000_000, 4.0
# All kinds of findings, the worst first, each with its severity and its meaning. With an error, training would go wrong
# or its result would be wrong. A warning is certain and may be meant. A hint is a guess, for a person to look at.
KINDS = {
    "unreadable": ("error", "empty or damaged; cannot be read as an image"),
    "unsupported": ("error", "a sound file of a kind that is not read, or one that may not be opened"),
    "leak": ("error", "the same or nearly the same picture lies in two splits"),
    "contradiction": ("error", "the same picture lies in two classes"),
    "imbalance": ("warning", "few images, absolutely or beside the largest class"),
    "exact_duplicate": ("warning", "the same file lies twice in a class"),
    "near_duplicate": ("warning", "nearly the same picture; load_images keeps them on one side of a split"),
    "blank": ("hint", "one color, or nearly so"),
    "placeholder": ("hint", "plain as no other image here, such as a notice that the image is not available"),
    "dark": ("hint", "nearly black"),
    "overexposed": ("hint", "nearly white"),
    "blurred": ("hint", "without one sharp edge"),
    "suspect_label": (
        "hint",
        "to a probe that did not see the image, another class is far likelier",
    ),
    "tiny": ("hint", f"a side of fewer than {TINY} pixels"),
    "huge": ("hint", f"more than {HUGE // 1_000_000} megapixels; slow to read"),
    "odd_aspect": ("hint", f"a side more than {ODD_ASPECT:g} times the other; resizing distorts it"),
    "odd_mode": ("hint", "neither RGB nor 8-bit grayscale; it is converted"),
    "wrong_extension": ("hint", "the name's ending does not fit the content"),
}

_LISTED, _NAMED = 10, 6  # findings per kind, and files per finding, that the table names


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes:
        kind: A key of `KINDS`.
        paths: The file or files concerned; empty for what concerns a class.
        detail: More about it, in a few words.
        score: For suspected labels the estimated probability that the label is wrong; for blank, dark,
            overexposed and blurred images and placeholders how severe the fault is; in [0, 1]. None for others.
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
    """The result of `check_images`. Print it for a table, which names the first ten of a kind; `findings` has all.

    Attributes:
        directory: str, the folder that was checked.
        images: dict from class to the number of its readable images.
        findings: tuple of `Finding`, the worst kinds first, and within a kind the highest scores first.
    """

    directory: str
    images: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Return whether there are no errors; warnings and hints are allowed."""
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
                lines.append(f"    and {len(findings) - _LISTED} more; --json lists all, --sheets draws them")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dicts, lists and strings."""
        findings = [{"severity": one.severity, **asdict(one), "paths": list(one.paths)} for one in self.findings]
        return {"directory": self.directory, "ok": self.ok, "images": self.images, "findings": findings}

    def contact_sheets(self, folder: str | os.PathLike, limit: int = 64, pages: int = 8) -> list[Path]:
        """Draw the images concerned, one PNG or several per kind, and return the files.

        The title of each page says how many of how many images it shows. Near-duplicates share a background.

        Args:
            folder: Folder to write to; created if necessary.
            limit: Highest number of images per page.
            pages: Highest number of pages per kind. The report lists all images.

        Raises:
            InputError: The folder lies within the directory, where it would count as a class.
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
                contact_sheet(
                    pictures,
                    ["\n".join([*path.rsplit("/", 1), detail]).rstrip() for _, path, detail in shown],
                    title=f"{kind}, {start + 1} to {start + len(shown)} of {len(suspects)} images: {meaning}",
                    groups=[number for number, _, _ in shown] if len(suspects) > len(findings) else (),
                ).save(written[-1])
        return written

    def quarantine(self, folder: str | os.PathLike) -> list[tuple[str, str]]:
        """Move empty and damaged files and extra copies of files to another folder; delete nothing.

        The first of several copies stays, and so do intact files in unsupported formats.

        Args:
            folder: Folder to move them to, under their paths within the directory. Files in it are never overwritten.

        Returns:
            The moves, as pairs of path before and path after.

        Raises:
            InputError: The folder lies within the directory, where it would count as a class, or has a file of the
                same name already. Nothing is moved then.
        """
        check_outside(folder, self.directory)
        surplus = [path for one in self.of("unreadable") for path in one.paths]
        surplus += [path for one in self.of("exact_duplicate") for path in one.paths[1:]]
        moves = [(Path(self.directory) / path, Path(folder) / path) for path in dict.fromkeys(surplus)]
        for _, target in moves:
            if target.exists():
                raise InputError(f"{str(target)!r} exists already; choose an empty quarantine folder.")
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
        return [(str(source), str(target)) for source, target in moves]


def _named(paths: tuple[str, ...]) -> str:
    more = len(paths) - _NAMED
    return " = ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
