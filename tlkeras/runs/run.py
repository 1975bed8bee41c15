"""A trained classifier with the meaning of its answers: what `tlkeras.fit` returns and `tlkeras.load_run` opens."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import keras
import numpy as np

from tlkeras.data.reading import ImageError, read_image
from tlkeras.errors import InputError, first_line
from tlkeras.runs.folder import LABELS, METRICS, MODEL
from tlkeras.runs.log import LOG, read_log
from tlkeras.runs.measuring import evaluate
from tlkeras.runs.summary import summary
from tlkeras.utils.progress import progress


class Run:
    """A trained classifier, the meaning of its answers, and how well it did.

    `tlkeras.fit` returns one, and `tlkeras.load_run` opens the folder that it was written to. `print` shows the scores.

    Attributes:
        model: `keras.Model` from raw pixels in [0, 255], of shape `(images, height, width, 3)`, to probabilities of
            shape `(images, classes)`.
        class_names: Tuple of str, by position in the answer.
        image_size: `(height, width)` that images are resized to, in pixels.
        resize: How, as in `tlkeras.read_image`.
        thresholds: None, or, where an image may have several labels, a tuple of the probabilities at which each label
            is assigned.
        path: `pathlib.Path` of the run's folder, or None for a run that was not written.

    Example:

    >>> import tlkeras
    >>> run = tlkeras.fit("data/clipart10", per_class=5, verbose=False)
    >>> answer = run.predict(["data/clipart10/bug/bee.jpg"])[0]
    >>> sorted(answer), len(answer["probabilities"])
    (['class', 'path', 'probability', 'probabilities'], 10)
    >>> run.metrics["measured"]["by"]
    'cross-validation'
    """

    def __init__(
        self,
        model: keras.Model,
        class_names: tuple[str, ...],
        image_size: tuple[int, int],
        resize: str,
        *,
        thresholds: tuple[float, ...] | None = None,
        path: Path | None = None,
        metrics: dict | None = None,
        log: list[dict] | None = None,
    ):
        self.model, self.class_names, self.image_size, self.resize = model, class_names, image_size, resize
        self.thresholds, self.path = thresholds, path
        if metrics is not None:
            self.metrics = metrics
        if log is not None:
            self.log = log

    def __repr__(self) -> str:
        where = "" if self.path is None else f"{str(self.path)!r}, "
        return f"Run({where}{len(self.class_names)} classes)"

    def __str__(self) -> str:
        return summary(self.metrics)

    @cached_property
    def metrics(self) -> dict:
        """The measurements and how they were made: the content of `metrics.json`.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            return json.loads((self.path / METRICS).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{str(self.path / METRICS)!r} cannot be read: {error}. Train the run again.") from error

    @cached_property
    def log(self) -> list[dict]:
        """The training events, in order: the content of `log.jsonl`; see docs/logging.md."""
        path = self.path / LOG
        return read_log(path) if path.exists() else []

    def predict(self, images: Any, *, batch_size: int = 32, verbose: bool = False) -> list[dict]:
        """Predict the class of images.

        Args:
            images: Paths of image files, or anything else that `tlkeras.read_image` takes; a single image or a
                sequence.
            batch_size: Images per forward pass. Defaults to 32.
            verbose: Whether to show progress on stderr. Defaults to False.

        Returns:
            A dict per image, in the order given: `path`, `class`, `probability` and the `probabilities` of all
            classes; where an image may have several labels, `labels` instead of `class` and `probability`. For an
            image that cannot be read, `path` and `error`.
        """
        if isinstance(images, str | os.PathLike):
            images = [images]
        answers = []
        for place, (image, probabilities) in enumerate(self.probabilities(images, batch_size, verbose)):
            path = str(image) if isinstance(image, str | os.PathLike) else f"image {place}"
            if isinstance(probabilities, ImageError):
                answers.append({"path": path, "error": probabilities.reason})
            else:
                answers.append({"path": path, **self._answer(probabilities)})
        return answers

    def evaluate(self, source: str | os.PathLike, *, verbose: bool = False) -> dict:
        """Measure on other labeled images.

        Args:
            source: Folder with a subfolder of images per class, for all known classes or some.
            verbose: Whether to show progress on stderr. Defaults to False.

        Returns:
            A dict: `scores` (what `tlkeras.evaluation.metrics.Scores` holds), `part` (what was scored: `"test"` where
            the folder has a test part, else `"validation"` where it has that, else `"all"`), `seen_in_training` (how
            many of these images were used to train or choose the model), `skipped` (files of this part that
            cannot be read, with the reason).

        Raises:
            InputError: There is no such folder, or it has a class that the run does not know.
        """
        return evaluate(self, source, verbose)

    def probabilities(self, images: Any, batch_size: int = 32, verbose: bool = False) -> Iterator[tuple[Any, Any]]:
        """Predict batch by batch, for more images than fit in memory.

        Args:
            images: As in `predict`.
            batch_size: As in `predict`.
            verbose: As in `predict`.

        Yields:
            Each image with its probabilities, float32 of shape `(classes,)`, or with the `ImageError` that reading it
            raised.

        Example:

        >>> import tlkeras
        >>> run = tlkeras.fit("data/clipart10", per_class=5, verbose=False)
        >>> [answer.shape for path, answer in run.probabilities(["data/clipart10/bug/bee.jpg"])]
        [(10,)]
        """
        starts = progress(range(0, len(images), batch_size), description="predicting", unit="batch", verbose=verbose)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in starts:
                batch = images[start : start + batch_size]
                read = list(pool.map(self._read, batch))
                pixels = [one for one in read if not isinstance(one, ImageError)]
                answers = iter(self.model.predict_on_batch(np.stack(pixels)) if pixels else ())
                for image, one in zip(batch, read, strict=True):
                    yield image, one if isinstance(one, ImageError) else next(answers)

    def _read(self, image):
        try:
            return read_image(image, self.image_size, self.resize)
        except ImageError as error:
            return error

    def _answer(self, probabilities):
        shares = dict(zip(self.class_names, map(float, probabilities), strict=True))
        if self.thresholds is None:
            best = max(shares, key=shares.get)
            return {"class": best, "probability": shares[best], "probabilities": shares}
        pairs = zip(shares.items(), self.thresholds, strict=True)
        return {"labels": [name for (name, share), least in pairs if share >= least], "probabilities": shares}


def load_run(path: str | os.PathLike) -> Run:
    """Open the folder of a run that `tlkeras.fit` or `tlkeras fit` wrote.

    Args:
        path: The folder.

    Returns:
        `Run`.

    Raises:
        InputError: The folder is not a run, or its model or labels cannot be read.

    Example:

    >>> load_run("data")
    Traceback (most recent call last):
    tlkeras.errors.InputError: 'data' is not a run: it has no model.keras and labels.json. `tlkeras fit` writes one.
    """
    path = Path(path)
    if not (path / MODEL).is_file() or not (path / LABELS).is_file():
        raise InputError(f"{str(path)!r} is not a run: it has no {MODEL} and {LABELS}. `tlkeras fit` writes one.")
    try:
        labels = json.loads((path / LABELS).read_text("utf-8"))
        names, size, resize = tuple(labels["class_names"]), tuple(labels["image_size"]), labels["resize"]
        thresholds = labels.get("thresholds")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(path / LABELS)!r} cannot be read: {error!r}. Train the run again.") from error
    try:
        model = keras.saving.load_model(path / MODEL, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each have errors of their own for a file that is not a model
        reason = first_line(error) if is_zipfile(path / MODEL) else "it is not a complete zip file."
        raise InputError(f"{str(path / MODEL)!r} is not a Keras model: {reason} Train the run again.") from error
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, *size, 3), (None, len(names))):
        raise InputError(
            f"{str(path / MODEL)!r} does not match its labels.json, which has {len(names)} classes and images "
            f"of {size}. Train the run again."
        )
    return Run(model, names, size, resize, thresholds=None if thresholds is None else tuple(thresholds), path=path)
