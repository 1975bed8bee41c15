"""Export networks once to the formats of inference runtimes, and keep the files."""

import json
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np

from tlkeras.utils.files import file_written_whole
from tlkeras.utils.stderr import silent_package

#: Suffixes of file names. The number is the version of `litert_writer`; increase it when the written files change.
_SUFFIX = {"litert": "-4.tflite", "litert by TensorFlow": "-converted.tflite", "onnx": ".onnx", "openvino": ".xml"}


class ExportFolder:
    """A folder with the exported files of one network and stored facts about the network.

    Args:
        folder: `pathlib.Path` of a permanent folder, or None for a temporary folder that is deleted when the program
            ends.
    """

    def __init__(self, folder):
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="tlkeras-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = folder

    def path(self, format):
        """Return the path of the network's file in the given format, whether or not the file exists yet."""
        return self.folder / f"network{_SUFFIX[format]}"

    def export(self, network, format):
        """Export a network unless its file already exists; the file is written completely or not at all.

        Args:
            network: `keras.Model`, or a function that returns a `keras.Model` and is called only when needed.
            format: `"litert"` (written by `litert_writer`), `"litert by TensorFlow"` (written by TensorFlow's
                converter, on the TensorFlow backend), `"onnx"` or `"openvino"`.

        Returns:
            `pathlib.Path` of the file.

        Raises:
            Exception: Any error raised by the exporter, such as an `ImportError` if a required package is not
                installed.
        """
        path = self.path(format)
        if path.is_file():
            return path
        network = network() if not hasattr(network, "predict_on_batch") else network
        self.folder.mkdir(parents=True, exist_ok=True)
        if format == "litert":
            from tlkeras.features.engines.litert_writer import write_litert

            content = write_litert(network)
            with file_written_whole(path) as part:
                part.write_bytes(content)
            return path
        if not network._called:  # Keras can export only models that were called before
            network.predict_on_batch(np.zeros((1, *(side or 32 for side in network.input_shape[1:])), "float32"))
        part = Path(tempfile.mkdtemp(dir=self.folder, prefix=".part-"))
        try:
            with silent_package():
                network.export(str(part / path.name), format=format.partition(" ")[0], verbose=False)
            # Move the file that others look for last, so that an .xml already has its .bin.
            for file in sorted(part.iterdir(), key=lambda file: file.name == path.name):
                file.replace(self.folder / file.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return path

    def remember(self, **facts):
        """Store facts about the network for later processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_written_whole(self.folder / "facts.json") as part:
            part.write_text(json.dumps({**self.remembered(), **facts}))

    def remembered(self):
        """Return the facts that `remember` stored, as a dictionary."""
        try:
            return json.loads((self.folder / "facts.json").read_text())
        except (OSError, ValueError):
            return {}
