"""Labels and provenance of an exported file, stored inside it and next to it.

The labels are a dict with these keys:

- `class_names`: the class names, in the order of the model's outputs.
- `image_size`: `[height, width]`.
- `resize`: how images are resized, as in `tlkeras.read_image`.
- `thresholds`: the threshold of each label, only if an image may have several labels.
- `unknown_threshold`: only if the file has a second output, the unknown score. An image whose score is at
  least this threshold belongs to none of the classes.
- `majority_class`: the most common class of the training images, only if it is known.
- `provenance`: the versions, the format, the quantization, and the run.

Next to every file, `labels.json` contains the dict and `labels.txt` the class names. Inside the file, the labels are in
`metadata_props` of an `.onnx` file, in `rt_info/model_info` of an OpenVINO `.xml` file, or in `assets.extra/` of a
SavedModel. For `.tflite` files, see `tlkeras.exporters.litert_metadata`.
"""

import json
from importlib.metadata import version
from pathlib import Path

from tlkeras._version import __version__
from tlkeras.errors import InputError
from tlkeras.exporters.litert_metadata import read_metadata
from tlkeras.exporters.options import LABELS, LABELS_TEXT

_LARGEST = 4_000_000


def labels_of(run):
    """Build the labels and the provenance for exporting a run. An opened exported file already has them.

    Args:
        run: `Run` to export, or an opened exported file.

    Returns:
        Dict as described at the top of this module.
    """
    if hasattr(run, "labels"):
        return run.labels
    labels = {"class_names": list(run.class_names), "image_size": list(run.image_size), "resize": run.resize}
    if run.thresholds is not None:
        labels["thresholds"] = list(run.thresholds)
    if run.rejector is not None:
        labels["unknown_threshold"] = run.rejector.threshold
    provenance = {"tlkeras": __version__, "keras": version("keras")}
    try:
        metrics = run.metrics if run.path is not None or "metrics" in run.__dict__ else {}
    except InputError:  # an export works without measurements
        metrics = {}
    if metrics:
        scores = metrics.get("scores", {})
        labels |= {key: scores[key] for key in ("majority_class",) if key in scores}
        provenance["run"] = {
            "name": None if run.path is None else Path(run.path).resolve().name,
            "backbone": metrics.get("backbone"),
            "accuracy": scores.get("accuracy"),
            "measured_by": metrics.get("measured", {}).get("by"),
        }
    return labels | {"provenance": provenance}


def write_labels(folder, labels):
    """Write `labels.json` and `labels.txt` to a folder."""
    (folder / LABELS).write_text(json.dumps(labels, indent=2) + "\n", "utf-8")
    (folder / LABELS_TEXT).write_text("".join(f"{name}\n" for name in labels["class_names"]), "utf-8")


def read_labels(path, format):
    """Read and check the labels of an exported file: those inside the file if there are any, else those next to it.

    Args:
        path: Path of the file or of a SavedModel's folder, `pathlib.Path`.
        format: Format of the file, such as `"litert"`.

    Returns:
        Dict as described at the top of this module.

    Raises:
        InputError: There are no labels, or they are invalid.
    """
    try:
        inside = _INSIDE[format](path)
    except (ValueError, RecursionError) as error:  # invalid or deeply nested JSON
        raise InputError(f"The labels in {str(path)!r} cannot be read: {error}. Export the model again.") from error
    labels = inside or _json_file(path.parent / LABELS)
    if labels is None:
        raise InputError(f"{str(path)!r} has no labels, either inside it or next to it. Export the model again.")
    labels = labels if isinstance(labels, dict) else {}
    names, size = labels.get("class_names"), labels.get("image_size")
    right = isinstance(names, list) and len(names) > 0 and all(isinstance(name, str) for name in names)
    right &= isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    thresholds = labels.get("thresholds")
    right &= thresholds is None or (
        isinstance(thresholds, list)
        and right
        and len(thresholds) == len(names)
        and all(isinstance(value, int | float) for value in thresholds)
    )
    right &= labels.get("unknown_threshold") is None or isinstance(labels["unknown_threshold"], int | float)
    provenance = labels.setdefault("provenance", {})
    right &= isinstance(provenance, dict) and isinstance(provenance.get("run") or {}, dict)
    if not right or labels.get("resize") not in ("stretch", "crop", "pad"):
        raise InputError(f"The labels of {str(path)!r} were not written by `tlkeras export`. Export the model again.")
    return labels


def _json_file(path):
    """Read a JSON object from a file. Return None if there is no such file."""
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}.") from error
    return content if isinstance(content, dict) else {}


def _of_onnx(path):
    """Read the labels inside an ONNX file."""
    import onnx

    properties = {one.key: one.value for one in onnx.load(str(path), load_external_data=False).metadata_props}
    return json.loads(properties["tlkeras"]) if "tlkeras" in properties else None


def _of_openvino(path):
    """Read the labels inside an OpenVINO XML file."""
    from xml.etree import ElementTree

    entry = ElementTree.parse(path).find("./rt_info/model_info/tlkeras")
    return None if entry is None else json.loads(entry.get("value") or "{}")


def _of_saved_model(path):
    """Read the labels from the folder of a SavedModel."""
    return _json_file(Path(path) / "assets.extra" / LABELS)


_INSIDE = {"litert": read_metadata, "onnx": _of_onnx, "openvino": _of_openvino, "saved_model": _of_saved_model}
