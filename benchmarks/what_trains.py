"""Compare what trains after the probe: normalizations, biases, the last blocks or everything, each with its best rate.

    python benchmarks/what_trains.py [--size 64] [--splits 3] [--epochs 4] [--rates 3e-4 3e-3] [--data DIR] [--quick]

EfficientNet-Lite0 on clipart10; 40% of the images are test images, 12% are validation images. All ways begin with the
same linear probe, take the same steps (AdamW, warm-up and cosine decay, BatchNorm with fixed statistics) and choose
their learning rate, and whether to average the weights with the probe's, by the loss on the validation images.
Prints the test accuracy of each way, and its lead over the probe with the standard error of the paired difference.
Results of each way and split are kept in --results, so a run can be continued.
"""

import argparse
import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tlkeras
from tlkeras.selection.plan import LAST_BLOCKS

CLIPART = Path(__file__).parents[1] / "data" / "clipart10"

#: Arguments of `tlkeras.unfreeze` for each way.
WAYS = {
    "normalizations": {"parameters": "norm"},
    "biases": {"parameters": "bias"},
    f"last {LAST_BLOCKS} blocks": {"last": LAST_BLOCKS},
    "all": {},
}


class Schedule(keras.callbacks.Callback):
    """Warm-up over half an epoch, then cosine decay, counted in steps."""

    def __init__(self, rate, steps, epochs):
        super().__init__()
        warmup, total = max(1, steps // 2), steps * epochs
        step = np.arange(total)
        decay = 0.5 * (1 + np.cos(np.pi * (step - warmup).clip(0) / max(1, total - warmup)))
        self.rates, self.step = rate * np.minimum((step + 1) / warmup, decay), 0

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.rates[min(self.step, len(self.rates) - 1)]
        self.step += 1


def classifier(images, size):
    keras.utils.set_random_seed(0)
    return tlkeras.image_classifier("efficientnet_lite0", images.class_names, image_size=size)


def answers(model, split):
    """Return the mean log loss and whether each answer is right."""
    given = model.predict(split.batches(32), verbose=0)
    losses = -np.log(np.clip(given[np.arange(len(given)), split.labels], 1e-7, 1))
    return float(losses.mean()), (given.argmax(axis=1) == split.labels).astype(int).tolist()


def trained(model, start, images, rates, epochs):
    """Train from the probe's solution at each rate; return the test answers of the best rate and ending."""
    fresh = [keras.ops.convert_to_numpy(one) for one in model.optimizer.variables]
    best = None
    for rate in rates:
        keras.utils.set_random_seed(0)
        model.set_weights(start)
        for variable, value in zip(model.optimizer.variables, fresh, strict=True):
            variable.assign(value)
        batches = images.train.batches(16, shuffle=True)
        model.fit(batches, epochs=epochs, verbose=0, callbacks=[Schedule(rate, len(batches), epochs)])
        end = model.get_weights()
        for mean in (False, True):
            if mean:
                model.set_weights([(one + other) / 2 for one, other in zip(start, end, strict=True)])
            loss, _ = answers(model, images.validation)
            if best is None or loss < best["loss"]:
                best = {"loss": loss, "rate": rate, "mean": mean, "right": answers(model, images.test)[1]}
    return best


def report(kept, splits):
    """Print a table of the ways that were trained on all splits."""
    probe = np.concatenate([kept[f"{seed} probe"]["right"] for seed in range(splits)])
    print(f"| trained | test accuracy, splits: {splits} | lead over the probe | chosen rates |\n|---|---|---|---|")
    print(f"| head only (probe) | {probe.mean():.3f} | | |")
    for way in WAYS:
        rows = [kept.get(f"{seed} {way}") for seed in range(splits)]
        if None not in rows:
            lead = np.concatenate([row["right"] for row in rows]) - probe
            error = lead.std(ddof=1) / len(lead) ** 0.5
            rates = ", ".join(f"{row['rate']:g}{' (mean)' if row['mean'] else ''}" for row in rows)
            print(f"| {way} | {probe.mean() + lead.mean():.3f} | {lead.mean():+.3f} ± {error:.3f} | {rates} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=str(CLIPART), help="folder with one folder per class")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 3e-3])
    parser.add_argument("--results", type=Path, help="JSON file to keep results in")
    parser.add_argument("--quick", action="store_true", help="one split, one rate, one epoch, 32 pixels")
    options = parser.parse_args()
    if options.quick:
        options.size, options.splits, options.epochs, options.rates = 32, 1, 1, [3e-4]
    kept = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}
    settings = {"validation_size": 0.12, "test_size": 0.4, "image_size": options.size}
    images = [tlkeras.load_images(options.data, seed=seed, **settings) for seed in range(options.splits)]
    starts, model = [], classifier(images[0], options.size)
    for seed, each in enumerate(images):
        tlkeras.fine_tune(model, each.train, each.validation, epochs=0, verbose=False)
        starts.append(model.get_weights())
        kept[f"{seed} probe"] = {"right": answers(model, each.test)[1]}
    warnings.filterwarnings("ignore", "Keras saves one flag")  # nothing is saved here
    for way, arguments in WAYS.items():
        wanted = [seed for seed in range(options.splits) if f"{seed} {way}" not in kept]
        if wanted:  # one compiled model for all splits and rates, since tracing takes as long as an epoch
            model = tlkeras.unfreeze(classifier(images[0], options.size), **arguments)
            model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.01), "sparse_categorical_crossentropy")
            model.optimizer.build(model.trainable_variables)
        for seed in wanted:
            kept[f"{seed} {way}"] = trained(model, starts[seed], images[seed], options.rates, options.epochs)
            if options.results:
                options.results.write_text(json.dumps(kept) + "\n")
        keras.backend.clear_session()
    report(kept, options.splits)


if __name__ == "__main__":
    main()
