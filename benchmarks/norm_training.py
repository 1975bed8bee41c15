"""Claim: on few images of another kind, training the normalizations alone gains less than fine-tuning all weights.

    python benchmarks/norm_training.py [--sets clipart10 noto digits] [--rates 1e-3 1e-2] [--epochs 4] [--quick]

EfficientNet-Lite0 on the sets and splits of advice.py, at 96 x 96 pixels, one seed. All ways begin with the same linear
probe: `fine_tune` with its defaults, and plain training of the scales and offsets of BatchNormalization, or of offsets
alone, with the head, at several rates. Each result is the better of the trained weights and their mean with the probe,
which favors the claim's rivals; `fine_tune` ends in that mean. Prints accuracies on held-out images.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import advice
import keras
import numpy as np

import tlkeras


def accuracy(model, images):
    """Measure the share of held-out images that a model answers correctly."""
    return float((model.predict(images.batches(32), verbose=0).argmax(axis=1) == images.labels).mean())


def trained(model, start, images, parameters, rate, epochs):
    """Train some of the weights from the probe's solution; return the better accuracy of two, see above."""
    model.set_weights(start)
    tlkeras.unfreeze(model, parameters=parameters)
    batches = images.train.batches(16, shuffle=True)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, len(batches) * epochs, 0.0, None, rate, len(batches) // 2)
    model.compile(keras.optimizers.AdamW(schedule), "sparse_categorical_crossentropy")
    model.fit(batches, epochs=epochs, verbose=0)
    ends = accuracy(model, images.test)
    model.set_weights([(one + other) / 2 for one, other in zip(start, model.get_weights(), strict=True)])
    return max(ends, accuracy(model, images.test))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=advice.OWN, default=["clipart10", "noto", "digits"])
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 1e-2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one epoch, one rate, clipart10")
    options = parser.parse_args()
    if options.quick:
        options.sets, options.rates, options.epochs = ["clipart10"], [1e-3], 1
    ways = [(parameters, rate) for parameters in ("norm", "bias") for rate in options.rates]
    print(
        "| data | probe | fine_tune | " + " | ".join(f"{parameters}, rate {rate:g}" for parameters, rate in ways) + " |"
    )
    print("|---|---|---|" + "---|" * len(ways))
    for name in options.sets:
        images = advice.images_of(name)
        keras.utils.set_random_seed(0)
        model = tlkeras.image_classifier(advice.DEFAULT, images.class_names, image_size=advice.IMAGE_SIZE)
        tlkeras.fine_tune(model, images.train, epochs=0, verbose=False)
        start, row = model.get_weights(), [accuracy(model, images.test)]
        tlkeras.fine_tune(model, images.train, epochs=options.epochs, verbose=False)
        row.append(accuracy(model, images.test))
        row += [trained(model, start, images, *way, options.epochs) for way in ways]
        print(f"| {name} | " + " | ".join(f"{one:.3f}" for one in np.array(row)) + " |", flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
