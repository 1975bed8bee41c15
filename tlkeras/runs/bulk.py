"""Write the predictions for many images to a file, and resume if the process was killed."""

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from tlkeras.errors import InputError
from tlkeras.runs.answers import answer_file, check_answer_file, check_top_k
from tlkeras.runs.folder import MODEL
from tlkeras.runs.predicting import list_images, predict_each

#: Number of answers after which the unfinished file is flushed.
_FLUSHED = 64


@dataclass
class Bulk:
    """The result of writing the predictions for many images to a file.

    Attributes:
        count: Number of images, including unreadable ones.
        unreadable: One dict with `path` and `error` for each image that could not be read.
        other_files: Paths of non-image files in the given folders, such as text files.
        resumed: Number of predictions that were written by an earlier process.
    """

    count: int
    unreadable: list[dict] = field(default_factory=list)
    other_files: list[str] = field(default_factory=list)
    resumed: int = 0


def predict_to_file(
    run, images, output, *, resume=False, top_k=1, probabilities=False, tta=False, batch_size=32, verbose=False
) -> Bulk:
    """Write the predictions for images to a file, in order. See `tlkeras.runs.run.Run.predict` for the arguments.

    The predictions are collected, one line per image, in the hidden file `.NAME.unfinished` next to the output file.
    The output file is written once all predictions are available. If the process is killed, only the last batches are
    therefore lost.
    """
    check_answer_file(output)
    check_top_k(run, top_k)
    images, other_files = list_images(images)
    options = {"top_k": top_k, "probabilities": probabilities}
    call = {"run": _identity(run), "images": _digest(images), "tta": tta, **options}
    path = Path(output).resolve()
    unfinished = path.with_name(f".{path.name}.unfinished")
    result = Bulk(len(images), other_files=other_files)
    with _writable(path), _kept_if_begun(unfinished):
        result.resumed = _start(unfinished, call, resume)
        rest = images[result.resumed :]
        streaming = {"tta": tta, "batch_size": batch_size, "verbose": verbose, "start": result.resumed}
        answers = predict_each(run, rest, **options, **streaming)
        with unfinished.open("a", encoding="utf-8") as file:
            for number, answer in enumerate(answers, start=1):
                file.write(json.dumps(answer) + "\n")
                if number % _FLUSHED == 0:
                    file.flush()
        with answer_file(path, run, **options) as write:
            for answer in _answers(unfinished):
                write(answer)
                if "error" in answer:
                    result.unreadable.append(answer)
        unfinished.unlink()
    return result


def _start(unfinished, call, resume):
    """Create the unfinished file, or remove an incomplete last line. Return the number of predictions in the file."""
    call = json.loads(json.dumps(call))
    if not (resume and unfinished.exists()):
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(call) + "\n", "utf-8")
        return 0
    with unfinished.open("r+b") as file:
        lines = whole = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            other = [] if lines else sorted(name for name, value in json.loads(line).items() if call[name] != value)
            if other:
                raise InputError(
                    f"The unfinished predictions in {str(unfinished)!r} are from a call with different arguments "
                    f"({', '.join(other)}). Repeat that call, or start over without --resume (`resume=True`)."
                )
            lines, whole = lines + 1, whole + len(line)
        file.truncate(whole)
    if lines == 0:  # killed before the first line was on disk
        return _start(unfinished, call, resume=False)
    return lines - 1


def _answers(unfinished):
    """Yield the predictions in the unfinished file, one image at a time."""
    with unfinished.open(encoding="utf-8") as file:
        next(file)
        yield from map(json.loads, file)


def _identity(run):
    """Return values that identify a run: its folder, and the size and modification time of its model."""
    if run.path is None:
        return None
    model = run.path / MODEL
    status = (model if model.exists() else run.path).stat()  # an exported file is the model itself
    return [str(run.path.resolve()), status.st_size, status.st_mtime_ns]


def _digest(images):
    digest = blake2b(digest_size=16)
    for image in images:
        digest.update(os.fsencode(image) + b"\0" if isinstance(image, str | os.PathLike) else b"pixels\0")
    return digest.hexdigest()


@contextmanager
def _writable(path):
    try:
        yield
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _kept_if_begun(unfinished):
    """Remove the unfinished file if the `with` block fails before the first prediction is written."""
    before = unfinished.exists()
    try:
        yield
    except BaseException:
        if not before and unfinished.exists() and unfinished.read_bytes().count(b"\n") < 2:
            unfinished.unlink()
        raise
