"""LiteRT export: a `.tflite` file for phones, browsers and small computers."""

from importlib.metadata import version

import numpy as np

from tlkeras.errors import first_line
from tlkeras.exporters.layer_errors import layer_errors
from tlkeras.exporters.litert_quantization import quantize
from tlkeras.exporters.options import OUTPUTS
from tlkeras.exporters.runtimes import side_by_side
from tlkeras.exporters.tensorflow_process import convert

#: Largest allowed difference between a probability from Keras and one from a file written without TensorFlow.
_TOLERANCE = 1e-4


def write(model, folder, batch, quantizations, calibration):
    """Write a model as LiteRT files.

    `tlkeras.features.engines.litert_writer` writes most convolutional networks, with any backend and without
    TensorFlow. Other networks, and files with a batch size other than 1, are converted by TensorFlow in a separate
    process.

    Args:
        model: `keras.Model` that maps pixels to outputs.
        folder: Output folder, `pathlib.Path`.
        batch: Images per call, or None for any number.
        quantizations: Quantizations to write, a tuple of names from `tlkeras.exporters.options.QUANTIZATIONS`.
        calibration: uint8 images for measuring the ranges of activations. May be empty.

    Returns:
        `(files, refused, tools)`, three dicts: `files` maps quantizations to paths, `refused` gives the reason for each
        quantization that could not be written, and `tools` maps the names of the tools used to their versions.
    """
    content, tools = _plain(model, folder, batch)
    files, refused = {}, {}
    for name in quantizations:
        path = folder / f"{name}.tflite"
        try:
            written = content if name == "none" else quantize(content, name, calibration)
        except Exception as error:  # the quantizer raises various types for unsupported networks
            refused[name] = first_line(error)
            continue
        path.write_bytes(written)
        files[name] = path
    if set(files) - {"none"}:
        tools["litert-quantizer"] = version("litert-quantizer")
    return files, refused, tools


def finish(path, labels):
    """Add labels to the chosen file. This is the last step, because quantizers do not preserve labels."""
    from tlkeras.exporters.litert_metadata import with_metadata

    path.write_bytes(with_metadata(path.read_bytes(), labels))


def worst_layers(files, name, images):
    """Return the layers that a quantization changes most, with their errors."""
    return layer_errors(files["none"].read_bytes(), files[name].read_bytes(), images[:4])


def _plain(model, folder, batch):
    """Write the float32 file. Return its contents and the tools that wrote it."""
    why = "batch"
    if batch == 1:
        content, why = by_own_writer(model)
        if content is not None:
            return content, {"writer": "tlkeras"}
    convert(model, folder, ["none.tflite"], batch)
    return (folder / "none.tflite").read_bytes(), {"tensorflow": version("tensorflow"), "because": why}


def by_own_writer(model):
    """Write the file without TensorFlow, and compare its outputs with those of Keras.

    Returns:
        `(content, None)`, or `(None, reason)` if the network is not supported or the outputs differ.
    """
    from tlkeras.features.engines.litert_engine import LiteRtEngine
    from tlkeras.features.engines.litert_writer import write_litert

    try:
        content = write_litert(model, "uint8", OUTPUTS)
        pixels = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), "uint8")
        answers, expected = LiteRtEngine(content)(pixels), side_by_side(model.predict_on_batch(pixels))
        answers, expected = (one[:, : model.outputs[0].shape[-1]] for one in (answers, expected))
        difference = np.abs(answers - expected).max() / max(1.0, np.abs(expected).max())
    except Exception as error:  # TensorFlow's converter may support more layers
        return None, first_line(error)
    if not difference <= _TOLERANCE:
        return None, f"answers differ by {difference:.1e}"
    return content, None
