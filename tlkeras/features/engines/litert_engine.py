"""Run a network in LiteRT, from a file that needs neither Keras nor TensorFlow.

LiteRT is also the runtime on phones, so a phone that runs the file returns the same outputs as this engine.
"""

import os
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from threading import Lock

import numpy as np

from tlkeras.errors import InputError
from tlkeras.utils.stderr import silent_stderr


class LiteRtEngine:
    """Engine that runs a LiteRT file on images, on one CPU core per calling thread.

    The outputs may be features or a classifier's probabilities. Images are processed one at a time, so the output for
    an image does not depend on the rest of the batch and is bit-identical regardless of how the images are distributed
    over threads. Several threads may call one engine; each thread gets its own interpreter.

    Args:
        source: A `.tflite` file, or its contents as bytes, as written by
            `tlkeras.features.engines.litert_writer.write_litert`. The file has one input `(1, height, width, channels)`
            and one output `(1, outputs)`, or several outputs, which are concatenated.
        image_shape: `(height, width, channels)` that the file's input must have. Defaults to None, which accepts any
            shape.

    Attributes:
        image_shape: `(height, width, channels)` of the images that the engine takes.

    Raises:
        InputError: LiteRT is not installed or cannot run the file, or the file takes images of a different shape.

    Example:

    >>> import keras
    >>> from tlkeras.features.engines.litert_writer import write_litert
    >>> content = write_litert(keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()]))
    >>> LiteRtEngine(content)(np.ones((2, 4, 4, 3), "uint8"))
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)
    """

    name = "litert"
    formats = ("litert", "litert by TensorFlow")
    #: Number of images for a thread at a time. It is large enough that the cost of passing them on is negligible.
    batch_size = 8

    def __init__(self, source: bytes | str | os.PathLike, image_shape: tuple[int, int, int] | None = None):
        self._content = source if isinstance(source, bytes) else Path(source).read_bytes()
        self._idle = LifoQueue()
        interpreter = self._interpreter()
        self.image_shape = tuple(int(side) for side in interpreter.get_input_details()[0]["shape"][1:])
        if image_shape is not None and self.image_shape != tuple(image_shape):
            raise InputError(f"This LiteRT file takes images of shape {self.image_shape}, not {tuple(image_shape)}.")
        self._idle.put(interpreter)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the outputs for images.

        Args:
            pixels: Array of shape `(n, height, width, channels)`, of any dtype, in [0, 255] for networks that take raw
                pixels.

        Returns:
            float32 array of shape `(n, outputs)`.
        """
        try:
            interpreter = self._idle.get_nowait()
        except Empty:
            interpreter = self._interpreter()
        try:
            taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()
            answers = np.empty((len(pixels), *_side_by_side(given)), "float32")
            for row, image in enumerate(pixels):
                interpreter.set_tensor(taken["index"], image[None].astype(taken["dtype"], copy=False))
                interpreter.invoke()
                parts = [interpreter.get_tensor(one["index"])[0] for one in given]
                answers[row] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        finally:
            self._idle.put(interpreter)
        return answers

    @staticmethod
    def version() -> str:
        """Return the version of LiteRT."""
        from importlib.metadata import version

        return version("ai-edge-litert")

    def _interpreter(self):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError(
                f"LiteRT cannot be loaded ({error}). Run `pip install ai-edge-litert`, or use engine='keras'."
            ) from error
        try:
            with _quiet_the_first_time():
                interpreter = Interpreter(model_content=self._content, num_threads=1)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"LiteRT cannot run this file: {error}") from error
        return interpreter


def _side_by_side(outputs):
    """Return the shape of one image's result: the shape of a single output, or the total length of several outputs."""
    shapes = [one["shape"][1:] for one in outputs]
    return shapes[0] if len(shapes) == 1 else (sum(int(shape[-1]) for shape in shapes),)


_FIRST = Lock()


@contextmanager
def _quiet_the_first_time():
    """Silence stderr for the first interpreter of a process, when LiteRT's native code reports its delegate."""
    if not _FIRST.acquire(blocking=False):  # never released
        yield
        return
    with silent_stderr():
        yield
