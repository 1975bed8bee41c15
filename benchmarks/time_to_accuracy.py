"""`fine_tune` against the recipe of the keras.io transfer-learning guide: time to its accuracy, accuracy in its time.

Both sides have the same backbone (EfficientNet-Lite0), images (clipart10), splits and seeds, in one process.

The guide: base frozen and called with `training=False`, global pooling, dropout 0.2, ten epochs of the head with Adam
at 1e-3, then three epochs of all layers at 1e-5; flip and rotation as augmentation; batches of 32.
Ours: `tlkeras.fine_tune`, first its probe alone (`epochs=0`), then with the mean of two runs (`runs=2`), for which the
guide's time suffices; all else by default.

Run: python benchmarks/time_to_accuracy.py [--seeds 0 1 2] [--runs 2]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras
import numpy as np
from keras import layers

import tlkeras


def guide(images, seed):
    """The recipe of keras.io; gives its seconds and test accuracies after each phase."""
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    train, validation = images.train.batches(32, shuffle=True, seed=seed), images.validation.batches(32)
    base = tlkeras.backbone("efficientnet_lite0")
    base.trainable = False
    inputs = keras.Input((224, 224, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    x = base(x, training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(len(images.class_names), activation="softmax")(x))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, epochs=10, validation_data=validation, verbose=0)
    head = time.perf_counter() - start
    after_head = accuracy(model, images.test)
    start = time.perf_counter()
    base.trainable = True
    model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, epochs=3, validation_data=validation, verbose=0)
    return head, head + time.perf_counter() - start, after_head, accuracy(model, images.test)


def ours(images, seed, **options):
    """`fine_tune`; (seconds, test accuracy) after each epoch and at the end, the clock standing while it looks."""
    keras.utils.set_random_seed(seed)
    points, spent_looking, start = [], 0.0, time.perf_counter()

    def look():
        nonlocal spent_looking
        now = time.perf_counter()
        points.append((now - start - spent_looking, accuracy(model, images.test)))
        spent_looking += time.perf_counter() - now

    model = tlkeras.image_classifier(
        "efficientnet_lite0", classes=images.class_names, augmentation=tlkeras.augmentation("drawing")
    )
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: look())
    tlkeras.fine_tune(model, images.train, images.validation, seed=seed, callbacks=[watch], verbose=False, **options)
    look()
    return points


def accuracy(model, split):
    return float(np.mean(model.predict(split.batches(32), verbose=0).argmax(axis=1) == split.labels))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=int, default=2, help="runs of ours")
    options = parser.parse_args()
    ratios, gains = [], []
    print("seed  guide: head only, in all         ours: probe         in the guide's time   sooner    gain", flush=True)
    for seed in options.seeds:
        images = tlkeras.load_images("data/clipart10", seed=seed)
        points = ours(images, seed, epochs=0) + ours(images, seed, runs=options.runs)  # the probe alone, then the whole
        head_seconds, seconds, after_head, final = guide(images, seed)
        reached = next((second for second, found in points if found >= final), float("nan"))
        within = [found for second, found in points if second <= seconds][-1]
        ratios.append(seconds / reached)
        gains.append(within - final)
        print(
            f"{seed:4}  {after_head:.3f} {head_seconds:4.0f} s, {final:.3f} {seconds:4.0f} s   "
            f"{points[0][1]:.3f} {points[0][0]:4.0f} s   {within:.3f} of {points[-1][0]:4.0f} s   "
            f"{ratios[-1]:6.1f}x  {gains[-1]:+.3f}",
            flush=True,
        )
        print(
            "      ours over time: " + ", ".join(f"{second:.0f} s {found:.3f}" for second, found in points), flush=True
        )
    print(f"the guide's accuracy is reached {np.median(ratios):.1f}x sooner (median; bound 20x)")
    print(f"in the guide's time the accuracy is {np.mean(gains):+.3f} higher (mean; bound +0.100)")


if __name__ == "__main__":
    main()
