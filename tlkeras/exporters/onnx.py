"""ONNX export: an `.onnx` file for ONNX Runtime and other tools that read ONNX."""

import json
from importlib.metadata import version

from tlkeras.errors import InputError, first_line
from tlkeras.exporters.onnx_weights import weight_scales
from tlkeras.exporters.options import OUTPUTS
from tlkeras.exporters.processor import has_int8_dot_products
from tlkeras.exporters.tensorflow_process import convert

#: Final operators that `int8` keeps in float: the head, and the operators after it.
_HEADS, _ENDS = ("Gemm", "MatMul"), ("Softmax", "Sigmoid", "Add")

#: `float16` converts only constants with more values than this. Converting small ones, such as shapes, saves nothing.
_SMALL = 256


def write(model, folder, batch, quantizations, calibration):
    """Write a model as ONNX files. Arguments and results are as in `tlkeras.exporters.litert.write`.

    TensorFlow writes a SavedModel in a separate process, regardless of the model's backend. tf2onnx then converts the
    SavedModel.

    Raises:
        InputError: onnx, onnxruntime or tf2onnx is not installed, or the model cannot be converted.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise InputError(
            f"ONNX files require additional packages ({error}). Run: pip install 'tlkeras[onnx]'."
        ) from error
    raw, plain = folder / "raw.onnx", folder / "none.onnx"
    convert(model, folder, [raw.name], batch)
    quant_pre_process(str(raw), str(plain), skip_symbolic_shape=True)  # folds BatchNorm, for accurate int8
    raw.unlink()
    onnx.save(canonical(onnx.load(str(plain)), batch), str(plain))
    onnx.checker.check_model(str(plain))
    files, refused = {"none": plain}, {}
    for name in quantizations:
        path = folder / f"{name}.onnx"
        try:
            if name == "float16":
                _write_half(plain, path)
            elif name == "int8":
                _write_int8(plain, path, calibration, batch)
        except Exception as error:  # the quantizer raises various types for unsupported networks
            refused[name] = first_line(error)
            continue
        files[name] = path
    tools = {name: version(name) for name in ("tensorflow", "tf2onnx", "onnx", "onnxruntime")}
    return files, refused, tools


def finish(path, labels):
    """Add labels to the chosen file, as metadata properties."""
    import onnx

    model = onnx.load(str(path))
    values = {"labels": json.dumps(labels["class_names"]), "tlkeras": json.dumps(labels)}
    onnx.helper.set_model_props(model, values)
    model.producer_name = "tlkeras"
    onnx.save(model, str(path))


def canonical(model, batch):
    """Number a model's nodes and tensors so that equal networks produce equal bytes, and remove unused parts.

    Args:
        model: `onnx.ModelProto` with one input, and the outputs `OUTPUTS` or only the first of them. It is changed in
            place.
        batch: Images per call, or None for any number.

    Returns:
        The same model, whose input is now named `image` and whose outputs have the names in `OUTPUTS`.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    order = _needed(graph, graph.output)
    names = {"": "", graph.input[0].name: "image"}
    names |= {output.name: name for output, name in zip(graph.output, OUTPUTS, strict=False)}
    kept = []
    for number, node in enumerate(order):
        for place, name in enumerate(node.input):
            if name in constants and name not in names:
                names[name] = f"constant_{len(kept)}"
                kept.append(constants[name])
            node.input[place] = names[name]
        for place, name in enumerate(node.output):
            names.setdefault(name, f"tensor_{number}_{place}")
            node.output[place] = names[name]
        node.name, node.doc_string = f"{node.op_type}_{number}", ""
    for tensor in kept:
        tensor.name = names[tensor.name]
    nodes, kept = [_copied(node) for node in order], [_copied(tensor) for tensor in kept]
    for field in (graph.node, graph.initializer, graph.value_info):
        del field[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    used = {node.domain for node in graph.node}
    imports = [_copied(one) for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    graph.name = "tlkeras"
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
        first = value.type.tensor_type.shape.dim[0]
        if batch is None:
            first.dim_param = "batch"
        else:
            first.dim_value = batch
    return model


def _copied(message):
    """Copy a protocol buffer message, since the list that contains it is cleared later."""
    return type(message).FromString(message.SerializeToString())


def _needed(graph, outputs):
    """List the nodes that the outputs depend on, in topological order."""
    producers = {name: node for node in graph.node for name in node.output}
    order, seen, stack = [], set(), [(producers[output.name], 0) for output in reversed(outputs)]
    while stack:
        node, place = stack.pop()
        if place == 0:
            if id(node) in seen:
                continue
            seen.add(id(node))
        if place == len(node.input):
            order.append(node)
            continue
        stack.append((node, place + 1))
        before = producers.get(node.input[place])
        if before is not None and id(before) not in seen:
            stack.append((before, 0))
    return order


def _write_half(source, path):
    """Store constants in float16 and compute in float32, which every operator supports."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    graph, casts, kept = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > _SMALL:
            half = f"{tensor.name}_half"
            values = np.clip(values, *(np.finfo("float16").min, np.finfo("float16").max)).astype("float16")
            kept.append(numpy_helper.from_array(values, half))
            casts.append(helper.make_node("Cast", [half], [tensor.name], to=TensorProto.FLOAT))
        else:
            kept.append(_copied(tensor))
    nodes = [_copied(node) for node in graph.node]
    for field, values in ((graph.initializer, kept), (graph.node, [*casts, *nodes])):
        del field[:]
        field.extend(values)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _write_int8(source, path, calibration, batch):
    """Compute in int8, with the head in float. Measure the ranges of activations on calibration images."""
    import numpy as np
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    graph = onnx.load(str(source)).graph
    kept = _head(graph)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.images = iter(calibration)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"image": np.repeat(image[None], batch or 1, axis=0)}

    quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # Sums of 8-bit products can overflow without 8-bit dot products. Convolutions have scales that prevent this;
        # other weights get 7 bits.
        reduce_range=not has_int8_dot_products(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=kept,
        extra_options={"TensorQuantOverrides": weight_scales(graph, kept)},
    )


def _head(graph):
    """List the names of nodes to keep in float: those from the head on, and those used only by the unknown score."""
    nodes = _needed(graph, graph.output[:1])
    last = max((place for place, node in enumerate(nodes) if node.op_type in _HEADS), default=len(nodes))
    names = {node.name for node in nodes}
    return [node.name for node in nodes[last:] if node.op_type in (*_HEADS, *_ENDS)] + [
        node.name for node in graph.node if node.name not in names
    ]
