"""The engine that runs a network in OpenVINO."""

import os
from queue import LifoQueue

from tlkeras.features.engines.slices import images_a_call, images_in_cache, run_in_slices


class OpenVinoEngine:
    """Runs an exported network in OpenVINO, on one core of the CPU for each thread that calls.

    Args:
        path: An `.onnx` file, or an `.xml` file with its `.bin` beside it.
        image_shape: `(height, width, channels)`.

    Raises:
        ImportError: OpenVINO is not installed.
        Exception: OpenVINO cannot run the file.
    """

    name = "openvino"
    formats = ("onnx", "openvino")

    def __init__(self, path, image_shape):
        import openvino

        core = openvino.Core()
        cores = os.cpu_count() or 1
        hints = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(cores),
            "INFERENCE_NUM_THREADS": str(cores),
            # Left to itself it computes in bfloat16 where the processor can, which moves features by several percent.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        model = core.read_model(str(path))
        self._slice = images_in_cache(image_shape)
        self.batch_size = images_a_call(image_shape)
        model.reshape([self._slice, *image_shape])  # the code is made for one shape, and need not be made again
        model = core.compile_model(model, "CPU", hints)
        # A request holds the pixels and the features of one batch: two threads must not share one.
        self._requests = LifoQueue()
        for _ in range(cores):
            self._requests.put(model.create_infer_request())

    def __call__(self, pixels):
        """Compute features, float32 `(n, features)`, of pixels `(n, height, width, channels)`."""
        request = self._requests.get()
        try:
            return run_in_slices(lambda part: _infer(request, part), pixels, self._slice)
        finally:
            self._requests.put(request)

    @staticmethod
    def version():
        """Return the version of the runtime."""
        import openvino

        return openvino.__version__


def _infer(request, pixels):
    # Copied to memory of the request's own: OpenVINO may let go of a shared array in a thread that does not hold
    # Python's lock.
    request.get_input_tensor().data[:] = pixels
    return request.infer()[0]
