"""Near-duplicates: images so alike that one of them in training would give away the other in the test."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Chosen by looking at every pair of clipart10 in order of distance: up to here they are the same drawing in
# other colours, another size or with a detail changed; then unrelated ones begin. Unrelated photographs differ
# in about half of the bits.
MAX_DISTANCE = 38
_MAX_ASPECT_RATIO = 1.1
_BLOCK = 2048


@dataclass(frozen=True)
class Fingerprint:
    """What near-duplicates have in common.

    Attributes:
        bits: bool array of shape `(192,)`: 64 of a DCT hash (pHash) and 128 of a gradient hash (dHash).
        log_aspect: natural logarithm of width / height.
    """

    bits: np.ndarray
    log_aspect: float


def fingerprint(image: Image.Image) -> Fingerprint:
    """Computes the perceptual fingerprint of an image.

    A plain margin is cut off first, because drawings and products on an empty background would all look alike
    to a hash. Colour, size, compression and slight retouching leave the fingerprint nearly as it was; rotation,
    mirroring and cropping do not.

    References: [pHash and dHash](https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html).
    """
    image = _without_margin(image.convert("L"))
    spectrum = dctn(_shrunk(image, 32, 32), norm="ortho")[:8, :8].ravel()
    wide, tall = _shrunk(image, 9, 8), _shrunk(image, 8, 9)
    bits = [spectrum > np.median(spectrum[1:]), np.diff(wide, axis=1).ravel() > 0, np.diff(tall, axis=0).ravel() > 0]
    return Fingerprint(np.concatenate(bits), float(np.log(image.width / image.height)))


def near_duplicate_pairs(fingerprints: list[Fingerprint], max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Finds all pairs of near-duplicates.

    Args:
        fingerprints: one an image.
        max_distance: how many of the 192 bits may differ; 0 asks for equal fingerprints.

    Returns:
        int64 array of shape `(pairs, 2)` of indices, the smaller first.
    """
    if not fingerprints:
        return np.empty((0, 2), "int64")
    # With bits as -1 and +1 the Hamming distance comes out of a matrix product, which is the fast way to all pairs.
    signs = np.stack([np.where(one.bits, 1, -1) for one in fingerprints]).astype("float32")
    aspects = np.array([one.log_aspect for one in fingerprints])
    pairs = []
    for start in range(0, len(signs), _BLOCK):
        rows = slice(start, start + _BLOCK)
        distance = (signs.shape[1] - signs[rows] @ signs[start:].T) / 2
        alike = np.abs(aspects[rows, None] - aspects[None, start:]) <= np.log(_MAX_ASPECT_RATIO)
        first, second = np.nonzero(np.triu((distance <= max_distance) & alike, k=1))
        pairs.append(np.stack([first, second], axis=1) + start)
    return np.concatenate(pairs)


def near_duplicate_groups(fingerprints: list[Fingerprint], max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Numbers the groups of images that are linked by near-duplicates, directly or through others.

    Returns:
        int64 array of shape `(images,)`: the index of the first image of its group.
    """
    count = len(fingerprints)
    pairs = near_duplicate_pairs(fingerprints, max_distance)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component].astype("int64")


def _shrunk(image: Image.Image, width: int, height: int) -> np.ndarray:
    return np.asarray(image.resize((width, height), Image.Resampling.BOX), "float64")


def _without_margin(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, "int16")
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    content = np.abs(pixels - np.median(border)) > 24
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    if len(rows) < 2 or len(columns) < 2:
        return image
    return image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
