"""Find weights files on disk, download them if necessary, and load them."""

import contextlib
import hashlib
import os
import shutil
import sys
import warnings

import keras

from tlkeras.backbones.catalog import keras_models_folder
from tlkeras.errors import InputError, first_line


def _matches(path, expected):
    if expected is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256" if len(expected) == 64 else "md5").hexdigest() == expected


def published_file(file, url, expected_hash=None):
    """Find a weights file in Keras' models folder, or download it.

    A message is printed to stderr before the download. The file gets its final name only when it is complete, so an
    interrupted download leaves the folder unchanged.

    Args:
        file: Name of the file in `$KERAS_HOME/models` (by default `~/.keras/models`).
        url: URL where the file is published.
        expected_hash: MD5 or SHA-256 that the file must have. Defaults to None, which skips the check.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        InputError: The file is missing or has a different hash, and cannot be downloaded.

    Example:

    >>> import os, tempfile
    >>> from pathlib import Path
    >>> from unittest import mock
    >>> home = tempfile.mkdtemp()
    >>> models = Path(home, "models")
    >>> models.mkdir()
    >>> models.joinpath("weights.h5").write_text("put here by hand")
    16
    >>> with mock.patch.dict(os.environ, KERAS_HOME=home):
    ...     published_file("weights.h5", "https://example.org/weights.h5").name
    'weights.h5'
    """
    folder = keras_models_folder()
    path = folder / file
    there = path.is_file()
    if there and _matches(path, expected_hash):
        return path
    print(f"tlkeras: downloading {url} to {path}", file=sys.stderr)
    # The name includes the process ID, because two processes may download the same file at once.
    partial = f"{file}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Keras draws its progress bar on stdout, which is reserved for the program's output.
        with contextlib.redirect_stdout(sys.stderr):
            got = keras.utils.get_file(
                partial, url, cache_dir=str(folder.parent), cache_subdir=folder.name, file_hash=expected_hash
            )
        shutil.move(got, path)  # Keras uses another folder if ours is not writable
    except Exception as error:  # Keras raises a plain Exception without a network connection
        (folder / partial).unlink(missing_ok=True)
        state = f"in {folder} is not the published one (its hash differs)" if there else f"is not in {folder}"
        raise InputError(
            f"The weights file {file} {state} and cannot be downloaded ({error}). Download {url} on a machine with "
            f"internet access and save it as {path}, or pass weights=None or the path of a weights file."
        ) from error
    return path


def load_weights(models, path):
    """Load a weights file into layers that are shared by several models.

    Args:
        models: Functional models that arrange the same layers in different ways. The file may match any of these
            models.
        path: A `.weights.h5`, `.h5` or `.keras` file.

    Raises:
        InputError: The file fits none of the models.

    Example:

    >>> import os, tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "dense.weights.h5")
    >>> model.save_weights(path)
    >>> load_weights([model], path)
    """
    reasons = []
    for model in models:
        try:
            with warnings.catch_warnings():
                # Keras warns if the file has another arrangement. Weights that were not loaded raise an error anyway.
                warnings.filterwarnings("ignore", message="Skipping nested container")
                model.load_weights(path)
            return
        except Exception as error:  # h5py, zipfile and Keras each raise their own exceptions for a misfit
            reasons.append(error)
    raise InputError(
        f"The weights in {path} do not fit {models[0].name} without its classification head: {first_line(reasons[0])}"
    ) from reasons[0]


def reads_weights(model, path):
    """Load a weights file into a model if it fits.

    Args:
        model: A functional model.
        path: A `.weights.h5`, `.h5` or `.keras` file.

    Returns:
        Whether the file fits the model. If it does not, the model's weights are undefined afterwards.

    Example:

    >>> import os, tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "dense.weights.h5")
    >>> model.save_weights(path)
    >>> reads_weights(model, path), reads_weights(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), path)
    (True, False)
    """
    try:
        load_weights([model], path)
    except InputError:
        return False
    return True
