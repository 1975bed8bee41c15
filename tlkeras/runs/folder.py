"""The folder of a run: a trained classifier and its documentation.

- `model.keras` can be loaded with plain Keras.
- `model.tflite` makes the same predictions in LiteRT, without Keras. It exists only if the model can be converted.
- `labels.json` contains the class names and the resizing method.
- `metrics.json` contains the measurements, the digests of the images, and the settings.
- `report.html` shows all of the above, and `confusion.png` shows which classes are confused.
- `model_card.md` documents the model for publication.
- `log.jsonl` has one line per training event.
- `rejection.npz` contains the rejector, which recognizes images of unknown classes from their features. It exists
  only if rejection was requested; `model.tflite` then returns these features along with the probabilities.
"""

import json
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from zipfile import is_zipfile

from tlkeras.errors import InputError, first_line
from tlkeras.runs.log import LOG
from tlkeras.utils.files import check_output, written_whole

MODEL, LITERT = "model.keras", "model.tflite"
LABELS, METRICS, CONFUSION, REJECTION = "labels.json", "metrics.json", "confusion.png", "rejection.npz"
REPORT, CARD = "report.html", "model_card.md"
_FILES = frozenset({MODEL, LITERT, LABELS, REJECTION, METRICS, CONFUSION, REPORT, CARD, LOG})


def check_run_output(path, overwrite=False):
    """Check that a run can be written to a folder, before any work is done and before Keras is imported.

    Args:
        path: Output folder of the run.
        overwrite: Whether an existing run may be replaced. Files that do not belong to a run are never replaced.
            Defaults to False.

    Raises:
        InputError: The folder already contains a run, contains other files, or is not writable.
    """
    check_output(path, _FILES)
    found = {entry.name for entry in Path(path).iterdir()} if Path(path).exists() else set()
    if found and METRICS not in found:
        raise InputError(
            f"The output folder {str(path)!r} is not empty and does not contain a complete run. Choose another folder."
        )
    if found and not overwrite:
        raise InputError(
            f"The output folder {str(path)!r} already contains a run. "
            "Pass --overwrite (`overwrite=True`) to replace it."
        )


@contextmanager
def written_run(path, run, overwrite=False, within=None):
    """Write a run: first the model, then the files that the `with` block writes.

    If the `with` block fails, the trained model is saved to a fallback folder, next to the run's folder or in the
    system's temporary folder, and the error names that folder. Ctrl-C leaves no files behind.

    Args:
        path: Output folder of the run.
        run: The `Run` to write.
        overwrite: Whether to replace an existing run. Defaults to False.
        within: As in `tlkeras.utils.files.written_whole`.

    Yields:
        `pathlib.Path` of a temporary folder to which the `with` block writes its files. At the end, the folder is moved
        to `path`.

    Raises:
        InputError: As in `check_run_output`, or the run cannot be written.
    """
    try:
        check_run_output(path, overwrite)
        with written_whole(path, _FILES, within) as part:
            _write_model(part, run)
            yield part
    except Exception as error:
        kept = _keep(Path(path).resolve(), run)
        saved = f"The trained model was saved in {str(kept)!r}. Use it with `tlkeras predict`."
        where = saved if kept else "The model could not be saved."
        if isinstance(error, InputError):
            raise InputError(f"{error} {where}") from error
        if isinstance(error, OSError):
            reason = error.strerror or first_line(error)
            raise InputError(f"Cannot write to the output folder {str(path)!r}: {reason}. {where}") from error
        error.add_note(where)
        raise


def write_report(folder, metrics, figure, events):
    """Write `metrics.json`, `log.jsonl` and `confusion.png`.

    Args:
        folder: Output folder, `pathlib.Path`.
        metrics: Dict for `metrics.json`.
        figure: Matplotlib figure for `confusion.png`, or None, which writes no figure.
        events: Dicts for the lines of `log.jsonl`.
    """
    _write_json(folder / METRICS, metrics)
    (folder / LOG).write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    if figure is None:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no installed font has it, so a box is drawn
        figure.savefig(folder / CONFUSION, dpi=150)


def read_model(folder, size, classes):
    """Load the Keras model of a run, and check its input and output shapes.

    Args:
        folder: Folder of the run, `pathlib.Path`.
        size: `(height, width)` of the images, in pixels.
        classes: Number of classes.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        InputError: The file is missing or damaged, or the shapes do not match.
    """
    import keras

    path = folder / MODEL
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each raise their own types for an invalid file
        reason = first_line(error) if is_zipfile(path) else "the file is not a complete zip archive."
        raise InputError(f"{str(path)!r} is not a Keras model: {reason} Train the run again.") from error
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, *size, 3), (None, classes)):
        raise InputError(
            f"{str(path)!r} does not match its labels.json, which specifies {classes} classes and images of size "
            f"{size}. Train the run again."
        )
    return model


def read_litert(folder, labels, image_shape, outputs):
    """Open the LiteRT file of a run if it matches the current Keras model.

    Args:
        folder: Folder of the run, `pathlib.Path`.
        labels: Contents of the run's `labels.json`, with the digests of the Keras and LiteRT files.
        image_shape: Shape of an image, `(height, width, 3)`.
        outputs: Number of classes, plus the number of features if the run has a rejector.

    Returns:
        `LiteRtEngine`. None if there is no LiteRT file, if it or the Keras file has changed, or if it is rejected by
        `inspect_litert` or by LiteRT itself.
    """
    import numpy as np  # `fit --help` imports this module and does not need NumPy

    from tlkeras.features.engines.litert_engine import LiteRtEngine
    from tlkeras.features.engines.litert_inspection import inspect_litert

    digests = labels.get("digests")
    if not isinstance(digests, dict) or set(digests) != {MODEL, LITERT}:
        return None
    try:
        if digests != _digests(folder):
            return None
        inspect_litert(folder / LITERT)
        engine = LiteRtEngine(folder / LITERT, image_shape)
    except (OSError, ImportError, InputError):
        return None
    return engine if engine(np.zeros((1, *image_shape), "uint8")).shape == (1, outputs) else None


def read_rejector(folder):
    """Read the rejector of a run, or return None if it has none."""
    if not (folder / REJECTION).is_file():
        return None
    from tlkeras.evaluation.rejector import Rejector

    return Rejector.load(folder / REJECTION)


def _digests(folder):
    """Return the digests of a run's Keras and LiteRT files."""
    return {name: blake2b((folder / name).read_bytes(), digest_size=16).hexdigest() for name in (MODEL, LITERT)}


def _keep(path, run):
    """Save the model to a fallback folder. Return the folder, or None if that also fails."""
    for place in (path.parent, tempfile.gettempdir()):
        try:
            folder = Path(tempfile.mkdtemp(dir=place, prefix=f"{path.name}."))
        except OSError:
            continue
        try:
            _write_model(folder, run)
            return folder
        except Exception:  # no space here either, or Keras cannot save the model; the first error is reported
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _write_model(folder, run):
    """Write the model files and `labels.json`."""
    labels = {"class_names": list(run.class_names), "image_size": list(run.image_size), "resize": run.resize}
    if run.thresholds is not None:
        labels["thresholds"] = list(run.thresholds)
    run.model.save(folder / MODEL)
    if run.rejector is not None:
        run.rejector.save(folder / REJECTION)
    if _written_litert(folder, run):
        labels["digests"] = _digests(folder)
    _write_json(folder / LABELS, labels)


def _written_litert(folder, run):
    """Write the LiteRT file next to the model. Return whether that was possible."""
    from tlkeras.features.engines.compiled import compile_classifier  # imports Keras

    try:
        return compile_classifier(run.network(), folder / LITERT) is None
    except Exception:  # the file only saves time, so a failure must not lose the model
        return False


def _write_json(path, content):
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
