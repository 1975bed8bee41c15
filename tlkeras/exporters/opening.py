"""An exported file as a `Run`: `predict` and `evaluate` work on it as on the run that it came from."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.errors import InputError
from tlkeras.exporters.inspection import inspect
from tlkeras.exporters.labels import read_labels
from tlkeras.exporters.options import MODEL_FILES
from tlkeras.exporters.runtimes import open_runtime
from tlkeras.runs.run import Run

#: Formats by the end of a file's name.
_SUFFIXES = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino"}


@dataclass(frozen=True)
class _ExportedRejector:
    """The threshold of an unknown score that the file computes itself."""

    threshold: float

    def exceeds(self, score):
        """Tell whether an unknown score means `"unknown"`."""
        return score >= self.threshold


class ExportedRun(Run):
    """An exported file that answers like a run, by its own runtime.

    Attributes:
        format: str, its format.
    """

    def __init__(self, path, format, labels, engine):
        thresholds, limit = labels.get("thresholds"), labels.get("unknown_threshold")
        super().__init__(
            None,
            tuple(labels["class_names"]),
            tuple(labels["image_size"]),
            labels["resize"],
            thresholds=None if thresholds is None else tuple(thresholds),
            rejector=None if limit is None else _ExportedRejector(limit),
            path=path,
            litert=engine,
        )
        self.format, self.labels = format, labels

    def make_engine(self):
        """Return the file's runtime, which gives the unknown scores with the probabilities."""
        return self._litert

    @cached_property
    def model(self) -> Any:
        """There is none.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{str(self.path)!r} is an exported file and holds no Keras model. Open the run instead.")

    @cached_property
    def metrics(self) -> dict:
        """The provenance that the file states, if any."""
        return {"scores": {"majority_class": self.labels.get("majority_class")}, "data": None}


def exported_file(path: str | os.PathLike) -> tuple[Path, str] | None:
    """Find the exported file that a path refers to.

    Args:
        path: A `.tflite`, `.onnx` or `.xml` file, the folder of a SavedModel, or a folder that `tlkeras.export` wrote.

    Returns:
        `(path, format)`, or None if the path is none of these.

    Example:

    >>> exported_file("phone/model.tflite"), exported_file("data")
    ((PosixPath('phone/model.tflite'), 'litert'), None)
    """
    path = Path(path)
    if path.suffix in _SUFFIXES:
        return path, _SUFFIXES[path.suffix]
    if (path / "saved_model.pb").is_file():
        return path, "saved_model"
    here = [(path / name, format) for format, name in MODEL_FILES.items() if (path / name).exists()]
    return here[0] if len(here) == 1 and not (path / "model.keras").exists() else None


def load_export(path: str | os.PathLike, threads: int | None = None) -> Run:
    """Open an exported file to predict and evaluate with its own runtime, without Keras.

    The commands `tlkeras predict` and `tlkeras evaluate` take the same paths.

    Args:
        path: A file or folder that `tlkeras.export` wrote.
        threads: Threads to compute on. Defaults to None, one per core.

    Returns:
        A `Run` without `model`.

    Raises:
        InputError: There is no such file, it is damaged or foreign, or its runtime is not installed.

    Example:

    >>> load_export("data")
    Traceback (most recent call last):
    tlkeras.errors.InputError: 'data' is not an exported file: `tlkeras export` writes .tflite, .onnx, .xml or a folder.
    """
    found = exported_file(path)
    if found is None:
        raise InputError(
            f"{str(path)!r} is not an exported file: `tlkeras export` writes .tflite, .onnx, .xml or a folder."
        )
    file, format = found
    if not file.exists():
        raise InputError(f"There is no file {str(file)!r}.")
    inspect(file, format)
    labels = read_labels(file, format)
    engine = open_runtime(file, format, threads or os.cpu_count() or 1)
    if engine.image_shape != (*labels["image_size"], 3):
        raise InputError(f"{str(file)!r} takes images of {engine.image_shape}; its labels say {labels['image_size']}.")
    outputs = len(labels["class_names"]) + (labels.get("unknown_threshold") is not None)
    if engine(np.zeros((1, *engine.image_shape), "uint8")).shape[1] != outputs:
        raise InputError(f"{str(file)!r} does not match its labels, which say {outputs} outputs. Export the run again.")
    return ExportedRun(file, format, labels, engine)
