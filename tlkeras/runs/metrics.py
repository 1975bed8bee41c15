"""Build the contents of `metrics.json` for a trained model."""

import json
import platform
from importlib.metadata import version

import keras

from tlkeras._version import __version__
from tlkeras.runs.measuring import expected_range, flip_gain


def metrics_of(trained, scores, task, data, strategy, calibration):
    """Build a dict of the measurements, the settings, the data and the software versions.

    Args:
        trained: `tlkeras.selection.outcome.Trained`, with the model and its measured predictions.
        scores: `Scores` or `LabelScores` of the trained model.
        task: `tlkeras.selection.outcome.Task` that the model was trained for.
        data: Dict with the images' source and digests.
        strategy: Name of the strategy that trained the model, such as `"features"`.
        calibration: Dict from `tlkeras.runs.trust.measure_calibration`.

    Returns:
        Dict that can be written as JSON.
    """
    images = task.images
    tuning = {"epochs": task.epochs, "domain": task.domain, "minutes": task.minutes}
    metrics = {
        "scores": scores.to_dict(),
        "measured": {
            "by": trained.measured.by,
            "folds": trained.choices.get("folds"),
            "expected": list(expected_range(scores)),
            "learned_from": len(trained.learned),
            "refitted": task.refit,
        },
        "calibration": calibration,
        "rejection": None if trained.rejector is None else trained.rejector.report.to_dict(),
        "flips": flip_gain(trained.measured, task.flips),
        "backbone": task.backbone,
        "strategy": strategy,
        "probe": task.probe,
        **({} if strategy == "features" else tuning),
        "choices": trained.choices,
        "class_weight": task.class_weight,
        "image_size": list(trained.measured.images.image_size),
        "resize": images.resize,
        "seed": task.seed,
        "data": data,
        "versions": _versions(),
        "seconds": {name: round(value, 3) for name, value in trained.seconds.items()},
    }
    return json.loads(json.dumps(metrics))  # equal to the dict read back from the file


def _versions():
    """Return the versions of the software that the measurements depend on."""
    backend = keras.backend.backend()
    packages = ("keras", backend, "numpy", "scikit-learn", "pillow")
    return {
        "tlkeras": __version__,
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in packages},
    }
