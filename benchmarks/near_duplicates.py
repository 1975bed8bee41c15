"""Measure the search for near-duplicates: what it finds, how long it takes, and how much memory.

Each image of a folder is copied in eleven ways (JPEG, size, crop, brightness, gray) and mirrored. The table has recall
per change, and the precision among all pairs of different images. With `--alike N` or `--unlike N`, N fingerprints are
made, a tenth of which are copies of others: `--alike` shares one mean image, as X-rays do. Run from the repository's
root: `python benchmarks/near_duplicates.py data/clipart10 --alike 5000 --unlike 5000`; `--quick` takes a tenth.
"""

import argparse
import io
import resource
from time import process_time

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter

from tlkeras.data.duplicates import SIDE, Fingerprint, fingerprint, near_duplicate_groups, near_duplicate_pairs
from tlkeras.data.listing import list_folder
from tlkeras.data.reading import ImageError, open_rgb


def _jpeg(image, quality):
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")


def _crop(image, left, top, share=0.03):
    width, height = image.size
    x, y = round(width * share * left), round(height * share * top)
    return image.crop((x, y, width - round(width * share) + x, height - round(height * share) + y))


CHANGES = {
    "JPEG 30": lambda image: _jpeg(image, 30),
    "JPEG 60": lambda image: _jpeg(image, 60),
    "JPEG 90": lambda image: _jpeg(image, 90),
    "half size": lambda image: image.resize([max(1, side // 2) for side in image.size]),
    "double size": lambda image: image.resize([2 * side for side in image.size]),
    "100 pixels wide": lambda image: image.resize((100, max(1, round(100 * image.height / image.width)))),
    "crop 3% middle": lambda image: _crop(image, 0.5, 0.5),
    "crop 3% corner": lambda image: _crop(image, 1, 1),
    "brightness 1.2": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "brightness 0.8": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "gray": lambda image: image.convert("L").convert("RGB"),
}


def report_on_folder(folder):
    """Print recall per change, precision, and how many mirrored images count as near-duplicates."""
    images = []
    for file in list_folder(folder)[1]:
        try:
            images.append(open_rgb(file.path))
        except ImageError:
            continue
    originals, count = [fingerprint(image) for image in images], len(images)
    related = set(map(tuple, near_duplicate_pairs(originals).tolist()))
    right = wrong = 0
    print(f"\n{folder}: {count} images, {len(related)} pairs of near-duplicates among them")
    for name, change in CHANGES.items():
        pairs = near_duplicate_pairs(originals + [fingerprint(change(image)) for image in images])
        across = [(one, other - count) for one, other in pairs.tolist() if one < count <= other]
        kept = sum(one == other for one, other in across)
        right += kept
        wrong += sum(one != other and (min(one, other), max(one, other)) not in related for one, other in across)
        print(f"    {name:16} recall {kept / count:.3f}")
    print(f"    precision over all changes {right / (right + wrong):.4f}")
    pairs = near_duplicate_pairs(originals + [fingerprint(ImageOps.mirror(image)) for image in images])
    called = {one for one, other in pairs.tolist() if other == one + count}
    likeness = np.array([_symmetry(image) for image in images])
    symmetric = np.isin(np.arange(count), list(called))
    print(f"    mirrored ones called near-duplicates {len(called) / count:.3f}")
    for name, chosen in (("these", symmetric), ("others", ~symmetric)):
        if chosen.any():
            low, middle = np.quantile(likeness[chosen], [0, 0.5])
            print(f"    correlation of {name} with their own mirror images: least {low:.2f}, median {middle:.2f}")


def _symmetry(image):
    """Correlate a picture, without its white margin, with its own mirror image."""
    dark = 255 - np.asarray(image.convert("L").resize((128, 128)), "float32")
    rows, columns = np.flatnonzero((dark > 24).any(axis=1)), np.flatnonzero((dark > 24).any(axis=0))
    if len(rows) > 1 and len(columns) > 1:
        dark = dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.corrcoef(dark.ravel(), dark[:, ::-1].ravel())[0, 1]


def made_fingerprints(count, alike, seed=0):
    """Make fingerprints, the last tenth of them copies of the first, darker and with other noise."""
    rng, copies = np.random.default_rng(seed), count // 10
    shared = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 6)
    shared *= 60 / shared.std()

    def picture():
        broad = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 3)
        fine = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 0.7)
        own = (12 if alike else 50) * broad / broad.std() + 8 * fine / fine.std()
        return 128 + own + (shared if alike else 0)

    def rounded(pixels):
        return Fingerprint(pixels.clip(0, 255).astype("uint8"), 0.0)

    made = [rounded(picture()) for _ in range(count - copies)]
    return made + [
        rounded(0.85 * made[index].pixels + 10 + rng.normal(0, 1, (SIDE, SIDE))) for index in range(copies)
    ], np.arange(copies)


def report_on_made(count, alike):
    """Print time, memory above the start, and how many of the copies are found."""
    prints, copied = made_fingerprints(count, alike)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
    groups = near_duplicate_groups(prints)
    seconds, memory = process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    found = np.mean(groups[count - len(copied) + copied] == groups[copied])
    false = np.sum(groups[: count - len(copied)] != np.arange(count - len(copied)))
    print(
        f"{count} {'alike' if alike else 'unlike'}: {seconds:.1f} s of CPU, {memory:.0f} MB above the start; "
        f"{found:.1%} of the copies found, {false} other images grouped",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--alike", type=int, nargs="*", default=[])
    parser.add_argument("--unlike", type=int, nargs="*", default=[])
    parser.add_argument("--quick", action="store_true", help="a tenth of the made fingerprints")
    arguments = parser.parse_args()
    share = 10 if arguments.quick else 1
    for alike, counts in ((False, arguments.unlike), (True, arguments.alike)):
        for count in counts:
            report_on_made(count // share, alike)
    for folder in arguments.folders:
        report_on_folder(folder)


if __name__ == "__main__":
    main()
