"""Format the predictions for individual images as dicts and as rows of an output file."""

import csv
import importlib.util
import json
from contextlib import contextmanager
from pathlib import Path

from tlkeras.errors import InputError, first_line
from tlkeras.runs.trust import UNKNOWN
from tlkeras.utils.files import check_folder, file_written_whole
from tlkeras.utils.validation import check_integer, invalid

#: Number of rows written to a Parquet file at a time.
_ROWS = 4096


def answer_of(run, probabilities, top_k, all_probabilities):
    """Return the predictions for one image as a dict like those of `Run.predict`, but without the path.

    Args:
        run: `Run` that made the predictions.
        probabilities: Array of shape `(classes,)`, or `(classes + 1,)` with the unknown score last.
        top_k: Number of classes to include, starting with the most probable.
        all_probabilities: Whether to include the probabilities of all classes.
    """
    numbers = list(map(float, probabilities))
    score = None if run.rejector is None else numbers.pop()
    shares = dict(zip(run.class_names, numbers, strict=True))
    if run.thresholds is not None:
        pairs = zip(shares.items(), run.thresholds, strict=True)
        given = {name: share for (name, share), least in pairs if share >= least}
        answer = {"labels": list(given), "label_probabilities": list(given.values())}
    else:
        best = sorted(shares, key=shares.get, reverse=True)[:top_k]
        answer = {"class": best[0], "probability": shares[best[0]]}
        if top_k > 1:
            answer["top"] = [{"class": name, "probability": shares[name]} for name in best]
        if score is not None:
            answer |= {"class": UNKNOWN if run.rejector.exceeds(score) else best[0], "unknown_score": score}
    return {**answer, "probabilities": shares} if all_probabilities else answer


def check_top_k(run, top_k):
    """Check that `top_k` is valid for a run."""
    check_integer("top_k", top_k, 1, len(run.class_names))
    if top_k > 1 and run.thresholds is not None:
        raise invalid(
            "top_k",
            top_k,
            "be 1 for a run with several labels per image",
            "Use `probabilities=True` for the probabilities of all labels.",
        )


def check_answer_file(path):
    """Check that an output file for predictions can be written, before any work is done.

    Args:
        path: Path of the output file, whose suffix determines the format.

    Raises:
        InputError: The suffix is unknown, the folder is not writable, or a required package is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise invalid("output", str(path), "end in .csv, .jsonl or .parquet")
    if path.is_dir():
        raise invalid("output", str(path), "be a file, not a folder")
    check_folder(path.parent)
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError("Parquet files need the package pyarrow. Run: pip install 'tlkeras[tables]'.")


@contextmanager
def answer_file(path, run, top_k, probabilities):
    """Write predictions to a file, which appears only when it is complete.

    CSV and Parquet files have one row per image. The first column is `path`. With one class per image, the next columns
    are `class`, `probability`, `class_2`, `probability_2` and so on up to `top_k`, then `unknown_score` if the run has
    a rejector. With several labels per image, the next columns are instead `labels` and `label_probabilities`, each
    with values joined by `|`. With `probabilities`, there is one column per class, named `probability of NAME`. The
    last column is `error`. JSON Lines files contain the dicts that `Run.predict` returns.

    Args:
        path: Path of the file, whose suffix determines the format.
        run: `Run` that makes the predictions.
        top_k: As in `Run.predict`.
        probabilities: As in `Run.predict`.

    Yields:
        A function that writes the predictions for one image.

    Raises:
        InputError: The file cannot be written.
    """
    check_answer_file(path)
    check_top_k(run, top_k)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            file_written_whole(path) as part,
            _WRITERS[path.suffix.lower()](part, _columns(run, top_k, probabilities)) as write,
        ):
            yield write
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or first_line(error)}.") from error


def _columns(run, top_k, probabilities):
    """Return the columns of the output file, as a dict that maps names to types."""
    columns = {"path": str}
    if run.thresholds is not None:
        columns |= {"labels": str, "label_probabilities": str}
    else:
        for rank in range(top_k):
            columns |= {_ranked("class", rank): str, _ranked("probability", rank): float}
        if run.rejector is not None:
            columns["unknown_score"] = float
    if probabilities:
        columns |= {f"probability of {name}": float for name in run.class_names}
    return columns | {"error": str}


def _ranked(name, rank):
    return f"{name}_{rank + 1}" if rank else name


def _row(answer):
    """Return the row for one image, as a dict that maps column names to values."""
    row = {name: value for name, value in answer.items() if isinstance(value, str | float)}
    row["path"] = row["path"].encode("utf-8", "backslashreplace").decode()  # a file name may not be valid text
    for rank, one in enumerate(answer.get("top", ())):
        row |= {_ranked(name, rank): value for name, value in one.items()}
    for name in ("labels", "label_probabilities"):
        if name in answer:
            row[name] = "|".join(map(str, answer[name]))
    return row | {f"probability of {name}": share for name, share in answer.get("probabilities", {}).items()}


@contextmanager
def _csv(path, columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        yield lambda answer: writer.writerow(_row(answer))


@contextmanager
def _json_lines(path, columns):
    with path.open("w", encoding="utf-8") as file:
        yield lambda answer: file.write(json.dumps(answer) + "\n")


@contextmanager
def _parquet(path, columns):
    import pyarrow
    from pyarrow import parquet

    types = {str: pyarrow.string(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    rows = []

    def flush():
        writer.write_table(pyarrow.Table.from_pylist(rows, schema))
        rows.clear()

    def write(answer):
        rows.append(_row(answer))
        if len(rows) == _ROWS:
            flush()

    with parquet.ParquetWriter(path, schema) as writer:
        yield write
        flush()


_WRITERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
