"""What `check_images` finds, as a table, as JSON, as contact sheets, and what can be moved out of the way."""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tlkeras.data.reading import open_rgb, quiet
from tlkeras.errors import InputError
from tlkeras.evaluation.sheets import contact_sheet
from tlkeras.utils.files import check_outside

TINY, HUGE, ODD_ASPECT = 32, 50_000_000, 4.0
# What is found, whether it is an error (training on it would be wrong) or a warning, and what it means.
KINDS = {
    "unreadable": ("error", "cannot be read as an image"),
    "leak": ("error", "the same or nearly the same picture lies in two splits"),
    "contradiction": ("error", "the same picture lies in two classes"),
    "imbalance": ("warning", "few images, absolutely or beside the largest class"),
    "exact_duplicate": ("warning", "the same file lies twice in a class"),
    "near_duplicate": ("warning", "nearly the same picture; load_images keeps them on one side of a split"),
    "suspect_label": ("warning", "a probe that did not see the image gives another class"),
    "wrong_extension": ("warning", "the name's ending does not fit the content"),
    "tiny": ("warning", f"a side of fewer than {TINY} pixels"),
    "huge": ("warning", f"more than {HUGE // 1_000_000} megapixels; slow to read"),
    "odd_aspect": ("warning", f"a side more than {ODD_ASPECT:g} times the other; resizing distorts it"),
    "odd_mode": ("warning", "neither RGB nor 8-bit grayscale; it is converted"),
}

_LISTED, _NAMED = 50, 6  # findings a kind, and files a finding, that the table names


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes:
        kind: a key of `KINDS`.
        paths: the file or files concerned; empty for what concerns a class.
        detail: what exactly, in a few words.
        score: for a suspect label, the probability that the probe gives to all other classes, in [0, 1].
    """

    kind: str
    paths: tuple[str, ...]
    detail: str
    score: float | None = None

    @property
    def severity(self) -> str:
        return KINDS[self.kind][0]


@dataclass(frozen=True)
class ImageReport:
    """What `check_images` found. Print it for a table, which names the first 50 of a kind; `findings` has all.

    Attributes:
        directory: str, what was checked.
        images: dict from class to the number of its readable images.
        findings: tuple of `Finding`, by kind as in `KINDS`; suspect labels with the strongest suspicion first.
    """

    directory: str
    images: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not any(finding.severity == "error" for finding in self.findings)

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Gives the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def __str__(self) -> str:
        lines = [f"{self.directory}: {sum(self.images.values())} images, {len(self.images)} classes"]
        for kind, (severity, meaning) in KINDS.items():
            found = self.of(kind)
            if not found:
                continue
            lines.append(f"{severity}: {kind} ({len(found)}): {meaning}")
            files = [_named(one.paths) for one in found[:_LISTED]]
            width = min(60, max(map(len, files)))
            rows = (f"{file:{width}}  {one.detail}" for file, one in zip(files, found, strict=False))
            lines += [f"    {row.strip()}" for row in rows]
            if len(found) > _LISTED:
                lines.append(f"    and {len(found) - _LISTED} more, which JSON lists")
        return "\n".join(lines if self.findings else [*lines, "nothing found"])

    def to_json(self) -> dict[str, Any]:
        """Gives the report as plain dicts, lists and strings."""
        findings = [{"severity": one.severity, **asdict(one), "paths": list(one.paths)} for one in self.findings]
        return {"directory": self.directory, "ok": self.ok, "images": self.images, "findings": findings}

    def contact_sheets(self, folder: str | os.PathLike, limit: int = 64, pages: int = 8) -> list[Path]:
        """Draws the suspects, a kind on one PNG or, where they are many, on several, and returns the files.

        Each page says how many of how many it shows. Near-duplicates of one another lie on one background.

        Args:
            folder: where to write; created if need be.
            limit: images a page at most.
            pages: pages a kind at most; beyond them the report alone lists the rest.

        Raises:
            InputError: the folder lies within the directory, where it would count as a class.
        """
        check_outside(folder, self.directory)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for kind, (_, meaning) in KINDS.items():
            found = () if kind == "unreadable" else self.of(kind)
            suspects = [(number, path, one.detail) for number, one in enumerate(found) for path in one.paths]
            for start in range(0, min(len(suspects), limit * pages), limit):
                shown = suspects[start : start + limit]
                with quiet():
                    pictures = [open_rgb(Path(self.directory) / path, (160, 160)) for _, path, _ in shown]
                written.append(folder / (f"{kind}-{start // limit + 1}.png" if start else f"{kind}.png"))
                contact_sheet(
                    pictures,
                    ["\n".join([*path.rsplit("/", 1), detail]).rstrip() for _, path, detail in shown],
                    title=f"{kind}, {start + 1} to {start + len(shown)} of {len(suspects)} images: {meaning}",
                    groups=[number for number, _, _ in shown] if len(suspects) > len(found) else (),
                ).save(written[-1])
        return written

    def quarantine(self, folder: str | os.PathLike) -> list[tuple[str, str]]:
        """Moves away what is surely of no use: unreadable files, and exact copies but for the first. Deletes nothing.

        Args:
            folder: where to move them, under their paths within the directory. A file that is there already is
                never overwritten.

        Returns:
            The moves, as pairs of path before and path after.

        Raises:
            InputError: the quarantine lies within the directory, where it would count as a class, or a file of that
                name is in it already; nothing has been moved then.
        """
        check_outside(folder, self.directory)
        doomed = [path for one in self.of("unreadable") for path in one.paths]
        doomed += [path for one in self.of("exact_duplicate") for path in one.paths[1:]]
        moves = [(Path(self.directory) / path, Path(folder) / path) for path in dict.fromkeys(doomed)]
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
