"""OpenVINO export: an `.xml` file and a `.bin` file, for Intel processors."""

import json
from importlib.metadata import version

from tlkeras.errors import InputError
from tlkeras.exporters import litert, onnx
from tlkeras.exporters.tensorflow_process import convert


def write(model, folder, batch, quantizations, calibration):
    """Write a model as OpenVINO files. Arguments and results are as in `tlkeras.exporters.litert.write`.

    OpenVINO converts a LiteRT file if one can be written without TensorFlow, and a SavedModel otherwise. The `int8`
    file is converted from the int8 ONNX file, because OpenVINO's own quantizer loses more accuracy.

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
    """Add labels to the chosen file, as the model's runtime information."""
    import openvino

    model = openvino.Core().read_model(str(path))
    # OpenVINO's Model API expects names separated by spaces.
    names = " ".join("_".join(name.split()) for name in labels["class_names"])
    model.set_rt_info(names, ["model_info", "labels"])
    model.set_rt_info(json.dumps(labels), ["model_info", "tlkeras"])
    renamed = path.with_name("labeled.xml")
    openvino.save_model(model, str(renamed), compress_to_fp16=False)
    del model  # it keeps the .bin file mapped into memory
    for suffix in (".bin", ".xml"):
        renamed.with_suffix(suffix).replace(path.with_suffix(suffix))


def _source(model, folder, batch):
    """Write the file that OpenVINO converts. Return its path and the tools that wrote it."""
    if batch == 1:
        content, _ = litert.by_own_writer(model)
        if content is not None:
            path = folder / "openvino.tflite"
            path.write_bytes(content)
            return path, {"writer": "tlkeras"}
    convert(model, folder, ["saved_model"], batch)
    return folder / "saved_model", {"tensorflow": version("tensorflow")}
