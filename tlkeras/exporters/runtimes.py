"""Runtimes for exported files: one class per format, without Keras.

Each runtime takes uint8 pixels `(n, height, width, channels)` and returns float32 outputs `(n, outputs)`. If a file has
a second output, the score for unknown images, it becomes the last column. The number of threads is set when the file
is opened.
"""

import contextlib
from pathlib import Path

import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.utils.stderr import silent_stderr


def side_by_side(answers):
    """Concatenate the outputs of a network into an array `(n, outputs)`: probabilities first, unknown score last.

    The order in which outputs are returned differs between runtimes. The unknown score is the output with a single
    column, since a network with an unknown score has at least two classes.
    """
    if not isinstance(answers, list | tuple):
        return np.asarray(answers)
    return np.concatenate(sorted(map(np.asarray, answers), key=lambda one: one.shape[-1] == 1), axis=1)


class _Runtime:
    """Base class of all runtimes. It splits images into batches of the size that the file takes.

    Attributes:
        image_shape: Shape of an image, `(height, width, channels)`.
        batch: Images per call, or None for any number.
        batch_size: None, because a runtime manages its own threads. See `stream_features`.
    """

    batch_size = None

    def __call__(self, pixels):
        """Compute the outputs for any number of images, padding the last batch if necessary."""
        size = self.batch or 1
        answers = []
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            missing = size - len(part)
            if missing:
                part = np.pad(part, [(0, missing), (0, 0), (0, 0), (0, 0)])
            answers.append(side_by_side(self.run(part.astype("uint8", copy=False)))[: size - missing])
        return np.concatenate(answers).astype("float32", copy=False)


class LiteRt(_Runtime):
    """A `.tflite` file, opened in LiteRT."""

    packages = "ai-edge-litert"

    def __init__(self, path, threads):
        from ai_edge_litert.interpreter import Interpreter

        with silent_stderr():  # its native code logs the delegate to stderr
            self._interpreter = Interpreter(model_content=Path(path).read_bytes(), num_threads=threads)
            self._input = self._interpreter.get_input_details()[0]
            signature = self._input["shape_signature"]
            self.image_shape = tuple(int(side) for side in signature[1:])
            self.batch = None if signature[0] < 1 else int(signature[0])
            self._interpreter.allocate_tensors()
        self._outputs = self._interpreter.get_output_details()

    def run(self, pixels):
        """Compute one batch, and convert integer outputs to floats."""
        if len(pixels) != self._interpreter.get_input_details()[0]["shape"][0]:
            self._interpreter.resize_tensor_input(self._input["index"], pixels.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._input["index"], pixels.astype(self._input["dtype"], copy=False))
        self._interpreter.invoke()
        return [self._floats(output) for output in self._outputs]

    def _floats(self, output):
        """Return one output as floats."""
        answers, (scale, zero) = self._interpreter.get_tensor(output["index"]), output["quantization"]
        return (answers.astype("float32") - zero) * scale if scale else answers


class OnnxRuntime(_Runtime):
    """An `.onnx` file, opened in ONNX Runtime."""

    packages = "onnxruntime"

    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        taken = self._session.get_inputs()[0]
        self._input, (batch, *self.image_shape) = taken.name, taken.shape
        self.image_shape = tuple(self.image_shape)
        self.batch = batch if isinstance(batch, int) else None

    def run(self, pixels):
        """Run the file on one batch."""
        return self._session.run(None, {self._input: pixels})


class OpenVino(_Runtime):
    """An `.xml` file and its `.bin` file, opened in OpenVINO."""

    packages = "openvino"

    def __init__(self, path, threads):
        import openvino

        model = openvino.Core().read_model(str(path))
        batch, *sides = model.inputs[0].partial_shape
        self.batch = None if batch.is_dynamic else batch.get_length()
        self.image_shape = tuple(side.get_length() for side in sides)
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(threads),
            # By default, OpenVINO computes in bfloat16 on processors that support it, which changes answers.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()

    def run(self, pixels):
        """Run the file on one batch."""
        return list(self._request.infer([pixels]).values())


class SavedModel(_Runtime):
    """A SavedModel, opened in TensorFlow."""

    packages = "tensorflow"

    def __init__(self, path, threads):
        with silent_stderr():
            import tensorflow as tf

            with contextlib.suppress(RuntimeError):  # TensorFlow cannot change its threads once it has started
                tf.config.threading.set_intra_op_parallelism_threads(threads)
            self._loaded = tf.saved_model.load(str(path))
        self._run = self._loaded.signatures["serving_default"]
        batch, *sides = next(iter(self._run.structured_input_signature[1].values())).shape
        self.batch, self.image_shape = batch, tuple(sides)

    def run(self, pixels):
        """Run the file on one batch."""
        import tensorflow as tf

        return [answers.numpy() for answers in self._run(image=tf.constant(pixels)).values()]


RUNTIMES = {"litert": LiteRt, "onnx": OnnxRuntime, "openvino": OpenVino, "saved_model": SavedModel}


def open_runtime(path, format, threads=1):
    """Open an exported file in its runtime.

    Args:
        path: Path of the file or of a SavedModel's folder.
        format: `"litert"`, `"onnx"`, `"openvino"` or `"saved_model"`.
        threads: Number of threads to compute with. Defaults to 1.

    Returns:
        The runtime, a function that maps pixels to outputs.

    Raises:
        InputError: The runtime is not installed, or cannot open the file.
    """
    runtime = RUNTIMES[format]
    try:
        return runtime(path, threads)
    except ImportError as error:
        raise InputError(
            f"Running {format} files requires {runtime.packages} ({error}). Run: pip install {runtime.packages}"
        ) from error
    except Exception as error:  # each runtime has its own exception types
        raise InputError(f"{str(path)!r} cannot be opened as {format}: {first_line(error)}") from error
