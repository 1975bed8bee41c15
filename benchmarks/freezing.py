"""Claim: a frozen trunk costs no gradient: a training step with it frozen against one that trains all layers.

Both sides run in one process, alternating, on the same batch:

    python benchmarks/freezing.py [--backbone efficientnet_lite0] [--size 224] [--batch 16] [--steps 8]

Prints the median time of a step for each choice of `unfreeze`, and its ratio to the full step.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tlkeras

CHOICES = {"all layers": None, "half of the blocks": 0.5, "last two blocks": 2, "head only (frozen trunk)": 0}


def ready(backbone, size, batch, last):
    """A compiled model that has run two steps, so tracing is not measured."""
    model = tlkeras.image_classifier(backbone, classes=10, weights=None, image_size=size)
    tlkeras.unfreeze(model, last=last)
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    for _ in range(2):
        model.train_on_batch(*batch)
    return model


def timed(model, batch):
    start = time.perf_counter()
    float(model.train_on_batch(*batch))  # the loss as a number: waits for an asynchronous backend
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (args.batch, args.size, args.size, 3)).astype("float32")
    batch = images, rng.integers(0, 10, args.batch)
    models = {name: ready(args.backbone, args.size, batch, last) for name, last in CHOICES.items()}
    times = {name: [] for name in models}
    for _ in range(args.steps):
        for name, model in models.items():
            times[name].append(timed(model, batch))

    full = statistics.median(times["all layers"])
    print(f"{args.backbone}, {args.size}x{args.size}, batch {args.batch}, {keras.backend.backend()}")
    for name, values in times.items():
        step = statistics.median(values)
        print(f"{name:26} {step:7.3f} s a step   {full / step:5.2f} x as fast as all layers")


if __name__ == "__main__":
    main()
