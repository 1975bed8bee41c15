"""A trained classifier with the meaning of its answers: what `tlkeras.fit` returns and `tlkeras.load_run` opens."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

from tlkeras.data.reading import ImageError
from tlkeras.errors import InputError, first_line
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.runs.bulk import predict_to_file
from tlkeras.runs.folder import LABELS, METRICS, MODEL, REPORT, read_litert, read_rejector
from tlkeras.runs.log import LOG, read_log
from tlkeras.runs.predicting import predict_each, stream_answers
from tlkeras.runs.summary import summary, summary_html
from tlkeras.runs.trust import UnknownScoring

if TYPE_CHECKING:
    import keras

    from tlkeras.evaluation.rejector import Rejector


class Run:
    """A trained classifier, the meaning of its answers, and how well it did.

    `tlkeras.fit` returns one, and `tlkeras.load_run` opens the folder that it was written to. `print` shows the scores.

    Attributes:
        model: `keras.Model` from raw pixels in [0, 255], of shape `(images, height, width, 3)`, to probabilities of
            shape `(images, classes)`; read from the disk when it is first used.
        class_names: Tuple of str, by position in the answer.
        image_size: `(height, width)` that images are resized to, in pixels.
        resize: How, as in `tlkeras.read_image`.
        thresholds: None, or, where an image may have several labels, a tuple of the probabilities at which each label
            is assigned.
        rejector: `tlkeras.Rejector` that tells images of unknown classes, or None.
        path: `pathlib.Path` of the run's folder, or None for a run that was not written.

    Example:

    >>> import tlkeras
    >>> run = tlkeras.fit("data/clipart10", per_class=5, verbose=False)
    >>> answer = run.predict("data/clipart10/bug/bee.jpg", top_k=3)[0]
    >>> sorted(answer), len(answer["top"])
    (['class', 'path', 'probability', 'top'], 3)
    >>> run.metrics["measured"]["by"]
    'cross-validation'
    """

    def __init__(
        self,
        model: "keras.Model | None",
        class_names: tuple[str, ...],
        image_size: tuple[int, int],
        resize: str,
        *,
        thresholds: tuple[float, ...] | None = None,
        rejector: "Rejector | None" = None,
        path: Path | None = None,
        metrics: dict | None = None,
        log: list[dict] | None = None,
        litert: LiteRtEngine | None = None,
    ):
        self.class_names, self.image_size, self.resize = class_names, image_size, resize
        self.thresholds, self.rejector, self.path, self._litert = thresholds, rejector, path, litert
        given = {"model": model, "metrics": metrics, "log": log}  # the others are read when they are needed
        self.__dict__.update({name: value for name, value in given.items() if value is not None})

    def __repr__(self) -> str:
        where = "" if self.path is None else f"{str(self.path)!r}, "
        return f"Run({where}{len(self.class_names)} classes)"

    def __str__(self) -> str:
        return summary(self.metrics)

    def _repr_html_(self) -> str:
        return summary_html(self.metrics, self.report)

    @property
    def report(self) -> Path | None:
        """The page of this run, `report.html`, which opens in any browser; None for a run that was not written."""
        return self.path / REPORT if self.path and (self.path / REPORT).is_file() else None

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

    @cached_property
    def model(self) -> "keras.Model":
        """The classifier, read from `model.keras` when it is first used.

        Raises:
            InputError: The file is missing, damaged, or does not fit `labels.json`.
        """
        return _load_model(self.path, self.image_size, len(self.class_names))

    def predict(
        self,
        images: Any,
        *,
        output: str | os.PathLike | None = None,
        resume: bool = False,
        top_k: int = 1,
        probabilities: bool = False,
        tta: bool = False,
        batch_size: int = 32,
        verbose: bool = False,
    ) -> list[dict]:
        """Predict the class of images.

        LiteRT answers where the run has a file for it, on all cores and without Keras. Keras answers where there is
        none, and once `model` is in memory, where it may have been changed. The two agree to 1e-5. The command
        `tlkeras predict` does the same, with options of the same names.

        Args:
            images: Paths of image files, folders (all below, but for files of other kinds) or patterns such as
                `"photos/*.jpg"`, or anything else that `tlkeras.read_image` takes; one or many.
            output: File for the answers, `.csv`, `.jsonl` or `.parquet`, which appears when it is complete. Memory
                stays flat then, however many images there are. Defaults to None, no file.
            resume: Whether to continue the same call, which was killed before its `output` was complete. Images that
                it has answered are not read again. Defaults to False, from the beginning.
            top_k: Number of classes to name, the most probable first. Defaults to 1.
            probabilities: Whether to give the probabilities of all classes. Defaults to False.
            tta: Whether to average over each image and its flips, if `tlkeras.fit(tta=True)` found on held-out images
                that this helps. Otherwise a warning says so, and nothing is averaged. Defaults to False.
            batch_size: Images per forward pass in Keras. Defaults to 32.
            verbose: Whether to show progress on stderr. Defaults to False.

        Returns:
            A dict per image, in the order given: `path`, `class`, `probability`; with `top_k` also `top`, a list of
            dicts with `class` and `probability`; with `probabilities` also those, by class. Where an image may have
            several labels, `labels` and `label_probabilities` instead of `class` and `probability`: those that reach
            their thresholds. Where the run has a rejector, `class` may be `"unknown"`, `probability` is still that of
            the most probable known class, and `unknown_score` is the share of known images that lie nearer to the
            others. For an image that cannot be read, `path` and `error`. With `output`, the images that
            cannot be read only.

        Raises:
            InputError: An argument or the output cannot be used.
        """
        options = {"top_k": top_k, "probabilities": probabilities, "tta": tta}
        options |= {"batch_size": batch_size, "verbose": verbose}
        if output is None:
            return list(predict_each(self, images, **options))
        return predict_to_file(self, images, output, resume=resume, **options).unreadable

    def evaluate(
        self,
        source: Any,
        *,
        columns: Mapping[str, str | Sequence[str]] | None = None,
        root: str | os.PathLike | None = None,
        label_separator: str | None = None,
        classes: Sequence[str] | None = None,
        verbose: bool = False,
    ) -> dict:
        """Measure on other labeled images.

        Args:
            source: Images with labels, as `tlkeras.fit` takes them, of all known classes or some: a folder with a
                subfolder per class, a table, a data set's name.
            columns: As in `tlkeras.load_images`, like the next two.
            root: Folder that the paths of a table are relative to.
            label_separator: Text between several labels in one cell of a table.
            classes: Measure on images of these classes only; the model still answers with any of its classes. Not for
                several labels per image. Defaults to None: all images, whose classes must be known.
            verbose: Whether to show progress on stderr. Defaults to False.

        Returns:
            A dict: `scores` (what `tlkeras.evaluation.metrics.Scores` holds, or `LabelScores` by the run's thresholds
            where an image may have several labels), `part` (what was scored: `"test"` where the source has a test part,
            else `"validation"` where it has that, else `"all"`), `seen_in_training` (how many of these images were used
            to train or choose the model; None for an exported file, which does not know), `skipped` (files of this part
            that cannot be read, with the reason).

        Raises:
            InputError: There is no such source, it has a class that the run does not know, or several labels per image
                where the run gives one.
        """
        from tlkeras.data.sources import TableOptions  # imports scikit-learn in the end, which `predict` does without
        from tlkeras.runs.measuring import evaluate

        table = TableOptions(columns, root, label_separator, None if self.thresholds is None else True)
        return evaluate(self, source, table, classes, verbose)

    def probabilities(self, images: Any, batch_size: int = 32, verbose: bool = False) -> Iterator[tuple[Any, Any]]:
        """Predict batch by batch, for more images than fit in memory.

        Args:
            images: As in `predict`.
            batch_size: As in `predict`.
            verbose: As in `predict`.

        Returns:
            An iterator over pairs: each image, and its probabilities, float32 of shape `(classes,)`, or the
            `ImageError` that reading it raised.

        Example:

        >>> import tlkeras
        >>> run = tlkeras.fit("data/clipart10", per_class=5, verbose=False)
        >>> [answer.shape for path, answer in run.probabilities(["data/clipart10/bug/bee.jpg"])]
        [(10,)]
        """
        for image, answer in stream_answers(self, images, batch_size, verbose):
            yield image, answer if isinstance(answer, ImageError) else answer[: len(self.class_names)]

    def network(self) -> "keras.Model":
        """Return the model; with the features of its head as a second output where there is a rejector."""
        if self.rejector is None:
            return self.model
        from tlkeras.models.heads import with_features

        return with_features(self.model)

    def make_engine(self) -> Callable[[Any], Any]:
        """Make what answers to pixels: LiteRT, or Keras once the model is in memory.

        Returns:
            A function from pixels to float32 of shape `(images, classes)`, or `(images, classes + 1)` with the unknown
            score last where there is a rejector.
        """
        if "model" not in self.__dict__ and self._litert is not None:
            engine = self._litert
        else:
            from tlkeras.features.engines.keras_engine import KerasEngine

            engine = KerasEngine(self.network())
        return engine if self.rejector is None else UnknownScoring(engine, len(self.class_names), self.rejector)


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
    thresholds = None if thresholds is None else tuple(thresholds)
    rejector = read_rejector(path)
    engine = read_litert(path, labels, (*size, 3), len(names) + (rejector.features if rejector else 0))
    model = None if engine else _load_model(path, size, len(names))
    return Run(model, names, size, resize, thresholds=thresholds, rejector=rejector, path=path, litert=engine)


def _load_model(folder, size, classes):
    """Read the Keras model of a run and check its shapes."""
    import keras

    path = folder / MODEL
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each have errors of their own for a file that is not a model
        reason = first_line(error) if is_zipfile(path) else "it is not a complete zip file."
        raise InputError(f"{str(path)!r} is not a Keras model: {reason} Train the run again.") from error
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, *size, 3), (None, classes)):
        raise InputError(
            f"{str(path)!r} does not match its labels.json, which has {classes} classes and images of {size}. "
            "Train the run again."
        )
    return model
