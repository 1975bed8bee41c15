"""Check a folder of images before training on it: when a project fails, bad data is usually the reason."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from tlkeras.checks.backbone_features import Backbone
from tlkeras.checks.findings import HUGE, KINDS, ODD_ASPECT, TINY, Finding, ImageReport
from tlkeras.checks.quality import SIDE, Quality, measure_quality, poor_images
from tlkeras.checks.suspects import suspect_labels
from tlkeras.data.duplicates import Fingerprint, fingerprint, near_duplicate_groups
from tlkeras.data.listing import ImageFile, list_folder
from tlkeras.data.reading import ImageError, check_image_size, open_rgb, quiet

_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"}, "MPO": {".jpg", ".jpeg", ".mpo"}, "PNG": {".png"}, "GIF": {".gif"},
    "BMP": {".bmp", ".dib"}, "WEBP": {".webp"}, "TIFF": {".tif", ".tiff"}, "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "JPEG2000": {".jp2", ".j2k", ".jpx", ".jpf"}, "AVIF": {".avif"}, "ICO": {".ico"},
    "HEIF": {".heic", ".heif", ".hif"},
}  # fmt: skip


def check_images(
    directory: str | os.PathLike,
    backbone: Backbone | None = "efficientnet_lite0",
    *,
    image_size: int | tuple[int, int] = 224,
    seed: int = 0,
) -> ImageReport:
    """Check a folder of images for unreadable files, blank images, duplicates, leaks, small classes and wrong labels.

    To find suspect labels, a linear probe on features from a pretrained backbone predicts the class probabilities of
    each image. The image and its near-duplicates are held out when this probe is trained. The fraction of wrong labels
    and the reliability of the probe are estimated from how well the probabilities explain the labels. If the probe
    makes many errors, few labels are flagged. Expect to review two or three correct labels for each wrong one, and to
    miss systematic errors: if several dogs are labeled as cats, the probe learns that such dogs are cats. Classes with
    a single image are skipped.

    Args:
        directory: Folder with one folder per class, or with folders `train`, `val` and `test` that contain class
            folders.
        backbone: Name of a pretrained backbone, a Keras model, or a function that maps pixels of shape
            `(n, height, width, 3)` in [0, 255] to features of shape `(n, d)`; used to find suspect labels. `None` skips
            this step, which is much faster.
        image_size: `(height, width)` that images are resized to for the backbone, in pixels, or one integer for
            squares. Defaults to 224, the size that the default backbone was trained on.
        seed: Seed for the cross-validation. Defaults to 0.

    Returns:
        `ImageReport`. Its `ok` reflects errors only; suspect labels and unusual images are hints.

    Raises:
        InputError: The directory does not exist or has no class folders, or `backbone` or `image_size` is invalid.

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
    findings += [
        Finding(kind, (facts[index].file.key,), detail, score)
        for index, kind, detail, score in poor_images([one.quality for one in facts])
    ]
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
    highest: int
    fingerprint: Fingerprint
    quality: Quality


def _inspect(files: list[ImageFile]) -> tuple[list[_Facts], list[Finding]]:
    """Read all files; return facts about the files that are images, and a finding for each file that is not."""

    def look(file: ImageFile) -> _Facts | Finding:
        try:
            picture = open_rgb(file.path, (SIDE, SIDE))
        except ImageError as error:
            return Finding("unreadable" if error.damaged else "unsupported", (file.key,), error.reason)
        digest = blake2b(Path(file.path).read_bytes(), digest_size=16).digest()
        with Image.open(file.path) as image:
            highest = int(np.asarray(image).max()) if image.mode.startswith("I") else 255
            kind = (image.format, image.mode, *image.size, digest, highest)
        return _Facts(file, *kind, fingerprint(picture), measure_quality(picture))

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(look, files))
    return [one for one in results if isinstance(one, _Facts)], [one for one in results if isinstance(one, Finding)]


def _file_findings(one: _Facts) -> list[Finding]:
    """Run the checks that need only a single file."""
    size = f"{one.width} x {one.height}"
    suffix = Path(one.file.key).suffix.lower()
    usual = _EXTENSIONS.get(one.format, {suffix})
    checks = {
        "wrong_extension": (suffix not in usual, f"{one.format}, named {suffix or 'nothing'}"),
        "tiny": (min(one.width, one.height) < TINY, size),
        "huge": (one.width * one.height > HUGE, size),
        "odd_aspect": (max(one.width, one.height) > ODD_ASPECT * min(one.width, one.height), size),
        "odd_mode": (one.mode not in ("RGB", "L"), one.mode + ", read as 12 bits" * (255 < one.highest <= 4095)),
    }
    return [Finding(kind, (one.file.key,), detail) for kind, (is_odd, detail) in checks.items() if is_odd]


def _duplicates(facts: list[_Facts], groups: np.ndarray) -> list[Finding]:
    """Classify copies and near-duplicates by location: in one class, across classes, or across splits."""
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
    """Find the classes that are small, in absolute terms or relative to the largest class."""
    largest = max(images.values())
    return [
        Finding("imbalance", (), f"class {name!r} has {count} images, the largest has {largest}")
        for name, count in images.items()
        if count < 10 or count * 10 < largest
    ]
