"""Build a LiteRT file from tensors, constants and operators, as a FlatBuffer."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

#: Operators whose options have a different name from the operator.
_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "HARD_SWISH": "HardSwishOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REVERSE_V2": "ReverseV2Options",
    "SUM": "ReducerOptions",
}

#: Operators without options.
_PLAIN = ("LOG", "LOGISTIC", "RELU", "RELU6", "SQRT", "TANH")


class LiteRtGraph:
    """A LiteRT model with one graph and one input, built operator by operator.

    Attributes:
        layer: Name of the layer that is currently being written; tensors are named after it.

    Example:

    >>> graph = LiteRtGraph()
    >>> image = graph.input((1, 2))
    >>> graph.finish(output=graph.add("ADD", [image, graph.constant([1.0])], (1, 2)))[4:8]
    b'TFL3'
    """

    def __init__(self):
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = "written by tlkeras"
        self._model.operatorCodes = []
        self._model.buffers = [schema.BufferT()]  # the first buffer is for computed tensors
        self._codes = {}
        self._subgraph = schema.SubGraphT()
        self._subgraph.name = "main"
        self._subgraph.tensors, self._subgraph.operators = [], []
        self._model.subgraphs = [self._subgraph]
        self.layer = "tensor"

    def input(self, shape, dtype="float32"):
        """Add the input of the graph, and return the number of the float32 tensor that holds its values."""
        number = self._tensor("image", shape, dtype, 0)
        self._subgraph.inputs = [number]
        if dtype == "float32":
            return number
        return self.cast(number, "uint8")

    def cast(self, number, dtype):
        """Add a conversion of a `dtype` tensor to float32, and return the number of the float32 tensor."""
        types = {"inDataType": getattr(schema.TensorType, dtype.upper()), "outDataType": schema.TensorType.FLOAT32}
        return self.add("CAST", [number], self.shape(number), **types)

    def constant(self, values, dtype="float32"):
        """Add a constant, and return its number."""
        values = np.ascontiguousarray(values, dtype)
        buffer = schema.BufferT()
        buffer.data = values.reshape(-1).view("uint8")
        self._model.buffers.append(buffer)
        return self._tensor(None, values.shape, dtype, len(self._model.buffers) - 1)

    def add(self, operator, inputs, shape, dtype="float32", **options):
        """Add an operator with one output.

        Args:
            operator: Name in LiteRT's schema, such as `"CONV_2D"`.
            inputs: Numbers of the input tensors.
            shape: Shape of the output.
            dtype: Type of the output. Defaults to float32, the type of most outputs.
            **options: Attributes of the operator's options in the schema. Enumeration values are given by name.

        Returns:
            The number of the output tensor.
        """
        output = self._tensor(None, shape, dtype, 0)
        call = schema.OperatorT()
        call.opcodeIndex = self._code(operator)
        call.inputs, call.outputs = list(inputs), [output]
        if operator not in _PLAIN:
            kind = _OPTIONS.get(operator, f"{operator.title().replace('_', '')}Options")
            call.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            call.builtinOptions = getattr(schema, f"{kind}T")()
            for name, value in options.items():
                enumeration = {"padding": schema.Padding, "fusedActivationFunction": schema.ActivationFunctionType}
                value = getattr(enumeration[name], value) if name in enumeration else value
                setattr(call.builtinOptions, name, value)
        self._subgraph.operators.append(call)
        return output

    def shape(self, tensor):
        """Return the shape of a tensor."""
        return tuple(self._subgraph.tensors[tensor].shape)

    def finish(self, **outputs):
        """Name the outputs, and return the file's contents."""
        self._subgraph.outputs = list(outputs.values())
        self._model.signatureDefs = [self._signature(outputs)]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, name, shape, dtype, buffer):
        tensor = schema.TensorT()
        number = len(self._subgraph.tensors)
        tensor.name = name or f"{self.layer}:{number}"  # quantizers require a name for each tensor
        tensor.shape, tensor.buffer = list(shape), buffer
        tensor.type = getattr(schema.TensorType, dtype.upper())
        self._subgraph.tensors.append(tensor)
        return number

    def _code(self, operator):
        if operator not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, operator)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = 1
            self._codes[operator] = len(self._codes)
            self._model.operatorCodes.append(code)
        return self._codes[operator]

    def _signature(self, outputs):
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = [], []
        for listed, name, number in (
            (signature.inputs, "image", self._subgraph.inputs[0]),
            *((signature.outputs, name, number) for name, number in outputs.items()),
        ):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, number
            listed.append(entry)
        return signature
