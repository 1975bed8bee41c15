"""Open an exported file as a `Run`, so that `predict` and `evaluate` work as they do for the original run."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.exporters.inspection import inspect
from tlkeras.exporters.labels import read_labels
from tlkeras.exporters.options import MODEL_FILES
from tlkeras.exporters.runtimes import open_runtime
from tlkeras.runs.run import Run

#: Formats by file extension.
_SUFFIXES = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino"}


@dataclass(frozen=True)
class _ExportedRejector:
    """The threshold for the unknown score; the score itself is computed by the exported file."""

    threshold: float

    def exceeds(self, score):
        """Return whether an unknown score is high enough to predict `"unknown"`."""
        return score >= self.threshold


class ExportedRun(Run):
    """A `Run` that makes predictions from an exported file, using the runtime for its format.

    Attributes:
        format: Format of the file, str.
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
        """Return the file's runtime, which computes probabilities and, if the run had a rejector, unknown scores."""
        return self._litert

    @cached_property
    def model(self) -> Any:
        """Raise an error, since an exported file contains no Keras model.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"{str(self.path)!r} is an exported file and does not contain a Keras model. Open the run instead."
        )

    @cached_property
    def metrics(self) -> dict:
        """The metrics that the file's labels contain: at most the majority class."""
        return {"scores": {"majority_class": self.labels.get("majority_class")}, "data": None}


def exported_file(path: str | os.PathLike) -> tuple[Path, str] | None:
    """Find the exported file that a path refers to.

    Args:
        path: A `.tflite`, `.onnx` or `.xml` file, a SavedModel's folder, or a folder written by `tlkeras.export`.

    Returns:
        `(path, format)`, or None if the path is none of the above.

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
    """Open an exported file for prediction and evaluation in its native runtime, without Keras.

    The commands `tlkeras predict` and `tlkeras evaluate` accept the same paths.

    Args:
        path: A file or folder written by `tlkeras.export`.
        threads: Number of threads to compute with. Defaults to None, which means one per core.

    Returns:
        A `Run` without `model`.

    Raises:
        InputError: The file does not exist, is damaged, was not written by `tlkeras.export`, or requires a runtime that
            is not installed.

    Example:

    >>> load_export("data")
    Traceback (most recent call last):
    tlkeras.errors.InputError: 'data' is not an exported file. Pass the .tflite, .onnx or .xml file, or its folder.
    """
    found = exported_file(path)
    if found is None:
        raise InputError(f"{str(path)!r} is not an exported file. Pass the .tflite, .onnx or .xml file, or its folder.")
    file, format = found
    if not file.exists():
        raise InputError(f"The file {str(file)!r} does not exist.")
    inspect(file, format)
    labels = read_labels(file, format)
    engine = open_runtime(file, format, threads or os.cpu_count() or 1)
    if engine.image_shape != (*labels["image_size"], 3):
        raise InputError(
            f"{str(file)!r} takes images of shape {engine.image_shape}, but its labels specify {labels['image_size']}."
        )
    outputs = len(labels["class_names"]) + (labels.get("unknown_threshold") is not None)
    try:
        answers = engine(np.zeros((1, *engine.image_shape), "uint8"))
    except Exception as error:  # each runtime has its own exception types
        raise InputError(f"{str(file)!r} cannot be run: {first_line(error)}. Export the run again.") from error
    if answers.ndim != 2 or answers.shape[1] != outputs:
        raise InputError(
            f"{str(file)!r} does not match its labels, which specify {outputs} outputs. Export the run again."
        )
    return ExportedRun(file, format, labels, engine)
