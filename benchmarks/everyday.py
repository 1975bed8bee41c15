"""The everyday timings as ratios: features, a second `fit`, many predictions, and one.

Both sides of a ratio run in one process, by turns; medians count. The other side is what a Keras user would write:
`model.predict` over `keras.utils.image_dataset_from_directory`, with the same network. A first turn warms up both and
does not count. "processor" counts the time of all cores, which other programs on the machine disturb less.

The ratio of a second `fit` depends on the number of images. `--copies 10` takes each image ten times, a little brighter
each time, so that every copy has its own features.

Run: python benchmarks/everyday.py [--data data/clipart10] [--turns 3] [--copies 1] [--only fit] [--quick]
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp()

import keras
import numpy as np
from PIL import Image, ImageEnhance

import tlkeras
from tlkeras.features import extraction
from tlkeras.utils import store


def timed(function):
    """Return wall and processor seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(name, ours, other, turns):
    """Print how many times faster `ours` is than `other`."""
    seconds = np.array([[timed(ours), timed(other)] for _ in range(turns + 1)])[1:]
    (wall, processor), (other_wall, other_processor) = np.median(seconds, axis=0)
    print(f"| {name} | {wall:.3f} | {other_wall:.3f} | {other_wall / wall:.2f} | {other_processor / processor:.2f} |")


def copy_images(source, folder, copies, limit):
    """Copy images of each class, and add brighter copies, until there are `copies` of each."""
    for group in sorted(path for path in source.iterdir() if path.is_dir()):
        (folder / group.name).mkdir(parents=True)
        for path in sorted(group.iterdir())[:limit]:
            shutil.copy(path, folder / group.name)
            for number in range(1, copies):
                brighter = ImageEnhance.Brightness(Image.open(path).convert("RGB")).enhance(1 + 0.02 * number)
                brighter.save(folder / group.name / f"{path.stem}_{number}.jpg", quality=90)


def forget():
    """Empty the cache of features and networks, also that in memory."""
    store._opened.cache_clear()
    extraction._engine.cache_clear()
    for path in Path(os.environ["TLKERAS_CACHE"]).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data/clipart10"))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--only", choices=["features", "fit", "predict"], help="one of the comparisons")
    parser.add_argument("--quick", action="store_true", help="one turn, eight images per class")
    options = parser.parse_args()
    if options.quick:
        options.turns = 1
    folder = Path(tempfile.mkdtemp()) / "images"
    copy_images(options.data, folder, options.copies, 8 if options.quick else None)
    paths = sorted(map(str, folder.glob("*/*.*")))
    network = tlkeras.backbone("efficientnet_lite0", pooling="avg")

    def by_keras(model):
        images = keras.utils.image_dataset_from_directory(
            folder, labels=None, image_size=(224, 224), shuffle=False, verbose=False
        )
        return model.predict(images, verbose=0)

    def fit(seed, strategy="features"):
        return tlkeras.fit(folder, folder.parent / "run", strategy=strategy, seed=seed, overwrite=True, verbose=False)

    def first_fit():
        forget()
        fit(seed=0)

    print(f"{len(paths)} images\n")
    print("| what | seconds | of the other side | ratio | ratio in processor time |")
    print("|---|---|---|---|---|")
    if options.only in (None, "features"):
        extractor = tlkeras.FeatureExtractor(cache=False)
        compare(
            "features, beside `model.predict`",
            lambda: extractor.transform(paths),
            lambda: by_keras(network),
            options.turns,
        )
    if options.only in (None, "fit"):
        compare("a second `fit`, beside the first", lambda: fit(seed=1), first_fit, options.turns)
    if options.only in (None, "predict"):
        fit(seed=0)
        run = tlkeras.load_run(folder.parent / "run")
        model = keras.saving.load_model(folder.parent / "run" / "model.keras")
        compare(
            "`Run.predict`, beside `model.predict`", lambda: run.predict(paths), lambda: by_keras(model), options.turns
        )
        pixels = tlkeras.read_images(paths[:1], 224)
        compare(
            "one picture",
            lambda: run.predict(paths[0]),
            lambda: model.predict(pixels, verbose=0),
            10 * options.turns,
        )
    shutil.rmtree(folder.parent)
    shutil.rmtree(os.environ["TLKERAS_CACHE"])


if __name__ == "__main__":
    main()
