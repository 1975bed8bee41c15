"""`fit`: labeled images become a trained classifier with an honest number, written to a folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from tlkeras.data.dataset import ImageSplits
from tlkeras.data.loading import load_images
from tlkeras.data.reading import Resize
from tlkeras.evaluation.confusion_figure import confusion_figure
from tlkeras.evaluation.several_labels import LabelScores
from tlkeras.features.store import cache_folder
from tlkeras.runs.checks import check_fit
from tlkeras.runs.command import command_of
from tlkeras.runs.folder import METRICS, write_report, written_run
from tlkeras.runs.images import at_most, digest, digests
from tlkeras.runs.log import RunLog
from tlkeras.runs.measuring import most_common, scores_of
from tlkeras.runs.metrics import metrics_of
from tlkeras.runs.reporting import write_reports
from tlkeras.runs.resuming import Unfinished
from tlkeras.runs.run import Run, load_run
from tlkeras.runs.trust import check_classes, measure_calibration
from tlkeras.selection.automatic import train_automatically
from tlkeras.selection.budget import smaller_sides
from tlkeras.selection.by_fine_tuning import train_by_fine_tuning
from tlkeras.selection.flips import safe_flips
from tlkeras.selection.on_features import train_on_features
from tlkeras.selection.outcome import Task

_STRATEGIES = {"features": train_on_features, "finetune": train_by_fine_tuning, "auto": train_automatically}

#: Arguments of `fit` that `load_images` takes as they are.
_LOADING = (
    "columns",
    "root",
    "label_separator",
    "multilabel",
    "groups",
    "classes",
    "near_duplicates",
    "resize",
    "seed",
    "strict",
)


def fit(
    source: Any,
    output: str | os.PathLike | None = None,
    *,
    backbone: str = "efficientnet_lite0",
    strategy: str = "features",
    probe: str = "logistic",
    calibrate: bool = False,
    reject: bool = False,
    refit: bool = True,
    epochs: int = 4,
    minutes: float | None = None,
    domain: str | None = None,
    tta: bool = False,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    root: str | os.PathLike | None = None,
    label_separator: str | None = None,
    multilabel: bool | None = None,
    groups: str | None = None,
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    class_weight: str | None = None,
    near_duplicates: bool = True,
    image_size: int | None = None,
    resize: Resize = "stretch",
    seed: int = 0,
    strict: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
) -> Run:
    """Train a classifier on labeled images, measure it on images it has not seen, and write both to a folder.

    Accuracy is measured first. With the strategy `"features"` and up to 5000 images, every image is predicted once by a
    model that has not seen it (grouped, stratified cross-validation); otherwise a fifth is held out. Then the delivered
    model learns from all images. A test split that the data set defines is used for measuring, never for training.

    The command `tlkeras fit` does the same, with options of the same names.

    Args:
        source: Images with labels, as `tlkeras.load_images` takes them: a folder with a subfolder per class,
            optionally under `train`, `val` and `test`; a table; a data set's name; or what `load_images` returned.
        output: Folder to write the run to. Defaults to None: nothing is written.
        backbone: Name of a backbone, see `tlkeras.list_backbones`, or `"auto"` for the best on ImageNet of those whose
            weights are on this machine. The default comes with the installation.
        strategy: `"features"` fits a linear probe on frozen features, in seconds. `"finetune"` calls
            `tlkeras.fine_tune`, which takes minutes and pays off for some images. `"auto"` follows the advice of
            `tlkeras.advise` for this backbone and these images; a fine-tuned model is kept only if it is better by more
            than chance.
        probe: Classifier that `"features"` fits: `"logistic"` (regression), the default, or `"lda"`, see
            `tlkeras.linear_probe`; not for several labels per image.
        calibrate: Whether to scale the model's probabilities with a temperature, see `tlkeras.calibrate`. Accuracy
            stays the same. Defaults to False, since the miscalibration of probes and of gentle fine-tuning is within
            chance; it is always measured.
        reject: Whether to recognize images of none of the known classes, see `tlkeras.fit_rejection`; `predict` then
            answers `"unknown"` for them. Needs the strategy `"features"`. Defaults to False: every image gets a class.
        refit: Whether the delivered model learns from all images in the end. If False, it is the one that was measured
            on held-out images.
        epochs: Epochs of fine-tuning. Defaults to 4.
        minutes: Time that fine-tuning may take; epochs and blocks that train are chosen to fit and, as the last resort
            and unless `image_size` is given, smaller images. Defaults to None, no limit.
        domain: Kind of images, such as `"photo"` or `"xray"`, for augmentation in fine-tuning, see
            `tlkeras.augmentation_policy`. Defaults to None, no augmentation.
        tta: Whether to measure what averaging predictions over the flips that `domain` declares safe would gain;
            `Run.predict(tta=True)` averages if that is more than chance. Defaults to False, since it takes time.
        columns: As in `tlkeras.load_images`, like the next three.
        root: Folder that the paths of a table are relative to.
        label_separator: Text between several labels in one cell of a table.
        multilabel: Whether an image may have several labels. By default the labels decide.
        groups: Images that must stay together, such as those of one patient: a regular expression with one capture
            group that is searched for in each path, or the name of a column. Defaults to None, near-duplicates only.
        classes: Use only these classes, in this order. Defaults to None, all.
        per_class: Learn from at most this many images per class, for quick trials. Defaults to None, all.
        class_weight: `"balanced"` to weigh each class inversely to its number of images. Defaults to None, all images
            alike.
        near_duplicates: Whether to keep near-duplicates on one side of every split.
        image_size: Height and width in pixels that images are resized to. Defaults to the size that the backbone was
            trained at.
        resize: `"stretch"` (the default), `"crop"` or `"pad"`, as in `tlkeras.read_image`.
        seed: Seed for the splits and everything else that is random; on one machine, the same seed gives the same
            result. Defaults to 0.
        strict: Whether a file that cannot be read is an error. By default it is left out and listed.
        overwrite: Whether to replace a run that is already in `output`.
        resume: Whether to resume a run to the same `output` that was killed.
        callbacks: Keras callbacks for fine-tuning, such as `keras.callbacks.TensorBoard`.
        verbose: Whether to show progress on stderr.

    Returns:
        `Run`, with `.model`, `.metrics`, `.predict` and `.evaluate`; `print` shows the scores.

    Raises:
        InputError: The images, an argument or the output folder cannot be used. Nothing is left behind.

    Example:

    >>> import tlkeras
    >>> run = tlkeras.fit("data/clipart10", per_class=5, verbose=False)
    >>> run.metrics["scores"]["images"]
    50
    """
    arguments = {name: value for name, value in locals().items() if name not in ("callbacks", "verbose")}
    backbone, side = check_fit(**arguments)
    unfinished, log = Unfinished(output), RunLog()
    if resume and not unfinished.exists and (Path(output) / METRICS).exists():
        return load_run(output)  # it was finished
    keras.utils.set_random_seed(seed)
    with log.phase("load") as facts:
        images = _loaded(arguments, side)
        check_classes(images, calibrate, reject)
        facts.update(images=sum(map(len, _parts(images))), skipped=len(images.skipped))
    call = {name: value for name, value in arguments.items() if name not in ("source", "overwrite", "resume")}
    contents = [digest(one) for part in _parts(images) for one in part.sources]
    log.continue_in(unfinished.start({**call, "images": contents}, resume))
    task = Task(
        images,
        backbone,
        probe=probe,
        calibrate=calibrate,
        reject=reject,
        refit=refit,
        class_weight=class_weight,
        epochs=epochs,
        domain=domain,
        flips=safe_flips(domain) if tta else (),
        minutes=minutes,
        smaller_sides=smaller_sides(backbone, side) if image_size is None and images is not source else (),
        callbacks=callbacks,
        cache=True if cache_folder() else unfinished / "features" or False,
        checkpoint=unfinished / "checkpoints",
        seed=seed,
        on_event=log,
        verbose=verbose,
    )
    with unfinished.kept_if("checkpoints/**/*.npz"):
        trained = _STRATEGIES[strategy](task)
    return _written(trained, task, log, arguments, unfinished)


def _loaded(arguments, side):
    """Load the images."""
    source, per_class, seed = (arguments[name] for name in ("source", "per_class", "seed"))
    images = source
    if not isinstance(source, ImageSplits):
        images = load_images(source, image_size=side, **{name: arguments[name] for name in _LOADING})
    return images if per_class is None else at_most(images, per_class, seed)


def _parts(images):
    return images.train, images.validation, images.test


def _written(trained, task, log, arguments, unfinished):
    """Measure a trained model, and write all that is known of it."""
    images, source, output = task.images, arguments["source"], arguments["output"]
    data = {
        "source": str(source) if isinstance(source, str | os.PathLike) else type(source).__name__,
        "skipped": [asdict(one) for one in images.skipped],
        "learned": digests(trained.learned, source),
        "chosen_by": digests(images.validation, source) if arguments["strategy"] != "features" else {},
    }
    scores = scores_of(trained.measured, most_common(trained.learned))
    calibration = measure_calibration(trained, task.calibrate, task.seed)
    thresholds = tuple(one.threshold for one in scores.labels) if isinstance(scores, LabelScores) else None
    log({"phase": "done", "accuracy": scores.accuracy, "standard_error": scores.standard_error})
    run = Run(
        trained.model,
        images.class_names,
        trained.measured.images.image_size,
        images.resize,
        thresholds=thresholds,
        rejector=trained.rejector,
        path=None if output is None else Path(output),
        metrics=metrics_of(trained, scores, task, data, arguments["strategy"], calibration),
        log=log.events,
    )
    if output is not None:
        figure = confusion_figure(scores) if thresholds is None else None
        with written_run(output, run, arguments["overwrite"] or arguments["resume"]) as folder:
            write_report(folder, run.metrics, figure, log.events)
            write_reports(folder, run, trained, task, command_of(arguments, fit))
        unfinished.remove()
    return run
