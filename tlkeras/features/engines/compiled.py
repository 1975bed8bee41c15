"""Compile a whole classifier to a LiteRT file that loads in a tenth of a second, without Keras."""

import os
from pathlib import Path

import keras
import numpy as np

from tlkeras.errors import first_line
from tlkeras.features.engines.keras_engine import KerasEngine
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.utils.files import file_written_whole

#: Largest differences from Keras allowed for probabilities and, relative to the largest feature, for features.
TOLERANCES = (1e-5, 1e-4)


def compile_classifier(model: keras.Model, path: str | os.PathLike) -> str | None:
    """Write a classifier as a LiteRT file, provided that the file's outputs match those of Keras.

    To use the file in a process that imports neither Keras nor TensorFlow:

        from tlkeras.features.engines.litert_engine import LiteRtEngine
        engine = LiteRtEngine("model.tflite")
        probabilities = engine(tlkeras.read_images(paths, engine.image_shape[:2]))

    An engine processes one image at a time on the calling thread's core. Several threads may call one engine at the
    same time.

    Args:
        model: A functional or Sequential `keras.Model` that maps raw pixels `(N, height, width, channels)` of a fixed
            size to probabilities or scores `(N, classes)` and, optionally, to features `(N, features)`.
        path: Path of the `.tflite` file, which is written completely or not at all. An existing file is replaced.

    Returns:
        None if the file was written, otherwise the reason why it was not: a layer that tlkeras cannot write for LiteRT,
        outputs that differ from those of Keras by more than 1e-5 (relative to the largest score, if that score is above
        1), or a missing LiteRT package. In these cases, no file is left behind.

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
    """Create the fastest engine for a classifier: LiteRT if its outputs match those of Keras, and Keras otherwise.

    Args:
        model: A `keras.Model`, as in `compile_classifier`.
    """
    content, reason = _compiled(model)
    return LiteRtEngine(content) if reason is None else KerasEngine(model)


def _compiled(model):
    """Return the contents of a LiteRT file and None, or None and the reason why the file cannot be written."""
    try:
        from tlkeras.features.engines.litert_writer import write_litert

        content = write_litert(model)
        engine = LiteRtEngine(content)
    except Exception as error:  # including errors from LiteRT, which may be missing or reject the file
        return None, first_line(error)
    probe = np.random.default_rng(0).integers(0, 256, (4, *engine.image_shape)).astype("float32")
    expected = _answers_of_keras(model, probe)
    ends = np.cumsum([output.shape[-1] for output in model.outputs])[:-1]
    pairs = zip(np.split(engine(probe), ends, axis=1), np.split(expected, ends, axis=1), strict=True)
    for (ours, theirs), tolerance in zip(pairs, TOLERANCES, strict=False):
        difference = np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())
        if not difference <= tolerance:
            return None, f"its answers differ from those of Keras by up to {difference:.1e}"
    return content, None


def _answers_of_keras(model, pixels):
    """Compute a model's outputs, concatenated if there are several.

    On TensorFlow, the model is called directly, because compiling a function takes longer than computing several
    images. On JAX, a direct call would compile each operation separately, which takes even longer.
    """
    if keras.backend.backend() != "tensorflow":
        return KerasEngine(model)(pixels)
    answers = model(pixels, training=False)
    return np.concatenate([np.asarray(one) for one in keras.tree.flatten(answers)], axis=1)
