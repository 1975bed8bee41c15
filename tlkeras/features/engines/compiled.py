"""A whole classifier as a LiteRT file that starts in a tenth of a second, without Keras."""

import os
from pathlib import Path

import keras
import numpy as np

from tlkeras.errors import first_line
from tlkeras.features.engines.keras_engine import KerasEngine
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.utils.files import file_written_whole

#: How far probabilities, and features relative to the largest, may lie from those of Keras.
TOLERANCES = (1e-5, 1e-4)


def compile_classifier(model: keras.Model, path: str | os.PathLike) -> str | None:
    """Write the LiteRT file of a classifier, if its answers are those of Keras.

    To answer with it, in a process that imports neither Keras nor TensorFlow:

        from tlkeras.features.engines.litert_engine import LiteRtEngine
        engine = LiteRtEngine("model.tflite")
        probabilities = engine(tlkeras.read_images(paths, engine.image_shape[:2]))

    An engine computes on the core of the thread that calls it, one image at a time, and several threads may call it at
    once.

    Args:
        model: A functional or Sequential `keras.Model` from raw pixels `(N, height, width, channels)` of a fixed size
            to probabilities or scores `(N, classes)`, and perhaps also to features `(N, features)`.
        path: The `.tflite` file, which appears complete or not at all; an existing one is replaced.

    Returns:
        None if the file was written; otherwise the reason why not: a layer that has no LiteRT form here, answers that
        differ by more than 1e-5 (relative to the largest score, where that is above 1), or LiteRT is not installed. No
        file is left then.

    Example:

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.LayerNormalization(name="norm")])
    >>> compile_classifier(keras.Sequential([model, keras.layers.Flatten()]), tempfile.mkdtemp() + "/model.tflite")
    "layer 'norm' is a LayerNormalization"
    """
    path = Path(path)
    path.unlink(missing_ok=True)
    content, reason = _compiled(model)
    if reason is None:
        with file_written_whole(path) as part:
            part.write_bytes(content)
    return reason


def quick_engine(model: keras.Model) -> LiteRtEngine | KerasEngine:
    """Make the quicker engine of a classifier: LiteRT if its answers are those of Keras, else Keras.

    Args:
        model: As in `compile_classifier`.
    """
    content, reason = _compiled(model)
    return LiteRtEngine(content) if reason is None else KerasEngine(model)


def _compiled(model):
    """Return the content of a LiteRT file and None, or None and the reason why there is none."""
    try:
        from tlkeras.features.engines.litert_writer import write_litert

        content = write_litert(model)
        engine = LiteRtEngine(content)
    except Exception as error:  # also of LiteRT itself, which may be missing or refuse the file
        return None, first_line(error)
    probe = np.random.default_rng(0).integers(0, 256, (4, *engine.image_shape)).astype("float32")
    expected = _answers_of_keras(model, probe)
    ends = np.cumsum([output.shape[-1] for output in model.outputs])[:-1]
    pairs = zip(np.split(engine(probe), ends, axis=1), np.split(expected, ends, axis=1), strict=True)
    for (ours, theirs), tolerance in zip(pairs, TOLERANCES, strict=False):
        difference = np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())
        if not difference <= tolerance:
            return None, f"its answers differ from those of Keras by {difference:.1e}"
    return content, None


def _answers_of_keras(model, pixels):
    """Compute a model's answers, side by side if it has several outputs.

    TensorFlow does so without compiling a function, which takes longer than a few images. JAX would compile each
    operation of a plain call by itself, which takes longer still.
    """
    if keras.backend.backend() != "tensorflow":
        return KerasEngine(model)(pixels)
    answers = model(pixels, training=False)
    return np.concatenate([np.asarray(one) for one in keras.tree.flatten(answers)], axis=1)
