"""Checking a folder of images before training on it: most projects that fail do so in their data."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from tlkeras.checks.findings import HUGE, KINDS, ODD_ASPECT, TINY, Finding, ImageReport
from tlkeras.checks.suspects import suspect_labels
from tlkeras.data.duplicates import Fingerprint, fingerprint, near_duplicate_groups
from tlkeras.data.listing import ImageFile, list_folder
from tlkeras.data.reading import ImageError, check_image_size, open_rgb, quiet

_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"}, "MPO": {".jpg", ".jpeg", ".mpo"}, "PNG": {".png"}, "GIF": {".gif"},
    "BMP": {".bmp", ".dib"}, "WEBP": {".webp"}, "TIFF": {".tif", ".tiff"}, "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "JPEG2000": {".jp2", ".j2k", ".jpx", ".jpf"}, "AVIF": {".avif"}, "ICO": {".ico"},
}  # fmt: skip


def check_images(
    directory: str | os.PathLike,
    backbone: str | Callable[[np.ndarray], np.ndarray] | None = "efficientnet_lite0",
    *,
    image_size: int | tuple[int, int] = 224,
    seed: int = 0,
) -> ImageReport:
    """Checks a folder of images: files, duplicates, leaks between splits, class sizes and labels.

    Labels are suspected by confident learning ([Northcutt et al.](https://arxiv.org/abs/1911.00068)): a linear
    probe on features of a pretrained backbone gives each image its class probabilities without having seen it or a
    near-duplicate of it. Suspects are the images whose own label has the lowest probability; how many, the
    probabilities tell. Expect to look at more than one sound image for each wrong one, and to miss wrong ones
    that come in numbers: where a class holds several knots, a probe learns that knots belong there. A class of one
    picture is left out: none would be left to learn from.

    Args:
        directory: a folder with a sub-folder for each class; or `train`, `val`, `test` with those.
        backbone: name of a pretrained backbone, or a function from pixels `(n, height, width, 3)` in [0, 255] to
            features `(n, d)`, for the suspicion of labels. `None` leaves that out, which is much faster.
        image_size: height and width in pixels at which the backbone sees the images, or one integer for both.
        seed: of the cross-validation.

    Returns:
        `ImageReport`.

    Raises:
        InputError: no such directory, no class folders in it, or a backbone or size that cannot be used.

    Example:

    >>> import tlkeras
    >>> report = tlkeras.check_images("data/clipart10", backbone=None)
    >>> report.ok, len(report.of("near_duplicate"))
    (True, 29)
    """
    size = check_image_size(image_size)
    class_names, files = list_folder(directory)
    facts, findings = _inspect(files)
    findings += [finding for one in facts for finding in _file_findings(one)]
    groups = near_duplicate_groups([one.fingerprint for one in facts])
    findings += _duplicates(facts, groups)
    images = Counter(one.file.label for one in facts)
    findings += _imbalance({name: images[name] for name in class_names})
    if backbone is not None:
        findings += suspect_labels([one.file for one in facts], groups, backbone, size, seed)
    order = list(KINDS)
    findings.sort(key=lambda one: (order.index(one.kind), -(one.score or 0), one.paths))
    return ImageReport(str(directory), {name: images[name] for name in class_names}, tuple(findings))


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
