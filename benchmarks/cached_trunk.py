"""An epoch of `fine_tune` on the last two blocks: with the trunk inside the loop, and with its output cached.

EfficientNet-Lite0 on clipart10, in one process, the two sides in turn; also the test accuracy of both over three seeds.
Run: python benchmarks/cached_trunk.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tlkeras

EPOCHS = 6


def trained(images, seed, cache):
    """Seconds an epoch, the seconds the cache took, and the test accuracy."""
    keras.utils.set_random_seed(seed)
    model = tlkeras.image_classifier("efficientnet_lite0", classes=images.class_names)
    options = {"blocks": 2, "batch_size": 32, "seed": seed, "verbose": False}
    tlkeras.fine_tune(model, images.train, epochs=0, seed=seed, verbose=False)
    result = tlkeras.fine_tune(model, images.train, probe=False, epochs=EPOCHS, cache=cache, **options)
    seconds = {phase.name: phase.seconds for phase in result.phases}
    predicted = model.predict(images.test.batches(32), verbose=0).argmax(axis=1)
    accuracy = float(np.mean(predicted == images.test.labels))
    return seconds["fine-tune"] / EPOCHS, seconds.get("cache", 0.0), accuracy


def main():
    ratios, gaps = [], []
    for seed in range(3):
        images = tlkeras.load_images("data/clipart10", seed=seed)
        inside, _, plain = trained(images, seed, cache=False)
        cached, once, same = trained(images, seed, cache=True)
        ratios.append(inside / cached)
        gaps.append(same - plain)
        print(
            f"seed {seed}: inside the loop {inside:.2f} s an epoch, cached {cached:.2f} s (and {once:.1f} s once): "
            f"{ratios[-1]:.2f}x; test accuracy {plain:.3f} and {same:.3f}",
            flush=True,
        )
    print(f"an epoch is {np.median(ratios):.2f}x faster (median; bound 1.9x)")
    print(f"accuracy differs by {np.mean(gaps):+.3f} ± {np.std(gaps) / np.sqrt(len(gaps)):.3f}")


if __name__ == "__main__":
    main()
