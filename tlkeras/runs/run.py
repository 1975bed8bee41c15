"""The class `Run`, a trained classifier returned by `tlkeras.fit`, and `tlkeras.load_run`, which opens a saved run."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.data.reading import ImageError
from tlkeras.errors import InputError
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.runs.bulk import predict_to_file
from tlkeras.runs.folder import LABELS, METRICS, MODEL, REPORT, read_litert, read_model, read_rejector
from tlkeras.runs.log import LOG, read_log
from tlkeras.runs.predicting import predict_each, stream_answers
from tlkeras.runs.summary import summary, summary_html
from tlkeras.runs.trust import UnknownScoring

if TYPE_CHECKING:
    import keras

    from tlkeras.evaluation.rejector import Rejector


class Run:
    """A trained classifier with its class names and its measured accuracy.

    `tlkeras.fit` returns a run, and `tlkeras.load_run` opens a run's folder. A run prints as a table of scores.

    Attributes:
        model: `keras.Model` that maps raw pixels in [0, 255], of shape `(images, height, width, 3)`, to probabilities
            of shape `(images, classes)`. Loaded from disk on first use.
        class_names: Tuple of str, in the order of the model's outputs.
        image_size: `(height, width)` that images are resized to, in pixels.
        resize: How images are resized, as in `tlkeras.read_image`.
        thresholds: Tuple of probability thresholds, one per label; None if each image has exactly one label.
        rejector: `tlkeras.Rejector` that recognizes images of unknown classes, or None.
        path: `pathlib.Path` of the run's folder, or None if the run was not saved to disk.

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
        self._model = model
        given = {"metrics": metrics, "log": log}  # the others are loaded on first use
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
        """Path of the run's page, `report.html`, which opens in any browser. None if the run was not saved to disk."""
        return self.path / REPORT if self.path and (self.path / REPORT).is_file() else None

    @cached_property
    def metrics(self) -> dict:
        """The measurements and the settings: the contents of `metrics.json`.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            return json.loads((self.path / METRICS).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{str(self.path / METRICS)!r} cannot be read: {error}. Train the run again.") from error

    @cached_property
    def log(self) -> list[dict]:
        """The training events in order: the contents of `log.jsonl`. See docs/logging.md."""
        path = self.path / LOG
        return read_log(path) if path.exists() else []

    @cached_property
    def model(self) -> "keras.Model":
        """The classifier. `load_run` loads it from `model.keras` on first use.

        Raises:
            InputError: The file is missing or damaged, or does not match `labels.json`.
        """
        if self._model is not None:
            return self._model
        return read_model(self.path, self.image_size, len(self.class_names))

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
        """Predict the classes of images.

        If the run has a LiteRT file, predictions come from that file, on all cores and without Keras. Otherwise, or
        once `model` has been accessed and may have been changed, Keras is used. The probabilities from LiteRT and Keras
        agree to within 1e-5. The command `tlkeras predict` does the same as this method.

        Args:
            images: One or more of the following: the path of an image file; a folder, for all images below it; a
                pattern such as `"photos/*.jpg"`; or anything else that `tlkeras.read_image` accepts.
            output: File for the predictions, `.csv`, `.jsonl` or `.parquet`. It appears once it is complete. With
                `output`, memory use does not depend on the number of images. Defaults to None, no file.
            resume: Whether to continue an identical call that was killed before its `output` was complete. Images that
                already have predictions are not read again. Defaults to False, which starts from the beginning.
            top_k: Number of classes to include, starting with the most probable. Defaults to 1.
            probabilities: Whether to include the probabilities of all classes. Defaults to False.
            tta: Whether to average predictions over each image and its flips. Requires a run from `fit(tta=True)`,
                which measures whether this helps. If it does not, `predict` warns and does not average. Defaults to
                False.
            batch_size: Images per forward pass in Keras. Defaults to 32.
            verbose: Whether to show progress on stderr. Defaults to False.

        Returns:
            List with one dict per image, in the order given. Each has the keys `path`, `class` and `probability`. If
            `top_k` is more than 1, it also has `top`, a list of dicts with `class` and `probability`. With
            `probabilities`, it also has `probabilities`, a dict that maps classes to probabilities. If an image may
            have several labels, the dict has `labels` and `label_probabilities` instead of `class` and `probability`,
            for the labels that reach their thresholds. If the run has a rejector, `class` may be `"unknown"`;
            `probability` is still that of the most probable known class, and `unknown_score` is the fraction of known
            images that lie closer to the other known images than this image does. The dict of an unreadable image has
            only `path` and `error`. With `output`, the list contains only unreadable images.

        Raises:
            InputError: An argument is invalid, or the output cannot be written.
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
        """Measure the accuracy on labeled images.

        Args:
            source: Labeled images in any form that `tlkeras.fit` accepts: a folder with one subfolder per class, a
                table, or the name of a data set. Not all of the run's classes need to occur.
            columns: As in `tlkeras.load_images`.
            root: Folder that the paths in a table are relative to, as in `tlkeras.load_images`.
            label_separator: Separator between several labels in one cell of a table, as in `tlkeras.load_images`.
            classes: Names of the classes whose images are scored. The model may still predict any class. Requires one
                class per image. Defaults to None, all images; the run must then know all of their classes.
            verbose: Whether to show progress on stderr. Defaults to False.

        Returns:
            Dict with the following keys. `scores` contains the fields of `tlkeras.evaluation.metrics.Scores`, or of
            `LabelScores` with the run's thresholds if an image may have several labels. `part` is the part of the
            source that was scored: `"test"` if it exists, else `"validation"` if it exists, else `"all"`.
            `seen_in_training` is the number of scored images that were used to train or choose the model, or None for
            an exported file. `skipped` lists unreadable files in this part, with reasons.

        Raises:
            InputError: The source does not exist, it has a class that the run does not know, or it has several labels
                per image and the run predicts only one.
        """
        from tlkeras.data.sources import TableOptions  # imports scikit-learn indirectly, which `predict` does not need
        from tlkeras.runs.measuring import evaluate

        table = TableOptions(columns, root, label_separator, None if self.thresholds is None else True)
        return evaluate(self, source, table, classes, verbose)

    def probabilities(self, images: Any, batch_size: int = 32, verbose: bool = False) -> Iterator[tuple[Any, Any]]:
        """Compute probabilities in batches, for more images than fit in memory.

        Args:
            images: As in `predict`.
            batch_size: As in `predict`.
            verbose: As in `predict`.

        Returns:
            Iterator over pairs of an image and its probabilities, float32 of shape `(classes,)`. If the image cannot be
            read, the second item is the `ImageError`.

        Example:

        >>> import keras, tlkeras
        >>> layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
        >>> run = tlkeras.Run(keras.Sequential(layers), ("cat", "dog"), (8, 8), "stretch")
        >>> [answer.shape for path, answer in run.probabilities(["data/clipart10/bug/bee.jpg"])]
        [(2,)]
        """
        for image, answer in stream_answers(self, images, batch_size, verbose):
            yield image, answer if isinstance(answer, ImageError) else answer[: len(self.class_names)]

    def network(self) -> "keras.Model":
        """Return the model. If the run has a rejector, the input features of the head are a second output."""
        if self.rejector is None:
            return self.model
        from tlkeras.models.heads import with_features

        return with_features(self.model)

    def make_engine(self) -> Callable[[Any], Any]:
        """Create the engine for predictions: LiteRT if possible, or Keras once `model` has been accessed.

        Returns:
            Function that maps pixels to a float32 array of shape `(images, classes)`, or `(images, classes + 1)` with
            the unknown score last if the run has a rejector.
        """
        if "model" not in self.__dict__ and self._litert is not None:
            engine = self._litert
        else:
            from tlkeras.features.engines.keras_engine import KerasEngine

            engine = KerasEngine(self.network())
        return engine if self.rejector is None else UnknownScoring(engine, len(self.class_names), self.rejector)


def load_run(path: str | os.PathLike) -> Run:
    """Open a run that was written by `tlkeras.fit` or by the `tlkeras fit` command.

    Args:
        path: Folder of the run: the `output` passed to `fit`.

    Returns:
        `Run`.

    Raises:
        InputError: The folder is not a run, or the model or labels in it cannot be read.

    Example:

    >>> load_run("data")
    Traceback (most recent call last):
    tlkeras.errors.InputError: 'data' is not a run: it lacks model.keras or labels.json. Create one with `tlkeras fit`.
    """
    path = Path(path)
    if not (path / MODEL).is_file() or not (path / LABELS).is_file():
        raise InputError(f"{str(path)!r} is not a run: it lacks {MODEL} or {LABELS}. Create one with `tlkeras fit`.")
    try:
        labels = json.loads((path / LABELS).read_text("utf-8"))
        names, size, resize = tuple(labels["class_names"]), tuple(labels["image_size"]), labels["resize"]
        thresholds = labels.get("thresholds")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(path / LABELS)!r} cannot be read: {error!r}. Train the run again.") from error
    thresholds = None if thresholds is None else tuple(thresholds)
    rejector = read_rejector(path)
    run = Run(None, names, size, resize, thresholds=thresholds, rejector=rejector, path=path)
    use_files(run)
    if run._litert is None:
        _ = run.model  # a damaged file is reported now, not at the first prediction
    return run


def use_files(run):
    """Make a run predict with the LiteRT file in its folder, if there is one, until `run.model` is accessed again."""
    run._model = run.__dict__.pop("model", run._model)
    labels = json.loads((run.path / LABELS).read_text("utf-8"))
    features = run.rejector.features if run.rejector else 0
    run._litert = read_litert(run.path, labels, (*run.image_size, 3), len(run.class_names) + features)
