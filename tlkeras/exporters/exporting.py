"""The public function `export`: convert a run or a Keras model to a file for another runtime, and verify the file."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import InputError
from tlkeras.exporters.candidates import measure_candidates, refusal, size_of, writer_of
from tlkeras.exporters.choice import choose, reason
from tlkeras.exporters.labels import write_labels
from tlkeras.exporters.measuring_process import measure
from tlkeras.exporters.options import FILES, MODEL_FILES, PAGE, REPORT, check_options
from tlkeras.exporters.report import Export, report_of
from tlkeras.exporters.subject import subject_of
from tlkeras.exporters.verification import failure
from tlkeras.exporters.web_page import web_page
from tlkeras.report.exports import add_export
from tlkeras.utils.files import written_whole

if TYPE_CHECKING:
    import keras

    from tlkeras.runs.run import Run


def export(
    model: "Run | keras.Model | str | os.PathLike",
    output: str | os.PathLike,
    *,
    format: str = "litert",
    quantize: str = "auto",
    batch: int | None = 1,
    images: Any = None,
    class_names: Sequence[str] | None = None,
    max_drop: float | None = None,
    overwrite: bool = False,
) -> Export:
    """Export a run or a model to a file for another runtime, and verify that its predictions match those of Keras.

    The file's input, `image`, takes raw RGB pixels in [0, 255] as uint8 `(batch, height, width, 3)`. Its output,
    `probabilities`, is float32 `(batch, classes)` or, with `"full_int8"`, uint8 in units of 1/255. The file includes
    the preprocessing and uses no custom operators. The class names are stored inside the file, and next to it in
    `labels.json` and `labels.txt`.

    Every file is verified in its native runtime, in a fresh process without Keras, on images that the model was not
    trained on, if there are any. The results are written to `export.json` (see docs/deployment.md) and added to the
    run's page, `report.html`. A file that loses too much accuracy is not kept.

    Args:
        model: A `Run`, the folder of a run, or a `keras.Model` that maps raw pixels of a fixed size to probabilities.
        output: Folder to write the exported file and `export.json` to.
        format: `"litert"` (phones, browsers), `"onnx"`, `"openvino"`, `"saved_model"`, or `"web"`: one HTML file that
            classifies images in any browser, without a server, written next to its LiteRT file. Most convolutional
            networks can be exported to LiteRT and OpenVINO with any backend. All other exports need TensorFlow,
            which runs in a separate process. Defaults to `"litert"`.
        quantize: `"none"`, `"float16"` (half the size, the same predictions), `"int8"` (a third of the size, with the
            head in float), `"dynamic_int8"` (LiteRT: weights only, for transformers), `"full_int8"` (LiteRT: for
            hardware without floating point), or `"auto"`, which measures all of these except `"full_int8"` and chooses
            the smallest file that preserves the predictions and is about as fast as the fastest. Defaults to `"auto"`.
        batch: Images per call, or None for any number. Defaults to 1, the fastest in most runtimes.
        images: Images to verify with: a labeled source that `tlkeras.load_images` accepts, or uint8 pixels `(n, height,
            width, 3)`. Up to a quarter of the images may be used to calibrate the quantization instead. Defaults to
            None, which means the run's images, or random noise for a model without a run.
        class_names: Class names for a `keras.Model`. Defaults to None, which uses the class indices as names.
        max_drop: Largest allowed drop in accuracy, as a fraction. The export fails if the drop is larger. Defaults to
            None, which allows one percentage point, or more if the drop is not statistically significant.
        overwrite: Whether to replace an existing export in `output`. Defaults to False.

    Returns:
        `Export`, which prints as a table.

    Raises:
        InputError: An argument is invalid, the model cannot be exported with these options, or the file loses too much
            accuracy. No files are left behind.

    Example:

    >>> import tempfile, keras, tlkeras
    >>> layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    >>> done = tlkeras.export(keras.Sequential(layers), tempfile.mkdtemp() + "/phone", quantize="none")
    >>> done.path.name, done.report["verified"]["agreement"]
    ('model.tflite', 1.0)
    """
    output = Path(output)
    options = check_options(format, quantize, batch, max_drop, output, overwrite)
    subject = subject_of(model, images, class_names)
    with tempfile.TemporaryDirectory(prefix="tlkeras-") as work, written_whole(output, FILES) as part:
        candidates = measure_candidates(subject, options.file_format, options.candidates, batch, Path(work))
        chosen, why = _chosen(options, candidates, subject)
        labels = {**subject.labels, "provenance": {**subject.labels["provenance"], "format": format}}
        labels["provenance"] |= {"quantization": chosen, "tools": candidates.tools}
        path = _placed(candidates.files[chosen], part / MODEL_FILES[options.file_format])
        writer_of(options.file_format).finish(path, labels)
        write_labels(part, labels)
        _check_finished(path, options.file_format, subject)
        if format == "web":
            (part / PAGE).write_text(web_page(path.read_bytes(), labels, chosen), "utf-8")
            path = part / PAGE
        report = report_of(options, subject, candidates, chosen, why, size_of(path), labels)
        (part / REPORT).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if subject.page is not None:
        with contextlib.suppress(OSError):  # the run's folder may be read-only
            add_export(subject.page, report)
    return Export(output / path.name, report)


def _chosen(options, candidates, subject):
    """Return the quantization to use and the reason for it. Raise an error if it loses too much accuracy."""
    if options.quantize == "auto":
        name, why = choose(candidates.measured, options.max_drop)
        name = "none" if name is None else name
    else:
        name = options.quantize
        if name in candidates.refused:
            raise refusal(name, candidates, options.format)
        why = f"Requested explicitly. {reason(name, candidates.measured)}"
    if name not in candidates.measured:
        raise refusal(name, candidates, options.format)
    failed = failure(candidates.measured[name], options.max_drop)
    if failed:
        raise InputError(
            f"The {options.format} file ({name}) is not good enough: {failed}, on {len(subject.pixels)} "
            f"{subject.described}.{_blame(options, candidates, name, subject)} Nothing was written."
        )
    return name, why


def _blame(options, candidates, name, subject):
    """Return sentences that name the layers that quantization changes most and suggest an alternative."""
    if name == "none":
        return ""
    advice = " Try quantize='float16' or a larger max_drop."
    worst = getattr(writer_of(options.file_format), "worst_layers", None)
    if worst is None:
        return advice
    layers = ", ".join(f"{layer} ({error:.0%})" for layer, error in worst(candidates.files, name, subject.pixels))
    return f" Layers whose outputs change most: {layers}.{advice}"


def _placed(source, target):
    """Move a folder, or a file and its separate weights file, to `target`."""
    if source.suffix == ".xml":
        shutil.move(source.with_suffix(".bin"), target.with_suffix(".bin"))
    shutil.move(source, target)
    return target


def _check_finished(path, format, subject):
    """Run the finished file once more, since labels were added after it was measured."""
    _, _, errors = measure({"finished": path}, format, subject.pixels[:1], (1,), 0.0)
    if errors:
        raise InputError(f"The finished file cannot be run: {errors['finished']}")
