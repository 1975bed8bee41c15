"""Accuracy on drawings of clipart10's ten classes that clipart10 does not hold, trained on all of its 427.

The drawings are those of the Debian package `openclipart-png`, from which clipart10 was taken, by this rule: every
PNG file below the folder of a class (`FOLDERS`) that `SOURCES.csv` does not name, but for exact and near duplicates
of a drawing of clipart10 (`tlkeras.data.duplicates`); of several near duplicates among themselves the first by
path. A file name that falls to two classes is left out. Labels are the folders'; `WRONG` names what by looking at all
of them shows something else, and accuracies are printed with and without these.

Run: apt-get download openclipart-png && dpkg -x openclipart-png*.deb /tmp/openclipart
     python benchmarks/unseen_drawings.py /tmp/openclipart/usr/share/openclipart/png [--seeds 0] [--recipes fit]
"""

import argparse
import csv
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

import tlkeras
from tlkeras.data.duplicates import fingerprint, near_duplicate_pairs

DATA = Path("data/clipart10")

FOLDERS = {
    "bird": "animals/birds",
    "boat": "transportation/boating",
    "bug": "animals/bugs",
    "clothing": "people/clothing",
    "flower": "plants/flowers",
    "fruit": "food/fruit",
    "house": "buildings/homes",
    "mammal": "animals/mammals",
    "music": "recreation/music",
    "vehicle": "transportation/vehicles",
}

#: Beginnings of the names of files that show no member of their folder's class.
WRONG = {
    "bird": ["mirjam_meijer", "wing_mitchell"],  # flowers, a paper aeroplane
    "boat": ["knot_"],
    "clothing": ["earring", "gold_chain", "wedding_rings"],
    "fruit": ["turkey_platter", "straw_tote"],
    "vehicle": ["cycle_lane", "cycle_route", "quay_sign", "lighthouse", "wing_mitchell", "toy_paper_plane"],
}


def pixels(path):
    """A drawing on white, RGB, as clipart10 holds them: the longer side at most 224 pixels."""
    drawing = Image.open(path).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", drawing.size, "white"), drawing).convert("RGB")
    image.thumbnail((224, 224), Image.Resampling.LANCZOS)
    return image


def unseen(root):
    """Paths and labels by the rule above, and how many the rule left out."""
    with (DATA / "SOURCES.csv").open() as file:
        sources = {row["openclipart_path"] for row in csv.DictReader(file)}
    found = sorted((path, label) for label, folder in FOLDERS.items() for path in (root / folder).rglob("*.png"))
    new = [(path, label) for path, label in found if path.relative_to(root).as_posix() not in sources]
    names = Counter(path.name for path, _ in new)
    left_out = Counter({"in two classes": sum(names[path.name] > 1 for path, _ in new)})
    new = [(path, label) for path, label in new if names[path.name] == 1]
    known = sorted(DATA.glob("*/*.jpg"))
    prints = [fingerprint(Image.open(path)) for path in known] + [fingerprint(pixels(path)) for path, _ in new]
    dropped = set()
    for first, second in sorted(map(tuple, near_duplicate_pairs(prints))):
        if second >= len(known) and first not in dropped and second not in dropped:
            dropped.add(second)
            left_out["near clipart10" if first < len(known) else "near another"] += 1
    return [pair for i, pair in enumerate(new, len(known)) if i not in dropped], left_out


def guide(train, classes, seed):
    """The recipe of keras.io, with a look after each phase."""
    del seed  # set for the whole process
    base = tlkeras.backbone("efficientnet_lite0")
    base.trainable = False
    inputs = keras.Input((224, 224, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    x = base(x, training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(len(classes), activation="softmax")(x))
    for name, epochs, rate in (("guide, after its head phase", 10, 1e-3), ("guide, after fine-tuning", 3, 1e-5)):
        base.trainable = name.endswith("fine-tuning")
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        model.fit(*train, batch_size=32, epochs=epochs, verbose=0)
        yield name, model


def ours(train, classes, seed, epochs=4):
    """`fine_tune` with its defaults, the probe first. All 427 train, so no validation chooses an epoch."""
    model = tlkeras.image_classifier(
        "efficientnet_lite0", classes=classes, augmentation=tlkeras.augmentation("drawing", seed=seed)
    )
    tlkeras.fine_tune(model, train, epochs=0, seed=seed, verbose=False)
    yield "probe", model
    probe = model.get_weights()
    tlkeras.fine_tune(model, train, epochs=epochs, probe=False, seed=seed, verbose=False)
    yield f"fine-tuned, {epochs} epochs", model
    model.set_weights([(one + other) / 2 for one, other in zip(probe, model.get_weights(), strict=True)])
    yield "their mean: fine_tune", model


def longer(train, classes, seed):
    """`fine_tune` for twice as many epochs."""
    yield from ours(train, classes, seed, epochs=8)


def soup(train, classes, seed):
    """`fine_tune` with the mean of two runs."""
    model = tlkeras.image_classifier(
        "efficientnet_lite0", classes=classes, augmentation=tlkeras.augmentation("drawing", seed=seed)
    )
    tlkeras.fine_tune(model, train, runs=2, seed=seed, verbose=False)
    yield "fine_tune, soup of 2", model


def fit(train, classes, seed):
    """The delivered models of `tlkeras.fit`: probes of both kinds."""
    del train, classes  # the same images, from their folder
    for probe in ("logistic", "lda"):
        yield f"fit, {probe}", tlkeras.fit(DATA, probe=probe, seed=seed, verbose=False).model


def fit_finetune(train, classes, seed):
    """The delivered model of `tlkeras.fit(strategy="finetune")`."""
    del train, classes
    yield "fit, finetune", tlkeras.fit(DATA, strategy="finetune", domain="drawing", seed=seed, verbose=False).model


RECIPES = {
    "fit": fit,
    "fit_finetune": fit_finetune,
    "ours": ours,
    "longer": longer,
    "soup": soup,
    "guide": guide,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the package's PNG files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipes", choices=RECIPES, nargs="+", default=["fit", "ours", "guide"])
    options = parser.parse_args()
    classes = list(FOLDERS)
    known = sorted(DATA.glob("*/*.jpg"))
    train = tlkeras.read_images(known), np.array([classes.index(path.parent.name) for path in known])
    pairs, left_out = unseen(options.root)
    test = tlkeras.read_images([pixels(path) for path, _ in pairs])
    labels = np.array([classes.index(label) for _, label in pairs])
    clean = np.array([not path.name.startswith(tuple(WRONG.get(label, ["\0"]))) for path, label in pairs])
    print(f"{len(known)} to train; {len(pairs)} unseen, {clean.sum()} of them rightly labeled; left out: ", end="")
    print(", ".join(f"{count} {reason}" for reason, count in left_out.items()), flush=True)
    for seed in options.seeds:
        for recipe in map(RECIPES.get, options.recipes):
            keras.utils.set_random_seed(seed)
            start = time.perf_counter()
            for name, model in recipe(train, classes, seed):
                seconds = time.perf_counter() - start
                right = model.predict(test, batch_size=32, verbose=0).argmax(axis=1) == labels
                shares = f"{share(right)}; rightly labeled {share(right[clean])}"
                print(f"seed {seed}: {name:28} {shares}; {seconds:.0f} s", flush=True)
                start += time.perf_counter() - start - seconds


def share(right):
    return f"{right.mean():.3f} ± {right.std() / np.sqrt(len(right)):.3f}"


if __name__ == "__main__":
    main()
