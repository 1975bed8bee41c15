"""float32, bfloat16 and float16 on the device at hand: images a second, and what `fine_tune` reaches.

    python benchmarks/mixed_precision.py speed        # `predict`, and `fit` of all layers and of the last block
    python benchmarks/mixed_precision.py accuracy     # `fine_tune` on clipart10, split 0: seconds and test accuracy
    python benchmarks/mixed_precision.py              # both

Arrays in, as a user has them, so the way to the device counts; 224 x 224, random weights but of the embedded network.
The first call of each kind compiles and does not count in `speed`; in `accuracy` it does. It is made for GPUs: on CPUs
without instructions for half precision, 16 bits are slower than 32. Run with `KERAS_BACKEND=jax` or `torch` as well.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np

import tlkeras

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
WEIGHTS = {"efficientnet_lite0": "imagenet"}  # of others, random
TURNS = 3


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_seconds(call):
    call()  # compiles
    return statistics.median(seconds(call) for _ in range(TURNS))


def speed(networks, count, batch_size):
    images = np.random.default_rng(0).uniform(0, 255, (count, 224, 224, 3)).astype("float32")
    labels = np.arange(count) % 10
    print(f"images/s, batches of {batch_size:3}                  predict   all layers   last block", flush=True)
    for name in networks:
        for policy in POLICIES:
            keras.config.set_dtype_policy(policy)
            model = tlkeras.image_classifier(name, classes=10, weights=WEIGHTS.get(name))
            found = [count / median_seconds(lambda m=model: m.predict(images, batch_size=batch_size, verbose=0))]
            for last in (None, 1):
                tlkeras.unfreeze(model, last=last, batchnorm="frozen")
                optimizer = tlkeras.differential_optimizer(model, keras.optimizers.AdamW(1e-6))
                model.compile(optimizer, "sparse_categorical_crossentropy")
                fit = {"batch_size": batch_size, "verbose": 0}
                found.append(count / median_seconds(lambda m=model, f=fit: m.fit(images, labels, **f)))
            print(f"{name:20} {policy:15} " + "".join(f"{rate:12.0f} " for rate in found), flush=True)
            keras.utils.clear_session()


def accuracy():
    images = tlkeras.load_images("data/clipart10", seed=0)
    pixels = tlkeras.read_images(images.test.paths)
    print("fine_tune on clipart10        probe   fine-tune    all seconds   test accuracy   difference of features")
    reference = None
    for policy in POLICIES:
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        augmentation = tlkeras.augmentation("drawing", seed=0)
        model = tlkeras.image_classifier(
            "efficientnet_lite0", classes=images.class_names, augmentation=augmentation, dropout=0.2
        )
        features = keras.Model(model.input, model.layers[-1].input).predict(pixels, verbose=0).astype("float32")
        reference = features if reference is None else reference
        difference = np.linalg.norm(features - reference) / np.linalg.norm(reference)
        start = time.perf_counter()
        result = tlkeras.fine_tune(model, images.train, images.validation, verbose=False)
        total = time.perf_counter() - start
        phases = {phase.name: phase.seconds for phase in result.phases}
        right = np.mean(model.predict(pixels, verbose=0).argmax(axis=1) == images.test.labels)
        print(
            f"{policy:24} {phases['probe']:9.1f}   {phases['fine-tune']:9.1f}   {total:12.1f}   {right:13.3f}   "
            f"{difference:22.1e}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=["speed", "accuracy"])
    parser.add_argument(
        "--networks", nargs="+", default=["efficientnet_lite0", "resnet50", "convnext_tiny"], help="backbones, by name"
    )
    parser.add_argument("--count", type=int, default=2048, help="of images")
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    print(f"backend: {keras.backend.backend()}")
    if options.what != "accuracy":
        speed(options.networks, options.count, options.batch_size)
    if options.what != "speed":
        accuracy()


if __name__ == "__main__":
    main()
