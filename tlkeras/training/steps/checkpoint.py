"""Save the progress of a `fine_tune` call in a folder, so that the same call can resume if the process is killed."""

import json
import os
import zlib
from pathlib import Path

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.utils.files import check_folder, file_written_whole


def write_arrays(path, arrays, notes):
    """Write arrays and notes to one file atomically.

    Args:
        path: `pathlib.Path` of the file.
        arrays: List of NumPy arrays. Arrays of dtype bfloat16 are written as float32, which preserves their values.
        notes: Any object that can be stored as JSON.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state.npz"
    >>> write_arrays(path, [np.arange(3)], {"epoch": 2})
    >>> read_arrays(path)
    ([array([0, 1, 2])], {'epoch': 2})
    """
    arrays = [array.astype("float32") if array.dtype.name == "bfloat16" else array for array in arrays]
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as part, part.open("wb") as file:
        np.savez(file, *arrays, notes=json.dumps(notes))
        file.flush()
        os.fsync(file.fileno())


def read_arrays(path):
    """Read a file from `write_arrays`, and return the list of arrays and the notes."""
    with np.load(path) as file:
        return [file[f"arr_{i}"] for i in range(len(file.files) - 1)], json.loads(str(file["notes"]))


def values_as_list(variables):
    """Return copies of the values of variables as NumPy arrays, in the order of the variables."""
    # JAX returns views of buffers that the next step overwrites.
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign_all(variables, values):
    """Assign a list of values to variables in the same order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def call_of(model, data, options):
    """Return the properties that identify a call to `fine_tune`, as a dict that can be stored as JSON.

    Args:
        model: The classifier.
        data: The data of the call, as `tlkeras.training.steps.training_data.TrainingData`.
        options: `tlkeras.training.steps.options.Options`, whose callbacks are left out of the result.
    """
    call = {name: value for name, value in vars(options).items() if name not in ("callbacks", "mix", "class_weight")}
    call["class_weight"], call["mix"] = repr(options.class_weight), type(options.mix).__name__
    call["model"] = [[*variable.shape] for variable in model.variables]
    for name, batches in data.sources.items():
        labels = getattr(batches, "labels", None)
        call[name] = None if labels is None else [len(labels), zlib.crc32(np.ascontiguousarray(labels).tobytes())]
    return call


class Checkpoint:
    """Folder with the states of one call: `start`, `epoch`, `run-0`, `run-1`, ..., `done`, each written atomically.

    Args:
        folder: Path of the folder, which is created when the first state is saved; None to save nothing.
        call: Dict from `call_of`. A call resumes only from a checkpoint whose dict is the same.

    Raises:
        InputError: The folder is not writable, or contains the states of a different call.
    """

    def __init__(self, folder, call):
        self.folder = None if folder is None else Path(folder)
        self.call = json.loads(json.dumps(call))
        if self.folder is None:
            return
        check_folder(self.folder)
        for path in self.folder.glob("*.npz") if self.folder.exists() else ():
            before = read_arrays(path)[1].get("call", {})
            other = sorted(name for name in {*before, *self.call} if before.get(name) != self.call.get(name))
            if other:
                raise InputError(
                    "`checkpoint` must be a new folder or one from a call with the same arguments. Received: "
                    f"{str(self.folder)!r}, which contains the state of another call ({', '.join(other)} differ). "
                    "Remove the folder to start over."
                )

    def save(self, name, arrays, notes):
        """Save one state, which consists of arrays and notes, under a name."""
        if self.folder is not None:
            write_arrays(self.folder / f"{name}.npz", arrays, {**notes, "call": self.call})

    def load(self, name):
        """Return the arrays and notes of a saved state, or None if it was never saved."""
        path = None if self.folder is None else self.folder / f"{name}.npz"
        return read_arrays(path) if path and path.exists() else None

    def remove(self, name):
        """Remove the saved state with this name."""
        if self.folder is not None:
            (self.folder / f"{name}.npz").unlink(missing_ok=True)

    def __bool__(self):
        return self.folder is not None
