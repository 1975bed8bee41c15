"""Run a network in OpenVINO."""

import os
from queue import LifoQueue

from tlkeras.features.engines.slices import images_a_call, images_in_cache, run_in_slices


class OpenVinoEngine:
    """Engine that runs an exported network in OpenVINO, on one CPU core per calling thread.

    Args:
        path: An `.onnx` file, or an `.xml` file with its `.bin` file in the same folder.
        image_shape: `(height, width, channels)` of the images.

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
            # By default, OpenVINO uses bfloat16 if the processor can, which changes features by several percent.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        model = core.read_model(str(path))
        self._slice = images_in_cache(image_shape)
        self.batch_size = images_a_call(image_shape)
        model.reshape([self._slice, *image_shape])  # a fixed shape avoids compiling the code again
        model = core.compile_model(model, "CPU", hints)
        # A request stores the pixels and features of one batch, so two threads must not share it.
        self._requests = LifoQueue()
        for _ in range(cores):
            self._requests.put(model.create_infer_request())

    def __call__(self, pixels):
        """Compute features, float32 `(n, features)`, from pixels `(n, height, width, channels)`."""
        request = self._requests.get()
        try:
            return run_in_slices(lambda part: _infer(request, part), pixels, self._slice)
        finally:
            self._requests.put(request)

    @staticmethod
    def version():
        """Return the version of OpenVINO."""
        import openvino

        return openvino.__version__


def _infer(request, pixels):
    # Copy the pixels to the request's own memory, because OpenVINO may release a shared array in a thread that does not
    # hold Python's lock.
    request.get_input_tensor().data[:] = pixels
    return request.infer()[0]
