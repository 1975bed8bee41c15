"""The measurements of notebook 05: ways to fine-tune the upper blocks, each with and without, on the same splits.

EfficientNet-Lite0, the 442 emoji of one style at 96 x 96; block6, block7 and the top train, and the blocks below are
computed once. The result is stored after every run, where `tlkeras.teaching.measured("fine_tuning_arms")` finds it,
and an interrupted or extended measurement goes on where it stopped. All arms take the same number of epochs; validation
images choose an epoch only where early stopping is the arm.

Run: python benchmarks/fine_tuning_arms.py [--splits 12] [--epochs 6] [--style line]
About half an hour on two cores.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from importlib.metadata import version

import keras
import numpy as np

import tlkeras
from tlkeras import teaching
from tlkeras.teaching import lab

RESULT = Path(__file__).parents[1] / "tlkeras" / "teaching" / "measurements" / "fine_tuning_arms.json"
SCHEDULE = {2: 1, 3: 2, 4: None}
GRADUAL = "random head, gradual unfreezing"


class TestAfterEachEpoch(keras.callbacks.Callback):
    """Record the test accuracy after each epoch."""

    def __init__(self, upper, rows):
        super().__init__()
        self.upper, self.rows, self.test = upper, rows, []

    def on_epoch_end(self, epoch, logs=None):
        self.test.append(round(self.upper.accuracy(self.rows), 4))


def optimizers(model):
    """Return a function that makes the optimizer of each arm; the last arm recompiles within each run."""

    def falling(rate):
        return tlkeras.differential_optimizer(model, keras.optimizers.Adam(rate), layer_decay=0.3)

    return {
        "solved head": lambda: keras.optimizers.Adam(3e-4),
        "random head, one rate": lambda: keras.optimizers.Adam(3e-4),
        "random head, falling rates": lambda: falling(1e-3),
        "solved head, falling rates": lambda: falling(1e-3),
        "solved head, weight decay": lambda: keras.optimizers.AdamW(3e-4, weight_decay=0.05),
        "solved head, dropout": lambda: keras.optimizers.Adam(3e-4),
        GRADUAL: lambda: falling(1e-3),
    }


def train(upper, name, split, head, epochs, seed):
    """Train one arm on one split and return its curves."""
    callbacks = [tlkeras.GradualUnfreezing(SCHEDULE)] if name == GRADUAL else []
    watch = TestAfterEachEpoch(upper, split.test)
    first = head if name.startswith("solved") else None
    history = upper.fit(
        split.train, split.validation, head=first, epochs=epochs, callbacks=[*callbacks, watch], seed=seed
    )
    curves = {key: np.round(history[key], 4).tolist() for key in ("accuracy", "val_accuracy", "val_loss")}
    return {"test": watch.test, **curves}


def averaged(upper, head, rows):
    """Return the test accuracy of the mean of the fine-tuned weights and those of the probe (WiSE-FT)."""
    tuned = upper.model.get_weights()
    upper.reset(head)
    probe = upper.model.get_weights()
    upper.model.set_weights([(a + b) / 2 for a, b in zip(tuned, probe, strict=True)])
    return upper.accuracy(rows)


def store(settings, arms):
    """Write the result, with the versions it was measured with."""
    versions = {name: version(name) for name in ("tlkeras", "keras", "tensorflow", "numpy")}
    versions["python"] = platform.python_version()
    RESULT.write_text(json.dumps({"settings": settings, "arms": arms, "versions": versions}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--style", default="line")
    options = parser.parse_args()
    images = lab.emoji(options.style, image_size=96)
    splits = lab.splits(images, options.splits, test_size=0.25, validation_size=0.15)
    plain = teaching.UpperBlocks(images, last=3)
    heads = [plain.probe(split.train) for split in splits]
    settings = {"style": options.style, "epochs": options.epochs, "schedule": {str(k): v for k, v in SCHEDULE.items()}}
    kept = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    arms = kept["arms"] if kept.get("settings") == settings else {}
    plain.reset()
    probes = [round(plain.accuracy(split.test, head), 4) for split, head in zip(splits, heads, strict=True)]
    compiled = None
    arms["probe"] = [{"test": [accuracy]} for accuracy in probes]
    for name in optimizers(plain.model):
        runs, means = arms.setdefault(name, []), arms.setdefault("solved head, averaged with the probe", [])
        if len(runs) >= len(splits):
            continue
        upper = teaching.UpperBlocks(images, last=3, dropout=0.4) if name.endswith("dropout") else plain
        for number in range(len(runs), len(splits)):
            start = time.perf_counter()
            if compiled != name or name == GRADUAL:
                tlkeras.unfreeze(upper.model)
                upper.compile(optimizers(upper.model)[name]())
                compiled = name
            runs.append(train(upper, name, splits[number], heads[number], options.epochs, seed=number))
            if name == "solved head":
                means.append({"test": [averaged(upper, heads[number], splits[number].test)]})
            store(settings, arms)
            print(f"{name}, {number}: {runs[-1]['test'][-1]:.3f}, {time.perf_counter() - start:.0f} s", flush=True)
    for name, runs in arms.items():
        last = [run["test"][-1] for run in runs]
        print(f"{name:40} {teaching.percent(teaching.interval(last, splits))}")


if __name__ == "__main__":
    main()
