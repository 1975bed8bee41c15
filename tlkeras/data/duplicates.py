"""Near-duplicates: images so alike that one of them in training would give away the other in the test."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Chosen by looking at every pair of clipart10 in order of distance: up to here they are the same drawing in
# other colors, another size or with a detail changed; then unrelated ones begin. Unrelated photographs differ
# in about half of the bits.
MAX_DISTANCE = 42
_MAX_ASPECT_RATIO = 1.1
_BLOCK = 2048
# A group of more images than this, of whose pairs fewer than this share are near-duplicates, is a chain.
_LARGE, _DENSE = 10, 0.25


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
    to a hash. Color, size, compression and slight retouching leave the fingerprint nearly as it was; rotation,
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
        int32 array of shape `(pairs, 3)`: the two indices, the smaller first, and the number of differing bits.
    """
    if not fingerprints:
        return np.empty((0, 3), "int32")
    # With bits as -1 and +1 the Hamming distance comes out of a matrix product, which is the fast way to all pairs.
    signs = np.stack([np.where(one.bits, 1, -1) for one in fingerprints]).astype("float32")
    aspects = np.array([one.log_aspect for one in fingerprints])
    bits = signs.shape[1]
    found = []
    for start in range(0, len(signs), _BLOCK):
        agreement = signs[start : start + _BLOCK] @ signs[start:].T
        first, second = np.nonzero(agreement >= bits - 2 * max_distance)
        distance = (bits - agreement[first, second]) / 2
        pairs = np.stack([first + start, second + start, distance], axis=1).astype("int32")
        alike = np.abs(aspects[pairs[:, 0]] - aspects[pairs[:, 1]]) <= np.log(_MAX_ASPECT_RATIO)
        found.append(pairs[(first < second) & alike])
    return np.concatenate(found)


def near_duplicate_groups(fingerprints: list[Fingerprint], max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Numbers the groups of images that are linked by near-duplicates, directly or through others.

    Where all images look much alike, as digits and X-rays do, such links would chain strangers together. So a
    large group in which few of the pairs are near-duplicates is taken apart again, by a tighter distance.

    Returns:
        int64 array of shape `(images,)`: the index of the first image of its group.
    """
    groups = np.arange(len(fingerprints))
    _link(groups, near_duplicate_pairs(fingerprints, max_distance), max_distance)
    return groups


def merge_groups(*groups: np.ndarray) -> np.ndarray:
    """Joins groupings: images that share a group in any of them end up in one.

    Example:

    >>> import numpy as np
    >>> merge_groups(np.array([0, 0, 2, 3]), np.array([0, 1, 1, 3]))
    array([0, 0, 0, 3])
    """
    count = len(groups[0])
    rows = np.tile(np.arange(count), len(groups))
    columns = np.concatenate(
        [np.unique(one, return_inverse=True)[1] + count * (number + 1) for number, one in enumerate(groups)]
    )
    links = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count * (len(groups) + 1),) * 2)
    _, first, component = np.unique(
        connected_components(links, directed=False)[1][:count], return_index=True, return_inverse=True
    )
    return first[component]


def _link(groups: np.ndarray, pairs: np.ndarray, max_distance: int) -> None:
    """Sets `groups` of all images in `pairs`."""
    images, ends = np.unique(pairs[:, :2], return_inverse=True)
    ends = ends.reshape(-1, 2)
    links = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(len(images), len(images)))
    count, component = connected_components(links, directed=False)
    pairs_of = component[ends[:, 0]]
    sizes, densities = np.bincount(component), np.bincount(pairs_of, minlength=count)
    densities = densities / np.maximum(sizes * (sizes - 1) / 2, 1)
    for number in range(count):
        if sizes[number] > _LARGE and densities[number] < _DENSE:
            inside = pairs[pairs_of == number]
            _link(groups, inside[inside[:, 2] <= max_distance * 3 // 4], max_distance * 3 // 4)
        else:
            members = images[component == number]
            groups[members] = members.min()


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
