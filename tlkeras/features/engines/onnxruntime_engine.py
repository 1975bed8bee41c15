"""The network run by ONNX Runtime."""

import os


class OnnxRuntimeEngine:
    """Runs an exported network in ONNX Runtime, on the CPU.

    Args:
        path: An `.onnx` file.

    Raises:
        ImportError: ONNX Runtime is not installed.
        Exception: Of ONNX Runtime, where it cannot run the file.
    """

    name = "onnxruntime"
    formats = ("onnx",)

    def __init__(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = os.cpu_count() or 1
        # Waiting threads that spin would take the cores from those that decode images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, pixels):
        """Computes features, float32 `(n, features)`, of pixels `(n, height, width, channels)`."""
        return self._session.run(None, {self._input: pixels.astype("float32", copy=False)})[0]

    @staticmethod
    def version():
        """The version of the runtime."""
        import onnxruntime

        return onnxruntime.__version__
