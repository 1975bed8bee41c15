"""The runtimes that open exported files: one class each, without Keras.

All take uint8 pixels `(n, height, width, channels)` and return float32 answers `(n, outputs)`, on a number of threads.
If a file has a second output, the unknown score, it is the last column.
"""

import contextlib
from pathlib import Path

import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.utils.stderr import silent_stderr


def side_by_side(answers):
    """Put the outputs of a network side by side, `(n, outputs)`: first the probabilities, last the unknown score.

    Runtimes give them in orders of their own. The score is a single number, and there are probabilities for two classes
    or more where there is a score.
    """
    if not isinstance(answers, list | tuple):
        return np.asarray(answers)
    return np.concatenate(sorted(map(np.asarray, answers), key=lambda one: one.shape[-1] == 1), axis=1)


class _Runtime:
    """The base of all runtimes, which calls a file on batches of its size.

    Attributes:
        image_shape: `(height, width, channels)`.
        batch: Images per call; None for any number.
        batch_size: None: a runtime computes in the thread that calls it, on its own threads; see `stream_features`.
    """

    batch_size = None

    def __call__(self, pixels):
        """Compute the answers to images."""
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
    """A `.tflite` file in LiteRT."""

    packages = "ai-edge-litert"

    def __init__(self, path, threads):
        from ai_edge_litert.interpreter import Interpreter

        with silent_stderr():  # its native code announces its delegate there
            self._interpreter = Interpreter(model_content=Path(path).read_bytes(), num_threads=threads)
            self._input = self._interpreter.get_input_details()[0]
            signature = self._input["shape_signature"]
            self.image_shape = tuple(int(side) for side in signature[1:])
            self.batch = None if signature[0] < 1 else int(signature[0])
            self._interpreter.allocate_tensors()
        self._outputs = self._interpreter.get_output_details()

    def run(self, pixels):
        """Compute one call; integers are turned into probabilities."""
        if len(pixels) != self._interpreter.get_input_details()[0]["shape"][0]:
            self._interpreter.resize_tensor_input(self._input["index"], pixels.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._input["index"], pixels.astype(self._input["dtype"], copy=False))
        self._interpreter.invoke()
        return [self._floats(output) for output in self._outputs]

    def _floats(self, output):
        """Return an output as floats."""
        answers, (scale, zero) = self._interpreter.get_tensor(output["index"]), output["quantization"]
        return (answers.astype("float32") - zero) * scale if scale else answers


class OnnxRuntime(_Runtime):
    """An `.onnx` file in ONNX Runtime."""

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
        """Compute one call."""
        return self._session.run(None, {self._input: pixels})


class OpenVino(_Runtime):
    """An `.xml` file, with its `.bin` beside it, in OpenVINO."""

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
            # Left to itself it computes in bfloat16 where the processor can, which changes answers.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()

    def run(self, pixels):
        """Compute one call."""
        return list(self._request.infer([pixels]).values())


class SavedModel(_Runtime):
    """A SavedModel in TensorFlow."""

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
        """Compute one call."""
        import tensorflow as tf

        return [answers.numpy() for answers in self._run(image=tf.constant(pixels)).values()]


RUNTIMES = {"litert": LiteRt, "onnx": OnnxRuntime, "openvino": OpenVino, "saved_model": SavedModel}


def open_runtime(path, format, threads=1):
    """Open an exported file in its runtime.

    Args:
        path: The file, or the folder of a SavedModel.
        format: `"litert"`, `"onnx"`, `"openvino"` or `"saved_model"`.
        threads: Threads to compute on.

    Raises:
        InputError: The runtime is not installed, or does not open the file.
    """
    runtime = RUNTIMES[format]
    try:
        return runtime(path, threads)
    except ImportError as error:
        raise InputError(f"Running {format} needs {runtime.packages} ({error}). Run: pip install it.") from error
    except Exception as error:  # each runtime has errors of its own
        raise InputError(f"{str(path)!r} cannot be opened as {format}: {first_line(error)}") from error
