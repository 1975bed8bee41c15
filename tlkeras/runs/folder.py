"""A run: the folder that holds a trained classifier and all that is known of it.

`model.keras` opens with Keras alone; `labels.json` says what its answers mean and how images are brought to its size;
`metrics.json` says what was measured, on which files, with what; `confusion.png` shows the mistakes on the test split.
"""

import json
import os
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

import numpy as np

from tlkeras.data.reading import ImageError, read_image
from tlkeras.errors import InputError, first_line
from tlkeras.utils.files import check_output, written_whole
from tlkeras.utils.progress import progress

if TYPE_CHECKING:
    import keras

MODEL, LABELS, METRICS, CONFUSION = "model.keras", "labels.json", "metrics.json", "confusion.png"
_FILES = frozenset({MODEL, LABELS, METRICS, CONFUSION})


@dataclass(frozen=True)
class Run:
    """A trained classifier with what its answers mean.

    Attributes:
        model: `keras.Model` from raw pixels to probabilities.
        class_names: tuple of str, by position in the answer.
        image_size: `(height, width)` images are brought to.
        resize: How, as in `tlkeras.read_image`.
    """

    model: "keras.Model"
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: str

    def label(self, paths, batch_size=32, verbose=False):
        """Names the class of image files.

        Args:
            paths: The files.
            batch_size: Images a forward pass.
            verbose: Whether to show progress on stderr.

        Returns:
            `(answers, unreadable)`: a dict for each file that can be read, with `path`, `class`, `probability` and
            the `probabilities` of all classes, and a dict with `path` and `reason` for each other one.
        """
        answers, unreadable = [], []
        for path, found in self.probabilities(paths, batch_size, verbose):
            if isinstance(found, ImageError):
                unreadable.append({"path": found.path, "reason": found.reason})
            else:
                answers.append(self._answer(str(path), found))
        return answers, unreadable

    def probabilities(self, paths, batch_size=32, verbose=False):
        """Gives each path with its probabilities, an array of shape `(classes,)`, or with the `ImageError` it raises.

        Args:
            paths: As in `label`.
            batch_size: As in `label`.
            verbose: As in `label`.
        """
        starts = progress(range(0, len(paths), batch_size), description="predicting", unit="batch", verbose=verbose)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in starts:
                batch = paths[start : start + batch_size]
                found = list(pool.map(self._pixels, batch))
                images = [one for one in found if not isinstance(one, ImageError)]
                answers = iter(self.model.predict_on_batch(np.stack(images)) if images else ())
                for path, one in zip(batch, found, strict=True):
                    yield path, one if isinstance(one, ImageError) else next(answers)

    def _pixels(self, path):
        try:
            return read_image(path, self.image_size, self.resize)
        except ImageError as error:
            return error

    def _answer(self, path, probabilities):
        shares = dict(zip(self.class_names, map(float, probabilities), strict=True))
        best = max(shares, key=shares.get)
        return {"path": path, "class": best, "probability": shares[best], "probabilities": shares}


def load_run(path):
    """Opens the folder that `tlkeras fit` wrote.

    Args:
        path: The folder.

    Returns:
        `Run`.

    Raises:
        InputError: It is no such folder, or its model or labels cannot be read.
    """
    import keras

    path = Path(path)
    if not (path / MODEL).is_file() or not (path / LABELS).is_file():
        raise InputError(f"{str(path)!r} is not a run: it has no {MODEL} and {LABELS}. `tlkeras fit` writes one.")
    try:
        labels = json.loads((path / LABELS).read_text("utf-8"))
        names, size, resize = tuple(labels["class_names"]), tuple(labels["image_size"]), labels["resize"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path / LABELS)!r} cannot be read: {error!r}. Train the run again.") from error
    try:
        model = keras.saving.load_model(path / MODEL, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each have errors of their own for a file that is no model
        reason = first_line(error) if is_zipfile(path / MODEL) else "it is no whole zip file."
        raise InputError(f"{str(path / MODEL)!r} is not a Keras model: {reason} Train the run again.") from error
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, *size, 3), (None, len(names))):
        raise InputError(
            f"{str(path / MODEL)!r} does not fit its labels.json, of {len(names)} classes and images of {size}. "
            "Train the run again."
        )
    return Run(model, names, size, resize)


def read_metrics(path):
    """Reads what `metrics.json` of a run holds.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        return json.loads((Path(path) / METRICS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(Path(path) / METRICS)!r} cannot be read: {error}. Train the run again.") from error


def check_run_output(path, overwrite=False):
    """Refuses a folder for a run early, before any work and before Keras is imported.

    Args:
        path: The folder to be written.
        overwrite: Whether a run that is there may be replaced. Anything else is never replaced.

    Raises:
        InputError: A run is there already, or the folder holds other things, or it cannot be written.
    """
    check_output(path, _FILES)
    found = {entry.name for entry in Path(path).iterdir()} if Path(path).exists() else set()
    if found and METRICS not in found:
        raise InputError(f"The output folder {str(path)!r} holds no whole run to replace; name another one.")
    if found and not overwrite:
        raise InputError(f"The output folder {str(path)!r} exists; add --overwrite to replace that run.")


@contextmanager
def written_run(path, run, overwrite=False):
    """Writes a run: its model at once, and within a `with` block what is known of it.

    Whatever fails after the training, the trained model is kept: if not in the run, then in another folder beside it
    or in the system's temporary one, which the error names. Ctrl-C leaves nothing.

    Args:
        path: The folder.
        run: The `Run`.
        overwrite: Whether a run that is there is replaced.

    Yields:
        `pathlib.Path` of a temporary folder for the rest, such as `write_report` writes; it becomes the run.

    Raises:
        InputError: As in `check_run_output`, or the run cannot be written.
    """
    try:
        check_run_output(path, overwrite)
        with written_whole(path, _FILES) as part:
            _write_model(part, run)
            yield part
    except Exception as error:
        kept = _keep(Path(path).resolve(), run)
        where = f"The trained model is kept in {str(kept)!r}, for `tlkeras predict`." if kept else "The model is lost."
        if isinstance(error, InputError):
            raise InputError(f"{error} {where}") from error
        if isinstance(error, OSError):
            reason = error.strerror or first_line(error)
            raise InputError(f"The output folder {str(path)!r} cannot be written: {reason}. {where}") from error
        error.add_note(where)
        raise


def write_report(folder, metrics, figure):
    """Writes what was measured, as `metrics.json`, and the matplotlib figure of it, as `confusion.png`."""
    _write_json(folder / METRICS, metrics)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no font here has it, so there is a box
        figure.savefig(folder / CONFUSION, dpi=150)


def _keep(path, run):
    """Writes the model where there may be room; gives the folder, or `None`."""
    for place in (path.parent, tempfile.gettempdir()):
        try:
            folder = Path(tempfile.mkdtemp(dir=place, prefix=f"{path.name}."))
        except OSError:
            continue
        try:
            _write_model(folder, run)
            return folder
        except Exception:  # no room here either, or a model that Keras cannot write at all: the first error is told
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _write_model(folder, run):
    labels = {"class_names": list(run.class_names), "image_size": list(run.image_size), "resize": run.resize}
    run.model.save(folder / MODEL)
    _write_json(folder / LABELS, labels)


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
