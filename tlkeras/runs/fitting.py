"""The public function `fit`: train a classifier on labeled images, evaluate it, and write the results to a folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tlkeras.data.dataset import ImageSplits
from tlkeras.data.loading import load_images
from tlkeras.data.reading import Resize
from tlkeras.data.splits import TooFewGroups
from tlkeras.errors import InputError
from tlkeras.evaluation.confusion_figure import confusion_figure
from tlkeras.evaluation.several_labels import LabelScores
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.runs.checks import check_fit
from tlkeras.runs.command import command_of
from tlkeras.runs.folder import METRICS, write_report, written_run
from tlkeras.runs.images import READING, at_most, digests, options_read_with, relative_digests
from tlkeras.runs.log import RunLog
from tlkeras.runs.measuring import most_common, scores_of
from tlkeras.runs.metrics import metrics_of
from tlkeras.runs.reporting import write_reports
from tlkeras.runs.resuming import Unfinished
from tlkeras.runs.run import Run, load_run, use_files
from tlkeras.runs.trust import check_classes, measure_calibration
from tlkeras.selection.automatic import train_automatically
from tlkeras.selection.budget import smaller_sides
from tlkeras.selection.by_fine_tuning import train_by_fine_tuning
from tlkeras.selection.flips import safe_flips
from tlkeras.selection.on_features import train_on_features
from tlkeras.selection.outcome import MOST_TO_CROSS_VALIDATE, Task
from tlkeras.utils.store import cache_folder

_STRATEGIES = {"features": train_on_features, "finetune": train_by_fine_tuning, "auto": train_automatically}

#: Arguments of `fit` that are passed to `load_images` unchanged.
_LOADING = (
    *READING,
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
    """Train a classifier on labeled images, evaluate it on images it has not seen, and write the results to a folder.

    Accuracy is measured first. With the strategy `"features"` and up to 5000 images, every image is classified once by
    a model that has not seen it (grouped, stratified cross-validation). Otherwise, a fifth of the images is held out.
    The final model is then trained on all images. If the data set defines a test split, it is used only for evaluation,
    never for training.

    The command `tlkeras fit` does the same, with options of the same names.

    Args:
        source: Labeled images in any form that `tlkeras.load_images` accepts: a folder with one subfolder per class,
            optionally under `train`, `val` and `test`; a table; or the name of a data set. The result of `load_images`
            is accepted as well.
        output: Folder to write the run to. Defaults to None, which writes nothing.
        backbone: Name of a backbone (see `tlkeras.list_backbones`), or `"auto"` for the backbone with the best ImageNet
            accuracy among those whose weights are on this machine. Defaults to `"efficientnet_lite0"`, whose weights
            are part of the installation.
        strategy: `"features"` fits a linear probe on frozen features, which takes seconds. `"finetune"` calls
            `tlkeras.fine_tune`, which takes minutes and improves accuracy for some data sets. `"auto"` follows the
            advice of `tlkeras.advise` for this backbone and these images, and keeps a fine-tuned model only if its
            lead is larger than chance would explain. Defaults to `"features"`.
        probe: Classifier that `"features"` fits: `"logistic"` (logistic regression) or `"lda"`, which does not support
            several labels per image; see `tlkeras.linear_probe`. Defaults to `"logistic"`.
        calibrate: Whether to scale the model's probabilities with a temperature, which does not change accuracy; see
            `tlkeras.calibrate`. Calibration is measured in any case. Defaults to False, because probes and gently
            fine-tuned models showed no miscalibration beyond chance in our tests.
        reject: Whether to recognize images that belong to none of the known classes; `predict` then returns `"unknown"`
            for them; see `tlkeras.fit_rejection`. Requires the strategy `"features"`. Defaults to False, which assigns
            a class to every image.
        refit: Whether to train the final model on all images. If False, the final model is the one that was measured on
            held-out images. Defaults to True.
        epochs: Number of fine-tuning epochs. Defaults to 4.
        minutes: Time limit for fine-tuning. The numbers of epochs and trainable blocks are chosen to stay within the
            limit. If that is not enough and `image_size` is not given, smaller images are used. Defaults to None, which
            sets no limit.
        domain: Kind of images, such as `"photo"` or `"xray"`, which determines the augmentation for fine-tuning; see
            `tlkeras.augmentation_policy`. Defaults to None, which applies no augmentation.
        tta: Whether to measure the gain from averaging predictions over the flips that are safe for `domain`.
            `Run.predict(tta=True)` then averages predictions only if the measured gain exceeds its standard error.
            Defaults to False, because measuring the gain takes extra time.
        columns: As in `tlkeras.load_images`.
        root: Folder that the paths in a table are relative to, as in `tlkeras.load_images`.
        label_separator: Separator between several labels in one cell of a table, as in `tlkeras.load_images`.
        multilabel: Whether an image may have several labels, as in `tlkeras.load_images`. Defaults to None, which
            infers it from the labels.
        groups: How to group images that must stay together, such as all images of one patient: a regular expression
            with one capture group, which is searched for in each path, or the name of a column. Defaults to None, which
            keeps only near-duplicates together.
        classes: Names of the classes to use, in this order. Defaults to None, all classes.
        per_class: Maximum number of images to use per class, for quick trials. Defaults to None, all images.
        class_weight: `"balanced"` to weight each class in inverse proportion to its number of images. Defaults to None,
            which gives all images the same weight.
        near_duplicates: Whether to keep near-duplicates on the same side of every split. Defaults to True.
        image_size: Height and width that images are resized to, in pixels. Defaults to None, which means the size that
            the backbone was trained at.
        resize: `"stretch"`, `"crop"` or `"pad"`, as in `tlkeras.read_image`. Defaults to `"stretch"`.
        seed: Seed for the splits and all other randomness. The same seed gives the same result on the same machine.
            Defaults to 0.
        strict: Whether to raise an error for a file that cannot be read. Defaults to False, which skips and lists such
            files.
        overwrite: Whether to replace an existing run in `output`. Defaults to False.
        resume: Whether to resume a killed run with the same `output`. Defaults to False.
        callbacks: Keras callbacks for fine-tuning, such as `keras.callbacks.TensorBoard`. Defaults to `()`.
        verbose: Whether to show progress on stderr. Defaults to True.

    Returns:
        `Run`, with `.model`, `.metrics`, `.predict` and `.evaluate`. It prints as a table of scores.

    Raises:
        InputError: The images, an argument or the output folder cannot be used. No files are left behind.

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
        return load_run(output)  # the earlier run was complete
    keras.utils.set_random_seed(seed)
    with log.phase("load") as facts:
        images = _loaded(arguments, side)
        check_classes(images, calibrate, reject, probe)
        facts.update(images=sum(map(len, _parts(images))), skipped=len(images.skipped))
    call = {name: value for name, value in arguments.items() if name not in ("source", "overwrite", "resume")}
    contents = {path: one for part in _parts(images) for path, one in digests(part).items()}
    log.continue_in(unfinished.start({**call, "images": list(contents.values())}, resume))
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
    return _written(trained, task, log, arguments, unfinished, contents)


def _loaded(arguments, side):
    """Load the images."""
    source, per_class, seed = (arguments[name] for name in ("source", "per_class", "seed"))
    images = source
    if not isinstance(source, ImageSplits):
        options = {"image_size": side, **{name: arguments[name] for name in _LOADING}}
        try:
            images = load_images(source, **options)
        except TooFewGroups:
            images = _undivided(source, options) if arguments["strategy"] == "features" and arguments["refit"] else None
            if images is None:
                raise
    if all(part.labels.ndim > 1 and (part.labels.sum(axis=1) == 1).all() for part in _parts(images)):
        raise InputError(
            "Every image has exactly one label, so there is nothing to learn about several labels per image. Leave out "
            "`multilabel` (--multilabel). If one cell contains several labels, pass the text between them as "
            "`label_separator` (--label-separator)."
        )
    return images if per_class is None else at_most(images, per_class, seed)


def _undivided(source, options):
    """Load the images without splitting them if they can be cross-validated; otherwise, return None."""
    images = load_images(source, test_size=0, validation_size=0, **options)
    data = labeled_features(np.zeros((len(images.train), 1)), images.train.labels, images.train.groups)
    measurable = len(images.train) <= MOST_TO_CROSS_VALIDATE and data.rarest >= 2 and len(np.unique(data.groups)) >= 3
    return images if measurable and not images.given else None


def _parts(images):
    return images.train, images.validation, images.test


def _written(trained, task, log, arguments, unfinished, contents):
    """Compute the metrics of a trained model, and write the model and its reports to the output folder."""
    images, source, output = task.images, arguments["source"], arguments["output"]
    data = {
        "source": str(source) if isinstance(source, str | os.PathLike) else type(source).__name__,
        "reading": options_read_with(arguments),
        "skipped": [asdict(one) for one in images.skipped],
        "learned": relative_digests(trained.learned, contents, source),
        "chosen_by": (
            relative_digests(images.validation, contents, source) if arguments["strategy"] != "features" else {}
        ),
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
        replace = arguments["overwrite"] or arguments["resume"]
        with written_run(output, run, replace, within=unfinished.folder) as folder:
            write_report(folder, run.metrics, figure, log.events)
            write_reports(folder, run, trained, task, command_of(arguments, fit))
        unfinished.remove()
        use_files(run)
    return run
