"""The folder of a run: a trained classifier and all that is known of it.

`model.keras` opens with Keras alone; `model.tflite` gives the same answers in LiteRT, without Keras, where the model
can be written for it; `labels.json` says what the answers mean and how images are brought to the model's size;
`metrics.json` says what was measured, on which files and with which settings; `report.html` shows all of it,
`confusion.png` the mistakes; `model_card.md` goes with the model where it is published; `log.jsonl` has a line per
event of the training. `rejection.npz`, if asked for, tells images of unknown classes by the features that
`model.tflite` then gives beside its probabilities.
"""

import json
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from tlkeras.errors import InputError, first_line
from tlkeras.runs.log import LOG
from tlkeras.utils.files import check_output, written_whole

MODEL, LITERT = "model.keras", "model.tflite"
LABELS, METRICS, CONFUSION, REJECTION = "labels.json", "metrics.json", "confusion.png", "rejection.npz"
REPORT, CARD = "report.html", "model_card.md"
_FILES = frozenset({MODEL, LITERT, LABELS, REJECTION, METRICS, CONFUSION, REPORT, CARD, LOG})


def check_run_output(path, overwrite=False):
    """Refuse an unusable output folder before any work and before Keras is imported.

    Args:
        path: The folder to be written.
        overwrite: Whether an existing run may be replaced. Anything else is never replaced.

    Raises:
        InputError: A run is there already, or the folder contains other files, or it cannot be written.
    """
    check_output(path, _FILES)
    found = {entry.name for entry in Path(path).iterdir()} if Path(path).exists() else set()
    if found and METRICS not in found:
        raise InputError(f"The output folder {str(path)!r} contains no complete run to replace; choose another folder.")
    if found and not overwrite:
        raise InputError(f"The output folder {str(path)!r} exists; add --overwrite to replace that run.")


@contextmanager
def written_run(path, run, overwrite=False):
    """Write a run: its model at once, and within a `with` block what is known of it.

    If anything fails after the training, the trained model is kept: if not in the run, then in another folder beside it
    or in the system's temporary folder. The error names it. Ctrl-C leaves nothing.

    Args:
        path: The folder.
        run: The `Run`.
        overwrite: Whether an existing run is replaced.

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


def write_report(folder, metrics, figure, events):
    """Write what was measured, and how.

    Args:
        folder: `pathlib.Path` to write to.
        metrics: Dict for `metrics.json`.
        figure: Matplotlib figure for `confusion.png`, or None.
        events: Dicts for the lines of `log.jsonl`.
    """
    _write_json(folder / METRICS, metrics)
    (folder / LOG).write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    if figure is None:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no font here has it, so there is a box
        figure.savefig(folder / CONFUSION, dpi=150)


def read_litert(folder, labels, image_shape, outputs):
    """Open the LiteRT file of a run if it belongs to the Keras model that is there now.

    Args:
        folder: `pathlib.Path` of the run.
        labels: Content of its `labels.json`, with the digests of both files.
        image_shape: `(height, width, 3)`.
        outputs: Number of classes, plus the number of features where there is a rejector.

    Returns:
        `LiteRtEngine`; None if there is no such file, one of the two has changed, or LiteRT does not run it.
    """
    import numpy as np  # `fit --help` reads this file and does without

    from tlkeras.features.engines.litert_engine import LiteRtEngine

    digests = labels.get("digests")
    if not isinstance(digests, dict) or set(digests) != {MODEL, LITERT}:
        return None
    try:
        if digests != _digests(folder):
            return None
        engine = LiteRtEngine(folder / LITERT, image_shape)
    except (OSError, InputError):
        return None
    return engine if engine(np.zeros((1, *image_shape), "uint8")).shape == (1, outputs) else None


def read_rejector(folder):
    """Read the rejector of a run, or return None if it has none."""
    if not (folder / REJECTION).is_file():
        return None
    from tlkeras.evaluation.rejector import Rejector

    return Rejector.load(folder / REJECTION)


def _digests(folder):
    """Return the digests of a run's model in both its forms."""
    return {name: blake2b((folder / name).read_bytes(), digest_size=16).hexdigest() for name in (MODEL, LITERT)}


def _keep(path, run):
    """Write the model where there may be room; return the folder, or None."""
    for place in (path.parent, tempfile.gettempdir()):
        try:
            folder = Path(tempfile.mkdtemp(dir=place, prefix=f"{path.name}."))
        except OSError:
            continue
        try:
            _write_model(folder, run)
            return folder
        except Exception:  # no room here either, or a model that Keras cannot write at all: the first error is reported
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _write_model(folder, run):
    """Write the model and the meaning of its answers."""
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
    """Write the LiteRT file beside the model; tell whether that was possible."""
    from tlkeras.features.engines.compiled import compile_classifier  # imports Keras

    try:
        return compile_classifier(run.network(), folder / LITERT) is None
    except Exception:  # it only saves time: nothing may cost the trained model
        return False


def _write_json(path, content):
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
