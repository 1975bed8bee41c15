"""The baseline of the notebooks: the same architecture, images and splits, from random weights instead of ImageNet's.

A scratch arm that is not tuned flatters transfer. This one has augmentation, weight decay, warm-up and cosine decay,
BatchNorm statistics that keep pace with few steps, and a peak learning rate chosen from a grid by validation accuracy
on the first seed; each run keeps the epoch that is best on its validation images, and test images choose nothing. A
seed is that of the splits, of the weights and of the order of images. The result is stored, after every run, where
`tlkeras.teaching.measured("from_scratch")` finds it, so that an interrupted measurement goes on where it stopped.

Run: python benchmarks/from_scratch.py [--size 96] [--epochs 30] [--seeds 0 1 2] [--rates 3e-3 1e-3 1e-2]
"""

import argparse
import json
import os
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

import tlkeras

RESULT = Path(__file__).parents[1] / "tlkeras" / "teaching" / "measurements" / "from_scratch.json"


def run(size, epochs, rate, seed, backbone="efficientnet_lite0", batch=16):
    """Trains one network and gives its curve and its accuracies at the best epoch on validation images."""
    keras.utils.set_random_seed(seed)
    images = tlkeras.load_images("data/clipart10", seed=seed, image_size=(size, size))
    model = tlkeras.image_classifier(
        backbone,
        classes=images.class_names,
        weights=None,
        image_size=size,
        augmentation=tlkeras.augmentation("drawing"),
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Keras' 0.99 remembers the initial variance of 1 for longer than these few hundred steps: the network then
            # learns its training images and answers new ones no better than by chance.
            layer.momentum = 0.9
    steps = epochs * -(-len(images.train) // batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, alpha=0.01, warmup_target=rate, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.AdamW(schedule, 0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    curve, best = [], {"validation": -1.0}
    x, y = images.train.read(), images.train.labels
    held_out, test = images.validation.read(), images.test.read()

    def look(epoch, logs):
        found = float(np.mean(model.predict(held_out, verbose=0).argmax(axis=1) == images.validation.labels))
        curve.append(round(found, 4))
        if found > best["validation"]:
            right = model.predict(test, verbose=0).argmax(axis=1) == images.test.labels
            best.update(validation=found, epoch=epoch + 1, test=float(np.mean(right)))
        print(
            f"seed {seed} rate {rate:g} epoch {epoch + 1}: train {logs['accuracy']:.3f}, valid {found:.3f}", flush=True
        )

    model.fit(
        x, y, batch, epochs, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=look)], shuffle=True
    )
    return best | {"seed": seed, "rate": rate, "curve": curve}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3, 1e-3, 1e-2])
    args = parser.parse_args()
    store = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    entry = store.setdefault(str(args.size), {"backbone": "efficientnet_lite0", "epochs": args.epochs, "runs": []})
    if entry["epochs"] != args.epochs:
        parser.error(f"{RESULT} holds runs of {entry['epochs']} epochs at this size; remove them first.")

    def measure(rate, seed):
        for done in entry["runs"]:
            if (done["rate"], done["seed"]) == (rate, seed):
                return done
        entry["runs"].append(run(args.size, args.epochs, rate, seed))
        save()
        return entry["runs"][-1]

    def save():
        names = ("tlkeras", "keras", keras.backend.backend(), "numpy")
        entry["versions"] = {name: version(name) for name in names} | {"python": platform.python_version()}
        best = max((done for done in entry["runs"] if done["seed"] == args.seeds[0]), key=lambda d: d["validation"])
        chosen = [done for done in entry["runs"] if done["rate"] == best["rate"]]
        entry.update(rate=best["rate"], seeds=[done["seed"] for done in chosen], test=[done["test"] for done in chosen])
        RESULT.write_text(json.dumps(store, indent=1) + "\n")

    for rate in args.rates:
        measure(rate, args.seeds[0])
    for seed in args.seeds[1:]:
        measure(entry["rate"], seed)
    save()
    test, rate = entry["test"], entry["rate"]
    print(f"{args.size}x{args.size}: test accuracy {np.mean(test):.3f} at rate {rate:g}: {test}")


if __name__ == "__main__":
    main()
