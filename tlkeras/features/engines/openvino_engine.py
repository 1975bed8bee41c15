"""The network run by OpenVINO."""


class OpenVinoEngine:
    """Runs an exported network in OpenVINO, on the CPU.

    Args:
        path: An `.onnx` file, or an `.xml` file with its `.bin` beside it.

    Raises:
        ImportError: OpenVINO is not installed.
        Exception: Of OpenVINO, where it cannot run the file.
    """

    name = "openvino"
    formats = ("onnx", "openvino")

    def __init__(self, path):
        import openvino

        core = openvino.Core()
        # Left to itself it computes in bfloat16 where the processor can, which moves features by several percent.
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self._model = core.compile_model(core.read_model(str(path)), "CPU", hints)

    def __call__(self, pixels):
        """Computes features, float32 `(n, features)`, of pixels `(n, height, width, channels)`."""
        return self._model(pixels.astype("float32", copy=False))[0]

    @staticmethod
    def version():
        """The version of the runtime."""
        import openvino

        return openvino.__version__
