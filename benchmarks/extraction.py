"""From JPEG files to features: tlkeras beside `model.predict` over `image_dataset_from_directory`, and what must hold.

    python benchmarks/extraction.py speed      # files to features, each engine, share of the arithmetic limit
    python benchmarks/extraction.py cache      # a second run beside the first
    python benchmarks/extraction.py memory     # peak memory of ten times the images
    python benchmarks/extraction.py damage     # 10,000 images, one in a hundred damaged
    python benchmarks/extraction.py            # all of them

The network is EfficientNet-Lite0 at 224 x 224. The files are cut-outs of two photographs that come with scikit-learn,
JPEG. Both sides of a ratio run in one process, by turns, and the median of the turns counts.

The limit of the arithmetic is how many images a second the machine's multiply-adds would allow, the network's own
taken from the catalog, and the machine's from a product of two large float32 matrices in NumPy.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

NETWORK = "efficientnet_lite0"
ENGINES = ("keras", "litert", "onnxruntime", "openvino")


def write_photos(folder, count, size=(500, 375), seed=0):
    """Cut-outs of two photographs `(width, height)`, each another one, so that no two files have one content."""
    rng = np.random.default_rng(seed)
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        photo = photos[index % 2]
        left, top = rng.integers(0, photo.width - size[0] + 1), rng.integers(0, photo.height - size[1] + 1)
        path = folder / f"{index:06}.jpg"
        cut = photo.crop((left, top, left + size[0], top + size[1]))
        cut.putpixel((0, 0), (index % 256, index // 256 % 256, index // 65536))
        cut.save(path, quality=90, comment=str(index).encode())
        paths.append(str(path))
    return paths


def multiply_adds_a_second(side=3000, turns=5):
    """What the machine does in a product of two matrices, all cores together."""
    a, b = (np.random.default_rng(0).normal(size=(side, side)).astype("float32") for _ in range(2))
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return side**3 / min(seconds)


def by_turns(sides, turns):
    """Seconds of each side, turn by turn; the first turn warms up and does not count."""
    seconds = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def speed(count, turns):
    import tlkeras

    model = tlkeras.backbone(NETWORK, pooling="avg")
    limit = multiply_adds_a_second() / tlkeras.backbone_info(NETWORK).multiply_adds
    print(f"limit of the arithmetic: {limit:.0f} images/s")
    networks_alone(model, limit, turns)
    for size in ((224, 224), (500, 375)):
        files_to_features(model, size, limit, count, turns)


def networks_alone(model, limit, turns):
    """Engines on equal pixels, as many batches at a time as they want."""
    from concurrent.futures import ThreadPoolExecutor

    from tlkeras.features.engines.choice import make_engine

    pixels = np.random.default_rng(0).integers(0, 256, (64, 224, 224, 3), dtype="uint8")
    expected = model.predict(pixels, batch_size=32, verbose=0)
    sides, answers = {}, {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name in ENGINES:
            engine = make_engine(name, lambda: model, (32, 224, 224, 3))
            parts = np.split(pixels, 64 // (engine.batch_size or 32))
            answer = pool.map if engine.batch_size else map
            sides[name] = lambda n=name, e=engine, p=parts, a=answer: answers.update({n: np.concatenate([*a(e, p)])})
        seconds = by_turns(sides, turns)
    print("network alone   images/s  share of limit  difference")
    for name, durations in seconds.items():
        rate = 64 / statistics.median(durations)
        print(f"{name:<14}  {rate:>8.1f}  {rate / limit:>14.0%}  {difference(answers[name], expected):>10.1e}")


def files_to_features(model, size, limit, count, turns):
    """Each engine, reading the files, and given Keras' data set of them, beside `model.predict` over that data set.

    Given the data set, both sides see the same pixels. Of the files we make other ones, by the accurate inverse DCT and
    antialiased resizing, where Keras takes the fast DCT and, if the size differs, resizing without antialiasing, which
    costs less. Features are then compared with those that `model.predict` has of the very pixels.
    """
    import keras

    import tlkeras

    with tempfile.TemporaryDirectory() as name:
        paths = write_photos(Path(name) / "files" / "all", count, size)

        def dataset():
            return keras.utils.image_dataset_from_directory(
                Path(name) / "files", labels=None, image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
            )

        found = {}
        sides = {"model.predict": lambda: found.update({"model.predict": model.predict(dataset(), verbose=0)})}
        for engine in ENGINES:
            extractor = tlkeras.FeatureExtractor(NETWORK, engine=engine, cache=False)
            sides[engine] = lambda e=engine, x=extractor: found.update({e: x.transform(paths)})
            over = f"{engine} (dataset)"
            sides[over] = lambda e=over, x=extractor: found.update({e: x.transform(dataset())})
        seconds = by_turns(sides, turns)
        of_ours = model.predict(tlkeras.read_images(paths), verbose=0)
    print(f"files of {size[0]} x {size[1]}       images/s  x model.predict (range)  share of limit  difference")
    for side, durations in seconds.items():
        rate = count / statistics.median(durations)
        ratios = sorted(theirs / ours for theirs, ours in zip(seconds["model.predict"], durations, strict=True))
        ratio = f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        apart = difference(found[side], of_ours if side in ENGINES else found["model.predict"])
        print(f"{side:<23}  {rate:>8.1f}  {ratio:>23}  {rate / limit:>14.0%}  {apart:>10.1e}")


def difference(features, expected):
    """The largest, relative to the largest feature."""
    return np.abs(features - expected).max() / np.abs(expected).max()


def cache(count, turns):
    import tlkeras

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = write_photos(root / "files", count)
        extractor = tlkeras.FeatureExtractor(NETWORK, cache=root / "cache")
        extractor.transform(write_photos(root / "warm", 600, seed=1))  # exports, and chooses the engine
        start = time.perf_counter()
        first = extractor.transform(paths)
        computing = time.perf_counter() - start
        again = statistics.median(by_turns({"again": lambda: extractor.transform(paths)}, turns)["again"])
        assert np.array_equal(extractor.transform(paths), first)
        print(f"first run: {count / computing:.0f} images/s, second: {count / again:.0f} images/s")
        print(f"ratio second / first: {computing / again:.1f}x")


def memory(count):
    """Peak memory of `extract` into a file, in a process of its own for each number of images; on Linux."""
    script = (
        "import re, sys, tlkeras\n"
        "paths = open(sys.argv[1]).read().split()\n"
        "extractor = tlkeras.FeatureExtractor(image_size=(64, 64), engine='keras', cache=sys.argv[1] + '.cache')\n"
        "extractor.extract(paths, out=sys.argv[1] + '.npy')\n"
        # Not getrusage, whose peak a process inherits from the one that starts it.
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = write_photos(root / "files", 10 * count, size=(100, 100))
        peaks = []
        for number in (count, 10 * count):
            (root / f"{number}.txt").write_text("\n".join(paths[:number]))
            command = [sys.executable, "-c", script, str(root / f"{number}.txt")]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks.append(int(answer.stdout) / 1024)
            print(f"{number} images: peak {peaks[-1]:.0f} MiB")
    print(f"ten times the images: {peaks[1] / peaks[0] - 1:+.1%} memory")


def damage(count):
    """One image in a hundred is damaged, in each of nine ways by turns."""
    import keras

    import tlkeras

    ways = (
        lambda path, data: path.write_bytes(b""),
        lambda path, data: path.write_bytes(data[: len(data) // 2]),
        lambda path, data: path.write_bytes(data[:20]),
        lambda path, data: path.write_text("no image at all"),
        lambda path, data: path.write_bytes(bytes(len(data))),
        lambda path, data: path.write_bytes(b"\x89PNG\r\n\x1a\n" + data),
        lambda path, data: path.unlink(),
        lambda path, data: (path.unlink(), path.mkdir()),
        lambda path, data: (path.unlink(), os.mkfifo(path)),
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = write_photos(root / "files", count, size=(40, 40))
        bad = np.random.default_rng(0).choice(count, count // 100, replace=False)
        for turn, index in enumerate(bad):
            path = Path(paths[index])
            ways[turn % len(ways)](path, path.read_bytes())
        model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3)])
        start = time.perf_counter()
        found = tlkeras.FeatureExtractor(model, cache=False, engine="keras").extract(paths)
        seconds = time.perf_counter() - start
        good = np.setdiff1d(np.arange(count), bad)
        assert sorted(found.unreadable) == sorted(bad.tolist())
        assert np.isnan(found.features[bad]).all()
        some = good[:: len(good) // 500]
        expected = model.predict(tlkeras.read_images([paths[i] for i in some], (32, 32)), verbose=0).mean((1, 2))
        np.testing.assert_allclose(found.features[some], expected, rtol=1e-3, atol=1e-3)
        assert not np.isnan(found.features[good]).any()
        print(f"{count} images, {len(bad)} of them damaged: all others extracted, in order, {count / seconds:.0f}/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], "speed", "cache", "memory", "damage"])
    parser.add_argument("--images", type=int, default=512, help="of `speed`; `cache` takes four times as many")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    wanted = arguments.what or ["speed", "cache", "memory", "damage"]
    if "speed" in wanted:
        speed(arguments.images, arguments.turns)
    if "cache" in wanted:
        cache(4 * arguments.images, arguments.turns)
    if "memory" in wanted:
        memory(1000)
    if "damage" in wanted:
        damage(10_000)
