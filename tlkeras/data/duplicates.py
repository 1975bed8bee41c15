"""Find near-duplicates: images so similar that one must not be in the training set if the other is in the test set.

A fast first pass compares the hashes of all pairs, but mistakes unrelated images for near-duplicates if all images
share a layout, as X-rays do. A second pass aligns the two images of each remaining pair and correlates their fine
detail; the required correlation depends on how similar the images of the collection are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tlkeras.data.duplicate_alignment import aligned_correlation

SIDE = 40  # of the reduced image; smaller images make it harder to tell X-rays of two people apart
# First pass: the largest number of the 192 bits that may differ. Unrelated photographs differ in about half of them.
# Among copies of 809 images, each changed in eleven ways (JPEG, size, crop, brightness), 99% stay within this limit.
_MAX_DISTANCE = 42
_MAX_ASPECT_RATIO = 1.1
# An image's likeness is its mean correlation with the most similar tenth of the collection, at least ten images.
# Medians: drawings 0.36, photographs 0.25, handwritten digits 0.65, chest X-rays 0.86. Between these two values, the
# thresholds rise from those for collections of dissimilar images to those for collections of similar images.
_UNLIKE, _ALIKE = 0.4, 0.6
_MIN_COARSE = (0.4, 0.7)  # correlation of the 63 lowest frequencies, before alignment
_MIN_FINE = (0.6, 0.88)  # correlation of fine detail, after alignment
_REFERENCES = 1000  # images that likeness is measured against, evenly spaced in a larger collection
# A group of more than _LARGE images is a chain of unrelated ones if fewer than _DENSE of _SAMPLE pairs are duplicates.
_LARGE, _DENSE, _SAMPLE = 10, 0.25, 200
_BLOCK = 2**20  # pairs of hashes compared at a time


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A reduced image, used to find near-duplicates.

    Attributes:
        pixels: uint8 array of shape `(40, 40)`: the image in gray, without its margin, stretched to a square.
        log_aspect: Natural logarithm of width / height, without the margin.
    """

    pixels: np.ndarray
    log_aspect: float


def fingerprint(image: Image.Image) -> Fingerprint:
    """Reduce an image to 40 x 40 gray pixels.

    A plain margin is cropped first, or else all drawings and products on an empty background would look alike.
    """
    image = _without_margin(image.convert("L"))
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
    return Fingerprint(pixels, float(np.log(image.width / image.height)))


def near_duplicate_pairs(fingerprints: list[Fingerprint]) -> np.ndarray:
    """Find all pairs of near-duplicates, including every pair within a large set of copies.

    Args:
        fingerprints: Results of `fingerprint`, one per image.

    Returns:
        int64 array of shape `(pairs, 2)`: the two indices of each pair, the smaller index first.
    """
    collection = _Collection(fingerprints)
    everyone = np.arange(len(fingerprints))
    pairs = [np.argwhere(alike > -1) + start for start, alike in collection.candidates(everyone, everyone)]
    return np.concatenate([np.empty((0, 2), "int64"), *(found[collection.same(found)] for found in pairs)])


def near_duplicate_groups(fingerprints: list[Fingerprint]) -> np.ndarray:
    """Group images that are near-duplicates of each other, directly or through a chain of near-duplicates.

    Resaved, resized, brightened or darkened, recolored and slightly cropped copies are near-duplicates; rotated and
    mirrored copies are not. If all images look very similar, as digits do, links can chain unrelated images together.
    A large group in which few of the pairs are near-duplicates is therefore split again with tighter thresholds.

    Memory use is about 2 KB per image. The second pass takes about 2 ms per image if all images are similar. The time
    of the first pass grows with the square of the number of images and reaches minutes for 100,000 images.

    Args:
        fingerprints: Results of `fingerprint`, one per image.

    Returns:
        int64 array of shape `(images,)`: for each image, the index of the first image in its group.

    References: [pHash and dHash](https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html) for the
    first pass.
    """
    collection = _Collection(fingerprints)
    groups, waiting = np.arange(len(fingerprints)), [(np.arange(len(fingerprints)), 0)]
    while waiting:
        members, level = waiting.pop()
        linked = collection.link(members, level)
        order = np.argsort(linked, kind="stable")
        for inside in np.split(order, np.flatnonzero(np.diff(linked[order])) + 1):
            group = members[inside]
            if len(group) > _LARGE and level < 4 and collection.share_of_same(group, level) < _DENSE:
                waiting.append((group, level + 1))
            elif len(group):
                groups[group] = group.min()
    return groups


def merge_groups(*groups: np.ndarray) -> np.ndarray:
    """Merge several groupings: images that share a group in any of the groupings share a group in the result.

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


class _Collection:
    """The fingerprints of a collection of images, and the arrays computed from them.

    Attributes:
        hashes: uint64 array of shape `(images, 3)`: 64 bits of a DCT hash (pHash) and 128 of a gradient hash (dHash).
        coarse: float32 array of shape `(images, 63)`: lowest frequencies, weighted by frequency; rows have length 1.
        aspects: float32 array of shape `(images,)`: natural logarithms of width / height.
        flat: bool array of shape `(images,)`: whether an image has a single color.
        likeness: float array of shape `(images,)`, from 0 (no other image is similar) to 1 (many are very similar).
    """

    def __init__(self, fingerprints: list[Fingerprint]):
        self.fingerprints = fingerprints
        count = len(fingerprints)
        self.aspects = np.array([one.log_aspect for one in fingerprints], "float32")
        self.hashes, self.coarse = np.empty((count, 3), "uint64"), np.empty((count, 63), "float32")
        self.flat = np.zeros(count, bool)
        for start in range(0, count, 1024):
            rows = slice(start, start + 1024)
            pixels = self._pixels(range(start, min(start + 1024, count)))
            self.hashes[rows], self.coarse[rows] = _hashes_and_spectra(pixels)
            self.flat[rows] = np.ptp(pixels, axis=(1, 2)) == 0
        self.likeness = _likeness(self.coarse)

    def _pixels(self, indices) -> np.ndarray:
        return np.stack([self.fingerprints[index].pixels for index in indices])

    def candidates(self, members: np.ndarray, groups: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Run the first pass over all pairs of `members`, in blocks of rows.

        Args:
            members: Indices of the images to compare, in ascending order.
            groups: The group of each member. Pairs within a group are left out. This array is read again for each
                block, so the caller may update it.

        Yields:
            The position `start` of a block's first row in `members`, and a float32 array of shape `(rows, after)`: the
            similarity of each row to each of the members from `start` on, or -1 if the first pass rules the pair out.
        """
        hashes, coarse, aspects = self.hashes[members], self.coarse[members], self.aspects[members]
        floors = _between(_MIN_COARSE, self.likeness[members]).astype("float32")
        rows = max(1, _BLOCK // max(1, len(members)))
        for start in range(0, len(members), rows):
            block, after = slice(start, start + rows), slice(start, None)
            near = _distances(hashes[block], hashes[after]) <= _MAX_DISTANCE
            near[:, : len(near)] &= np.triu(np.ones((len(near), len(near)), bool), 1)
            if not near.any():
                continue
            near &= np.abs(aspects[block, None] - aspects[after]) <= np.log(_MAX_ASPECT_RATIO)
            near &= groups[block, None] != groups[after]
            alike = coarse[block] @ coarse[after].T
            near &= alike >= np.maximum(floors[block, None], floors[after])
            yield start, np.where(near, alike, np.float32(-1))

    def same(self, pairs: np.ndarray, level: int = 0) -> np.ndarray:
        """Run the second pass on pairs of indices; each level allows a third less deviation than the level before."""
        same = np.empty(len(pairs), bool)
        for start in range(0, len(pairs), 4096):
            one, other = pairs[start : start + 4096].T
            likeness = np.maximum(self.likeness[one], self.likeness[other])
            least = 1 - (1 - _between(_MIN_FINE, likeness)) * (2 / 3) ** level
            correlation = aligned_correlation(self._pixels(one), self._pixels(other), least)
            same[start : start + 4096] = correlation >= least
        return same

    def link(self, members: np.ndarray, level: int) -> np.ndarray:
        """Group near-duplicates in `members`; return, for each member, the position of the first member of its group.

        Pairs within a group need no second pass, so each image is compared with the images of other groups in order of
        decreasing similarity, in batches of growing size, until a batch contains no near-duplicate.
        """
        groups = np.arange(len(members))
        if self.flat[members].any():
            groups[self.flat[members]] = np.flatnonzero(self.flat[members])[0]
        for start, alike in self.candidates(members, groups):
            rows, step = np.arange(len(alike)), 4
            while len(rows):
                pairs = _most_alike(alike, rows, step)
                alike[tuple(pairs.T)] = -1
                pairs += start
                _, once = np.unique(groups[pairs], axis=0, return_index=True)  # the best pair per two groups
                for one, other in pairs[once][self.same(members[pairs[once]], level)]:
                    low, high = sorted((groups[one], groups[other]))
                    groups[groups == high] = low
                rows = np.unique(pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]], 0]) - start
                alike[rows] = np.where(groups[start + rows, None] == groups[start:], -1, alike[rows])
                step *= 2
        return groups

    def share_of_same(self, group: np.ndarray, level: int) -> float:
        """Estimate the fraction of a group's pairs that are near-duplicates, from a sample of pairs."""
        rng = np.random.default_rng(0)
        first = rng.integers(0, len(group), _SAMPLE)
        second = (first + rng.integers(1, len(group), _SAMPLE)) % len(group)
        return float(self.same(np.stack([group[first], group[second]], 1), level).mean())


def _most_alike(alike: np.ndarray, rows: np.ndarray, step: int) -> np.ndarray:
    """Return up to `step` candidates per row as pairs of row and column, the most similar pair first."""
    alike = alike[rows]
    step = min(step, alike.shape[1])
    columns = np.argpartition(-alike, step - 1, axis=1)[:, :step]
    values = np.take_along_axis(alike, columns, axis=1).ravel()
    pairs = np.stack([np.repeat(rows, step), columns.ravel()], axis=1)
    order = np.argsort(-values, kind="stable")
    return pairs[order[values[order] > -1]]


def _between(ends: tuple[float, float], share: np.ndarray) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * share


def _hashes_and_spectra(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the hashes and the coarse spectra of reduced images of shape `(images, 40, 40)`."""
    pixels = pixels.astype("float32")
    spectra = dctn(pixels, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(pixels), 64)
    eighths, ninths = _averages(8), _averages(9)
    across = np.diff(eighths @ pixels @ ninths.T, axis=2).reshape(len(pixels), 64) > 0
    down = np.diff(ninths @ pixels @ eighths.T, axis=1).reshape(len(pixels), 64) > 0
    bits = np.concatenate([spectra > np.median(spectra[:, 1:], axis=1, keepdims=True), across, down], axis=1)
    hashes = np.packbits(bits, axis=1).view("uint64")
    # In natural images, higher frequencies are weaker. Weighting by frequency compensates for that.
    coarse = (spectra * np.hypot(*np.mgrid[:8, :8]).ravel())[:, 1:]
    return hashes, coarse / np.maximum(np.linalg.norm(coarse, axis=1, keepdims=True), 1e-6)


def _averages(parts: int) -> np.ndarray:
    """Return the matrix of shape `(parts, SIDE)` that averages a row of pixels over equal parts."""
    edges = np.linspace(0, SIDE, parts + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, SIDE + 1)) - np.maximum(edges[:-1, None], np.arange(SIDE))
    return (np.maximum(overlap, 0) * parts / SIDE).astype("float32")


def _likeness(coarse: np.ndarray) -> np.ndarray:
    """Rate each image from 0 (no other image is similar) to 1 (many others are very similar)."""
    references = np.arange(0, len(coarse), -(-len(coarse) // _REFERENCES) or 1)
    most_alike = max(10, len(references) // 10)
    likeness = np.empty(len(coarse))
    for start in range(0, len(coarse), 1024):
        correlations = coarse[start : start + 1024] @ coarse[references].T
        itself = np.arange(start, start + len(correlations))[:, None] == references
        highest = np.sort(np.where(itself, 0, correlations), axis=1)[:, -most_alike:]
        likeness[start : start + 1024] = np.maximum(highest, 0).sum(axis=1) / most_alike
    return np.clip((likeness - _UNLIKE) / (_ALIKE - _UNLIKE), 0, 1)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Count the differing bits of all pairs of hashes, shape `(first, second)`."""
    return sum(_count_ones(first[:, None, word] ^ second[None, :, word]) for word in range(3))


def _count_ones(words: np.ndarray) -> np.ndarray:
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(words)
    return _ONES[words[..., None].view("uint16")].sum(axis=-1, dtype="uint8")


_ONES = np.array([bin(number).count("1") for number in range(2**16)], "uint8")


def _without_margin(image: Image.Image) -> Image.Image:
    """Crop the margin if nine tenths of the border have the same color."""
    pixels = np.asarray(image, "int16")
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    color = np.median(border)
    if np.mean(np.abs(border - color) > 24) > 0.1:
        return image
    content = np.abs(pixels - color) > 24
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    if len(rows) < 2 or len(columns) < 2:
        return image
    return image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
