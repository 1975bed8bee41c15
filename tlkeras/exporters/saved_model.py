"""SavedModel export: a folder for TensorFlow and TensorFlow Serving."""

import json
from importlib.metadata import version

from tlkeras.exporters.options import LABELS
from tlkeras.exporters.tensorflow_process import convert


def write(model, folder, batch, quantizations, calibration):
    """Write a model as a SavedModel. Arguments and results are as in `tlkeras.exporters.litert.write`."""
    convert(model, folder, ["saved_model"], batch)
    return {"none": folder / "saved_model"}, {}, {"tensorflow": version("tensorflow")}


def finish(path, labels):
    """Add labels to the subfolder that TensorFlow reserves for extra files."""
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / LABELS).write_text(json.dumps(labels, indent=2) + "\n", "utf-8")
