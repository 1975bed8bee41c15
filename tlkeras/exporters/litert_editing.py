"""Edit LiteRT files, and run them with access to their intermediate values."""

import contextlib

import flatbuffers
import numpy as np

from tlkeras.utils.stderr import silent_package


def run_all(content, images, tensors):
    """Run a file on one image at a time, and yield dicts that map the given tensor indices to float arrays."""
    from ai_edge_litert.interpreter import Interpreter

    with silent_package():
        interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    details = {one["index"]: one for one in interpreter.get_tensor_details()}
    taken = interpreter.get_input_details()[0]
    for image in images:
        interpreter.set_tensor(taken["index"], image[None].astype(taken["dtype"]))
        interpreter.invoke()
        values = {}
        for number in tensors:
            with contextlib.suppress(ValueError):  # the interpreter folded this tensor away
                values[number] = _as_floats(interpreter.get_tensor(number), details[number]["quantization"])
        yield values


def _as_floats(values, quantization):
    """Convert a quantized tensor back to floats."""
    scale, zero = quantization
    return ((values.astype("float32") - zero) * scale).astype("float32") if scale else values


def without_cast(content):
    """Remove the initial cast from uint8, so that the file takes float pixels."""
    model, graph = opened(content)
    first = graph.operators[0]
    if operator_name(model, first) != "CAST":
        return content
    pixels, floats = int(first.inputs[0]), int(first.outputs[0])
    graph.tensors[floats].name = graph.tensors[pixels].name
    graph.operators, graph.inputs = graph.operators[1:], [floats]
    for entry in model.signatureDefs[0].inputs:
        entry.tensorIndex = floats
    _remove_tensor(model, graph, pixels)
    return packed(model)


def _remove_tensor(model, graph, number):
    """Remove an unused tensor, because quantizers read all tensors, even unused ones."""
    del graph.tensors[number]

    def moved(numbers):
        return [int(one) - (one > number) for one in numbers]

    for call in graph.operators:
        call.inputs, call.outputs = moved(call.inputs), moved(call.outputs)
    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex -= entry.tensorIndex > number


def with_uint8(content):
    """Change the int8 input and output of a file to uint8 in [0, 255]."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = opened(content)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 1
    model.operatorCodes.append(code)
    signature = model.signatureDefs[0]
    for given, entries in ((True, signature.inputs), (False, signature.outputs)):
        inner = int((graph.inputs if given else graph.outputs)[0])
        tensor = schema.TensorT.InitFromObj(_tensor_of(content, inner))
        tensor.type, tensor.name = schema.TensorType.UINT8, b"image" if given else b"probabilities"
        tensor.quantization.zeroPoint = np.asarray(tensor.quantization.zeroPoint) + 128
        graph.tensors.append(tensor)
        outer, call = len(graph.tensors) - 1, schema.OperatorT()
        call.opcodeIndex = len(model.operatorCodes) - 1
        call.builtinOptionsType, call.builtinOptions = schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT()
        call.inputs, call.outputs = ([outer], [inner]) if given else ([inner], [outer])
        graph.operators = [call, *graph.operators] if given else [*graph.operators, call]
        setattr(graph, "inputs" if given else "outputs", [outer])
        for entry in entries:
            entry.tensorIndex = outer
    return packed(model)


def _tensor_of(content, number):
    """Return one tensor of a file, for copying."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(content).Subgraphs(0).Tensors(number)


def opened(content):
    """Open a file for editing, and return `(model, graph)`."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    for buffer in model.buffers:
        if buffer.offset > 1:  # its data is stored after the FlatBuffer
            buffer.data = np.frombuffer(content, "uint8", buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model, model.subgraphs[0]


def operator_name(model, call):
    """Return the LiteRT name of the operator that a call uses."""
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    code = model.operatorCodes[call.opcodeIndex]
    return names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")


def packed(model):
    """Serialize an edited model to bytes."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
