"""The strategy `features`: fold a linear probe on the features of a frozen backbone into one Keras model."""

from time import perf_counter

import numpy as np
from sklearn.pipeline import Pipeline

from tlkeras.evaluation.rejection_fitting import fit_rejection
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.pipelines.cross_validation import cross_validate_probe, predict_each_fold
from tlkeras.pipelines.fold import fold
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import chosen_strength, linear_probe
from tlkeras.selection.flips import flipped_sources
from tlkeras.selection.outcome import MOST_TO_CROSS_VALIDATE, Measured, Trained

#: Up to this number of images, accuracy is measured in 10 folds instead of 5.
FEW_IMAGES = 1000


def train_on_features(task):
    """Train a linear probe on the features of a frozen backbone, and fold both into one Keras model.

    The accuracy is measured first. If the data set has no test split, every image is classified in cross-validation; if
    there are more than `MOST_TO_CROSS_VALIDATE` images, a fifth is held out instead. Then the probe is fitted on all
    images. C is always chosen by cross-validation within the training images. No image passes through the network
    twice.

    Args:
        task: `tlkeras.selection.outcome.Task`.

    Returns:
        `Trained`.
    """
    start, given = perf_counter(), "test" in task.images.given
    extractor, features = extract(task)
    extracted = perf_counter()
    task.report("features", extracted - start, images=sum(map(len, features.values())))
    learned = task.learnable if task.refit else task.images.train
    if task.cross_validate and task.refit and not given and len(learned) <= MOST_TO_CROSS_VALIDATE:
        probe, measured, choices = _cross_validated(task, extractor, learned, features)
    else:
        probe, measured, choices = _held_out(task, extractor, learned, features, given)
    calibration = _out_of_fold(task, features, choices) if task.calibrate and measured.images is not learned else None
    fitted = perf_counter()
    task.report("probe", fitted - extracted, **choices)
    model = fold(Pipeline([("extractor", extractor), *probe.steps]))
    folded = perf_counter()
    seconds = {"features": extracted - start, "probe": fitted - extracted, "fold": folded - fitted}
    rejector = None
    if task.reject:
        rejector = _rejector(task, learned, features)
        seconds["reject"] = perf_counter() - folded
        task.report("reject", seconds["reject"], auroc=round(rejector.report.auroc, 3))
    return Trained(model, measured, learned, choices, seconds, rejector, calibration)


def extract(task):
    """Compute the features of all images in one pass, or reuse the features that were computed to choose the block.

    Args:
        task: `Task` with the images.

    Returns:
        `(extractor, features)`: the `FeatureExtractor`, and a dict that maps `"train"`, `"validation"` and `"test"` to
        float32 arrays of shape `(images, features)`.
    """
    images = task.images
    extractor = FeatureExtractor(
        task.backbone,
        block=task.block,
        image_size=images.image_size,
        resize=images.resize,
        cache=task.cache,
        verbose=task.verbose,
    )
    parts = {"train": images.train, "validation": images.validation, "test": images.test}
    whole = images.train.join(images.validation, images.test)
    features = extractor.transform(whole) if task.tapped is None else task.tapped.features_at(whole, task.block)
    ends = np.cumsum([len(part) for part in parts.values()])
    return extractor, dict(zip(parts, np.split(features, ends[:-1]), strict=True))


def _cross_validated(task, extractor, learned, features):
    """Classify each image with a probe that was not trained on it, and fit a probe on all images."""
    options = {"folds": fold_count(learned), **_probe_options(task)}
    table = np.concatenate(list(features.values()))
    result = cross_validate_probe(table, learned.labels, groups=learned.groups, **options)
    choices = {**chosen_strength(result.probe), "folds": options["folds"]}
    flipped = None
    if task.flips:
        views = [_flipped_features(task, extractor, learned, flip) for flip in task.flips]
        answers = predict_each_fold(result, table, learned.labels, views, task.class_weight)
        flipped = np.mean([result.probabilities, *answers], axis=0)
    return result.probe, Measured(learned, result.probabilities, "cross-validation", table, flipped), choices


def _flipped_features(task, extractor, split, flip):
    """Compute the features of flipped images."""
    return extractor.transform(flipped_sources(split, flip, task.images.image_size, task.images.resize))


def _held_out(task, extractor, learned, features, given):
    """Classify the test images with a probe not trained on them; if they are in `learned`, add them and refit."""
    images, options = task.images, _probe_options(task)
    known, parts = images.train, ["train"]
    if task.refit:
        known, parts = images.train.join(images.validation), ["train", "validation"]
    table = np.concatenate([features[part] for part in parts])
    probe = linear_probe(table, known.labels, groups=known.groups, **options)
    by = "test images" if given else "held-out images"
    answers, flipped = probe.predict_proba(features["test"]), None
    if task.flips:
        views = [_flipped_features(task, extractor, images.test, flip) for flip in task.flips]
        flipped = np.mean([answers, *map(probe.predict_proba, views)], axis=0)
    measured = Measured(images.test, answers, by, features["test"], flipped)
    if len(learned) > len(known):
        table = np.concatenate([table, features["test"]])
        C = chosen_strength(probe).get("C", 1.0)  # LDA ignores it
        probe = linear_probe(table, learned.labels, groups=learned.groups, Cs=[C], **options)
    return probe, measured, chosen_strength(probe)


def _out_of_fold(task, features, choices):
    """Classify the measured probe's training images in cross-validation, to fit a temperature."""
    parts = ["train", "validation"] if task.refit else ["train"]
    known = task.images.train.join(*(getattr(task.images, part) for part in parts[1:]))
    options = {"folds": fold_count(known), "Cs": [choices.get("C", 1.0)], **_probe_options(task)}
    table = np.concatenate([features[part] for part in parts])
    result = cross_validate_probe(table, known.labels, groups=known.groups, **options)
    return Measured(known, result.probabilities, "cross-validation")


def _rejector(task, learned, features):
    """Fit a rejector to the training images of the delivered model."""
    table = np.concatenate(list(features.values()))[: len(learned)]  # `learned` has the parts in this order
    names = [task.images.class_names[number] for number in np.unique(learned.labels)]
    return fit_rejection(table, learned.labels, groups=learned.groups, class_names=names, seed=task.seed)


def fold_count(split):
    """Choose the number of folds: 10 for few images, else 5, but at most the number of groups in the largest class.

    The measured probes learn from fewer images than the delivered probe, which lowers the measured accuracy. With few
    images, this effect is larger, and the extra folds that reduce it take little time.
    """
    data = labeled_features(np.zeros((len(split), 1)), split.labels, split.groups)
    return max(3, min(10 if len(split) <= FEW_IMAGES else 5, max(data.sizes)))


def _probe_options(task):
    """Return the arguments shared by all probes of a task."""
    return {"estimator": task.probe, "class_weight": task.class_weight, "seed": task.seed}
