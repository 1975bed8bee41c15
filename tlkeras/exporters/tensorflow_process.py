"""A separate process that converts models with TensorFlow, independent of the caller's Keras backend.

`convert` starts the process with the TensorFlow backend. The process opens a `.keras` file and writes a SavedModel that
takes uint8 pixels. On request, it also converts the SavedModel to a `.tflite` or an `.onnx` file.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from tlkeras.errors import InputError
from tlkeras.exporters.options import OUTPUTS


def convert(model, folder, targets, batch):
    """Write a model as a SavedModel, and optionally in other formats, with TensorFlow in a separate process.

    Args:
        model: `keras.Model` that maps pixels to outputs.
        folder: Working folder, `pathlib.Path`. `saved_model` and the targets are written to it.
        targets: Names of the files to write, chosen from `saved_model`, `none.tflite`, `float16.tflite` and `raw.onnx`.
        batch: Images per call, or None for any number.

    Raises:
        InputError: TensorFlow is not installed, or the model cannot be converted.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            "This export needs TensorFlow, which is not installed. It runs in a separate process, so the model may use "
            "any backend. Run: pip install tensorflow"
        )
    model.save(folder / "model.keras")
    spec = {"folder": str(folder), "targets": list(targets), "batch": batch}
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # conversion needs no GPU
    command = [sys.executable, "-m", "tlkeras.exporters.tensorflow_process", json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    missing = [name for name in targets if not (folder / name).exists()]
    if done.returncode or missing:
        error = folder / "error.txt"
        reason = error.read_text() if error.exists() else f"the converter exited with status {done.returncode}"
        raise InputError(f"This model cannot be exported: {reason}")


def _main(spec):
    """Convert a model as specified in a file. If that fails, write the first line of the error to `error.txt`."""
    folder = Path(spec["folder"])
    try:
        model = _opened(folder / "model.keras")
        _write_saved_model(model, folder / "saved_model", spec["batch"])
        del model
        for name in spec["targets"]:
            if name.endswith(".tflite"):
                (folder / name).write_bytes(_litert(folder / "saved_model", float16=name.startswith("float16")))
            elif name == "raw.onnx":
                _write_onnx(folder / "saved_model", folder / name)
    except Exception as error:
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        (folder / "error.txt").write_text(text[:400])
        raise


def _opened(path):
    """Open the model in safe mode, which runs no code from the file."""
    import keras

    import tlkeras.exporters.unknown_score  # noqa: F401 (registers its layer)

    return keras.saving.load_model(path, compile=False, safe_mode=True)


@contextlib.contextmanager
def _no_compiled_functions():
    """Keep TensorFlow from wrapping operations such as grouped convolutions in functions that tf2onnx cannot inline."""
    import tensorflow as tf

    original = tf.function
    tf.function = lambda *arguments, jit_compile=None, **options: original(*arguments, **options)
    try:
        yield
    finally:
        tf.function = original


def _write_saved_model(model, folder, batch):
    """Write a SavedModel whose only endpoint takes uint8 pixels and runs in inference mode.

    `model.export` does not pass `training=False`, so augmentation would be active and BatchNorm would use batch
    statistics.
    """
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)

    def serve(image):
        answers = keras.tree.flatten(model(tf.cast(image, model.inputs[0].dtype), training=False))
        return dict(zip(OUTPUTS, answers, strict=False))

    shape = (batch, *model.input_shape[1:])
    with _no_compiled_functions():
        archive.add_endpoint("serve", serve, input_signature=[tf.TensorSpec(shape, tf.uint8, name="image")])
        archive.write_out(str(folder), verbose=False)


def _litert(folder, float16):
    """Convert to LiteRT, using only built-in operators."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _write_onnx(folder, path):
    """Convert to ONNX.

    tf2onnx's optimizers are disabled, since they increase memory use several times over, and ONNX Runtime optimizes the
    graph later anyway.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    _teach_tf2onnx()
    tf2onnx.optimizer.optimize_graph = lambda graph, *arguments, **options: graph
    loaded = tf.saved_model.load(str(folder))
    frozen = convert_variables_to_constants_v2(loaded.signatures["serving_default"], lower_control_flow=False)
    names = {"input_names": [one.name for one in frozen.inputs], "output_names": [one.name for one in frozen.outputs]}
    model, _ = tf2onnx.convert.from_graph_def(frozen.graph.as_graph_def(), opset=17, **names)
    onnx.save(model, str(path))


def _teach_tf2onnx():
    """Add support to tf2onnx for NumPy 2 and for the complementary error function, which exact GELU uses."""
    import numpy as np
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx, node, **kwargs):
            tensor, shapes, dtypes = node.input[0], node.output_shapes, node.output_dtypes
            ctx.remove_node(node.name)
            erf = ctx.make_node("Erf", [tensor], dtypes=dtypes, shapes=shapes)
            one = ctx.make_const(f"{node.name}_one", np.array(1, "float32"))
            inputs = [one.output[0], erf.output[0]]
            ctx.make_node("Sub", inputs, name=node.name, outputs=node.output, dtypes=dtypes, shapes=shapes)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
