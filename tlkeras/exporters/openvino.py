"""OpenVINO: an `.xml` file with its `.bin`, for Intel's processors."""

import json
from importlib.metadata import version

from tlkeras.errors import InputError
from tlkeras.exporters import litert, onnx
from tlkeras.exporters.tensorflow_process import convert


def write(model, folder, batch, quantizations, calibration):
    """Write a model as OpenVINO files; arguments and results as in `tlkeras.exporters.litert.write`.

    OpenVINO reads the LiteRT file that is written without TensorFlow if there is one, and a SavedModel otherwise.
    `int8` comes from the int8 ONNX file: OpenVINO's own quantizer loses more.

    Raises:
        InputError: openvino is not installed, or the model cannot be converted.
    """
    try:
        import openvino
    except ImportError as error:
        raise InputError(f"OpenVINO is not installed ({error}). Run: pip install 'tlkeras[openvino]'.") from error
    source, tools = _source(model, folder, batch)
    converted = openvino.convert_model(str(source))
    tools["openvino"] = version("openvino")
    files, refused = {}, {}
    for name in quantizations:
        path = folder / f"{name}.xml"
        if name == "int8":
            try:
                quantized, reasons, more = onnx.write(model, folder, batch, ("none", "int8"), calibration)
            except InputError as error:
                refused[name] = str(error)
                continue
            if name in reasons:
                refused[name] = reasons[name]
                continue
            tools |= more
            openvino.save_model(openvino.convert_model(str(quantized["int8"])), str(path), compress_to_fp16=False)
        else:
            openvino.save_model(converted, str(path), compress_to_fp16=name == "float16")
        files[name] = path
    return files, refused, tools


def finish(path, labels):
    """Put labels into the chosen file, as runtime information of the model."""
    import openvino

    model = openvino.Core().read_model(str(path))
    # Separated by spaces, as OpenVINO's Model API reads them.
    names = " ".join("_".join(name.split()) for name in labels["class_names"])
    model.set_rt_info(names, ["model_info", "labels"])
    model.set_rt_info(json.dumps(labels), ["model_info", "tlkeras"])
    renamed = path.with_name("labeled.xml")
    openvino.save_model(model, str(renamed), compress_to_fp16=False)
    del model  # the .bin is mapped into memory as long as this lives
    for suffix in (".bin", ".xml"):
        renamed.with_suffix(suffix).replace(path.with_suffix(suffix))


def _source(model, folder, batch):
    """Write what OpenVINO converts; return its path and the tools that wrote it."""
    if batch == 1:
        content, _ = litert.by_own_writer(model)
        if content is not None:
            path = folder / "openvino.tflite"
            path.write_bytes(content)
            return path, {"writer": "tlkeras"}
    convert(model, folder, ["saved_model"], batch)
    return folder / "saved_model", {"tensorflow": version("tensorflow")}
