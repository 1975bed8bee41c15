"""Checking a folder of images before training on it: most projects that fail do so in their data."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tlkeras.errors import InputError
from tlkeras.images.duplicates import Fingerprint, fingerprint, near_duplicate_groups
from tlkeras.images.listing import ImageFile, list_folder
from tlkeras.images.reading import ImageError, open_rgb, quiet, read_images
from tlkeras.images.sheets import contact_sheet

TINY, HUGE, ODD_ASPECT = 32, 50_000_000, 4.0
_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"}, "MPO": {".jpg", ".jpeg", ".mpo"}, "PNG": {".png"}, "GIF": {".gif"},
    "BMP": {".bmp", ".dib"}, "WEBP": {".webp"}, "TIFF": {".tif", ".tiff"}, "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "JPEG2000": {".jp2", ".j2k", ".jpx", ".jpf"}, "AVIF": {".avif"}, "ICO": {".ico"},
}  # fmt: skip

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
    "odd_mode": ("warning", "neither RGB nor 8-bit greyscale; it is converted"),
}


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
    """What `check_images` found. Print it for a table.

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
            if found:
                lines.append(f"{severity}: {kind} ({len(found)}): {meaning}")
                lines += [f"    {' = '.join(one.paths) or '-'}  {one.detail}".rstrip() for one in found]
        return "\n".join(lines if self.findings else [*lines, "nothing found"])

    def to_json(self) -> dict[str, Any]:
        """Gives the report as plain dicts, lists and strings."""
        findings = [{"severity": one.severity, **asdict(one), "paths": list(one.paths)} for one in self.findings]
        return {"directory": self.directory, "ok": self.ok, "images": self.images, "findings": findings}

    def contact_sheets(self, folder: str | os.PathLike, limit: int = 64) -> list[Path]:
        """Draws the suspects, one PNG a kind, and returns the files.

        Args:
            folder: where to write; created if need be.
            limit: images a sheet at most.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for kind in KINDS:
            shown = [(path, one.detail) for one in self.of(kind) for path in one.paths if kind != "unreadable"][:limit]
            if shown:
                with quiet():
                    pictures = [open_rgb(Path(self.directory) / path, (160, 160)) for path, _ in shown]
                captions = [detail if kind == "suspect_label" else Path(path).name for path, detail in shown]
                written.append(folder / f"{kind}.png")
                contact_sheet(pictures, captions).save(written[-1])
        return written

    def quarantine(self, folder: str | os.PathLike) -> list[tuple[str, str]]:
        """Moves away what is surely of no use: unreadable files, and exact copies but for the first. Deletes nothing.

        Args:
            folder: where to move them, under their paths within the directory. A file that is there already is
                never overwritten.

        Returns:
            The moves, as pairs of path before and path after.

        Raises:
            InputError: a file of that name is in the quarantine already; nothing has been moved then.
        """
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


def check_images(
    directory: str | os.PathLike,
    backbone: str | Callable[[np.ndarray], np.ndarray] | None = "efficientnet_lite0",
    *,
    image_size: tuple[int, int] = (224, 224),
    seed: int = 0,
) -> ImageReport:
    """Checks a folder of images: files, duplicates, leaks between splits, class sizes and labels.

    Labels are suspected by confident learning ([Northcutt et al.](https://arxiv.org/abs/1911.00068)): a linear
    probe on features of a pretrained backbone gives each image its class probabilities without having seen it or a
    near-duplicate of it. Suspects are the images whose own label has the lowest probability; how many, the
    probabilities tell. Expect to look at more than one sound image for each wrong one, and to miss wrong ones
    that come in numbers: where a class holds several knots, a probe learns that knots belong there.

    Args:
        directory: a folder with a sub-folder for each class; or `train`, `val`, `test` with those.
        backbone: name of a pretrained backbone, or a function from pixels `(n, height, width, 3)` in [0, 255] to
            features `(n, d)`, for the suspicion of labels. `None` leaves that out, which is much faster.
        image_size: `(height, width)` in pixels at which the backbone sees the images.
        seed: of the cross-validation.

    Returns:
        `ImageReport`.

    Raises:
        InputError: no such directory, or no class folders in it.

    Example:

    >>> import tlkeras
    >>> report = tlkeras.check_images("data/clipart10", backbone=None)
    >>> report.ok, len(report.of("near_duplicate"))
    (True, 35)
    """
    class_names, files = list_folder(directory)
    facts, findings = _inspect(files)
    findings += [finding for one in facts for finding in _file_findings(one)]
    groups = near_duplicate_groups([one.fingerprint for one in facts])
    findings += _duplicates(facts, groups)
    images = Counter(one.file.label for one in facts)
    findings += _imbalance({name: images[name] for name in class_names})
    if backbone is not None:
        findings += _suspects(facts, groups, backbone, image_size, seed)
    order = list(KINDS)
    findings.sort(key=lambda one: (order.index(one.kind), -(one.score or 0), one.paths))
    return ImageReport(str(directory), {name: images[name] for name in class_names}, tuple(findings))


def confident_suspects(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Finds labels that are probably wrong, by confident learning.

    How many: an image counts as one of another class where that class is the likeliest of those whose probability
    reaches its average over the images that bear its label. Which: as many as there are such images, those whose
    own label has the lowest probability, of the images that the model would label otherwise.

    Args:
        labels: int array of shape `(images,)`.
        probabilities: array of shape `(images, classes)`, each row from a model that did not see the image.

    Returns:
        The indices of the suspects, the least probable label first.
    """
    own = probabilities[np.arange(len(labels)), labels]
    usual = [own[labels == one].mean() if (labels == one).any() else np.inf for one in range(probabilities.shape[1])]
    confident = np.where(probabilities >= usual, probabilities, -np.inf)
    count = int((np.isfinite(confident.max(axis=1)) & (confident.argmax(axis=1) != labels)).sum())
    otherwise = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return otherwise[np.argsort(own[otherwise], kind="stable")][:count]


@dataclass(frozen=True)
class _Facts:
    file: ImageFile
    format: str
    mode: str
    width: int
    height: int
    digest: bytes
    fingerprint: Fingerprint


def _inspect(files: list[ImageFile]) -> tuple[list[_Facts], list[Finding]]:
    def look(file: ImageFile) -> _Facts | Finding:
        try:
            seen = fingerprint(open_rgb(file.path, (64, 64)))
        except ImageError as error:
            return Finding("unreadable", (file.key,), error.reason)
        with Image.open(file.path) as image:
            digest = blake2b(Path(file.path).read_bytes(), digest_size=16).digest()
            return _Facts(file, image.format, image.mode, *image.size, digest, seen)

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(look, files))
    return [one for one in found if isinstance(one, _Facts)], [one for one in found if isinstance(one, Finding)]


def _file_findings(one: _Facts) -> list[Finding]:
    size = f"{one.width} x {one.height}"
    suffix = Path(one.file.key).suffix.lower()
    checks = {
        "wrong_extension": (suffix not in _EXTENSIONS[one.format], f"{one.format}, named {suffix or 'nothing'}"),
        "tiny": (min(one.width, one.height) < TINY, size),
        "huge": (one.width * one.height > HUGE, size),
        "odd_aspect": (max(one.width, one.height) > ODD_ASPECT * min(one.width, one.height), size),
        "odd_mode": (one.mode not in ("RGB", "L"), one.mode),
    }
    return [Finding(kind, (one.file.key,), detail) for kind, (found, detail) in checks.items() if found]


def _duplicates(facts: list[_Facts], groups: np.ndarray) -> list[Finding]:
    findings = []
    by_digest, by_group = {}, {}
    for one, group in zip(facts, groups, strict=True):
        by_digest.setdefault(one.digest, []).append(one)
        by_group.setdefault(int(group), []).append(one)
    for copies in by_digest.values():
        keys, labels = tuple(one.file.key for one in copies), sorted({one.file.label for one in copies})
        if len(labels) > 1:
            findings.append(Finding("contradiction", keys, f"in {', '.join(labels)}"))
        elif len(copies) > 1 and len({one.file.part for one in copies}) == 1:
            findings.append(Finding("exact_duplicate", keys, ""))
    for alike in by_group.values():
        keys, parts = tuple(one.file.key for one in alike), sorted({one.file.part or "" for one in alike})
        if len(parts) > 1:
            findings.append(Finding("leak", keys, f"in {', '.join(parts)}"))
        elif len({one.digest for one in alike}) > 1:
            labels = sorted({one.file.label for one in alike})
            findings.append(Finding("near_duplicate", keys, f"in {', '.join(labels)}" if len(labels) > 1 else ""))
    return findings


def _imbalance(images: dict[str, int]) -> list[Finding]:
    largest = max(images.values())
    return [
        Finding("imbalance", (), f"class {name!r} has {count} images, the largest has {largest}")
        for name, count in images.items()
        if count < 10 or count * 10 < largest
    ]


def _suspects(
    facts: list[_Facts],
    groups: np.ndarray,
    backbone: str | Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    seed: int,
) -> list[Finding]:
    names, labels = np.unique([one.file.label for one in facts], return_inverse=True)
    folds = min(10, min(Counter(labels.tolist()).values(), default=0))
    if len(names) < 2 or folds < 2:
        return []
    features = pooled_features(backbone, size)
    paths = [one.file.path for one in facts]
    parts = [features(read_images(paths[start : start + 256], size)) for start in range(0, len(paths), 256)]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    # Matrices this small are multiplied faster by one thread.
    with threadpool_limits(1, user_api="blas"):
        probabilities = cross_val_predict(
            probe, np.concatenate(parts, dtype="float64"), labels, groups=groups, cv=folds, method="predict_proba"
        )
    return [
        Finding(
            "suspect_label",
            (facts[index].file.key,),
            f"{names[labels[index]]}? {names[probabilities[index].argmax()]} {probabilities[index].max():.2f}",
            1 - float(probabilities[index, labels[index]]),
        )
        for index in confident_suspects(labels, probabilities)
    ]


def pooled_features(
    backbone: str | Callable[[np.ndarray], np.ndarray], size: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Gives a function from pixels `(n, height, width, 3)` to features `(n, d)`."""
    if not isinstance(backbone, str):
        return backbone
    from tlkeras.backbones.build import backbone as build_backbone

    model = build_backbone(backbone, pooling="avg", input_shape=(*size, 3))
    return lambda images: model.predict(images, batch_size=32, verbose=0)
