"""Run a network in ONNX Runtime."""

from tlkeras.features.engines.slices import images_a_call, images_in_cache, run_in_slices


class OnnxRuntimeEngine:
    """Engine that runs an exported network in ONNX Runtime, on one CPU core per calling thread.

    Args:
        path: An `.onnx` file.
        image_shape: `(height, width, channels)` of the images.

    Raises:
        ImportError: ONNX Runtime is not installed.
        Exception: ONNX Runtime cannot run the file.
    """

    name = "onnxruntime"
    formats = ("onnx",)

    def __init__(self, path, image_shape):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._slice = images_in_cache(image_shape)
        self.batch_size = images_a_call(image_shape)

    def __call__(self, pixels):
        """Compute features, float32 `(n, features)`, from pixels `(n, height, width, channels)`."""
        return run_in_slices(lambda part: self._session.run(None, {self._input: part})[0], pixels, self._slice)

    @staticmethod
    def version():
        """Return the version of ONNX Runtime."""
        import onnxruntime

        return onnxruntime.__version__
