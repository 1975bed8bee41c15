"""Edit LiteRT files, and run them with all of their intermediate values."""

import contextlib

import flatbuffers
import numpy as np

from tlkeras.utils.stderr import silent_package


def run_all(content, images, tensors):
    """Run a file on one image at a time; yield a dict of some of its tensors, as floats, by number."""
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
            with contextlib.suppress(ValueError):  # folded away
                values[number] = _as_floats(interpreter.get_tensor(number), details[number]["quantization"])
        yield values


def _as_floats(values, quantization):
    """Undo the quantization of a tensor."""
    scale, zero = quantization
    return ((values.astype("float32") - zero) * scale).astype("float32") if scale else values


def without_cast(content):
    """Make the float values after the cast from uint8 the input."""
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
    """Remove a tensor that nothing uses, since quantizers read every tensor."""
    del graph.tensors[number]

    def moved(numbers):
        return [int(one) - (one > number) for one in numbers]

    for call in graph.operators:
        call.inputs, call.outputs = moved(call.inputs), moved(call.outputs)
    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex -= entry.tensorIndex > number


def with_uint8(content):
    """Let a file with int8 input and output take pixels in 0 to 255 and answer in 0 to 255."""
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
    """Return a tensor of a file, to be copied."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(content).Subgraphs(0).Tensors(number)


def opened(content):
    """Open a file to change it: `(model, graph)`."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    for buffer in model.buffers:
        if buffer.offset > 1:  # its data come after the FlatBuffer
            buffer.data = np.frombuffer(content, "uint8", buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model, model.subgraphs[0]


def operator_name(model, call):
    """Return LiteRT's name for the operator of a call."""
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    code = model.operatorCodes[call.opcodeIndex]
    return names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")


def packed(model):
    """Write a changed file."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
