"""From labeled images to a trained classifier, by a named strategy: what `tlkeras fit` does."""

from dataclasses import dataclass, field
from time import perf_counter

import keras
import numpy as np
from sklearn.pipeline import Pipeline

from tlkeras.augment.augmentation import augmentation
from tlkeras.backbones.classifier import image_classifier
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.pipelines.fold import fold
from tlkeras.pipelines.probe import linear_probe
from tlkeras.training.fine_tuning import fine_tune


@dataclass
class Trained:
    """A classifier and how it came about.

    Attributes:
        model: `keras.Model` from raw pixels to class probabilities.
        choices: dict of what the strategy decided on the way, such as the C of a logistic regression.
        seconds: dict of the time each phase took.
    """

    model: keras.Model
    choices: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)


def train_on_features(images, backbone="efficientnet_lite0", *, seed=0, verbose=False):
    """Trains logistic regression on the features of a frozen backbone and folds it into one Keras model.

    Only `images.train` is looked at; C is chosen by cross-validation within it.

    Args:
        images: `ImageSplits`, from `tlkeras.load_images`.
        backbone: Name of the backbone.
        seed: Of the cross-validation folds.
        verbose: Whether to show progress on stderr.

    Returns:
        `Trained`.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10")
    >>> trained = train_on_features(images)
    >>> trained.model.output_shape
    (None, 10)
    """
    # One engine, and nothing found from other runs: two runs agree to the last digit.
    extractor = FeatureExtractor(
        backbone,
        image_size=images.image_size,
        resize=images.resize,
        engine="keras",
        cache=False,
        verbose=verbose,
    )
    start = perf_counter()
    features = extractor.transform(images.train)
    extracted = perf_counter()
    probe = linear_probe(features, images.train.labels, seed=seed)
    fitted = perf_counter()
    model = fold(Pipeline([("extractor", extractor), *probe.steps]))
    seconds = {"features": extracted - start, "probe": fitted - extracted, "fold": perf_counter() - fitted}
    return Trained(model, {"C": probe[-1].C}, seconds)


def train_by_fine_tuning(images, backbone="efficientnet_lite0", *, epochs=4, domain=None, seed=0, verbose=False):
    """Trains a classifier with `tlkeras.fine_tune`: linear probe first, then all layers, gently, then the mean of both.

    Args:
        images: `ImageSplits`. `images.validation` chooses the epoch, and whether the mean stays.
        backbone: Name of the backbone.
        epochs: Epochs of fine-tuning.
        domain: What the images are, for augmentation; see `tlkeras.augmentation_policy`. `None` for no augmentation.
        seed: Of all that is random.
        verbose: Whether to report on stderr.

    Returns:
        `Trained`, with `C`, `epochs`, `epoch`, `average_with_probe` and `stopped` of `FineTuning` among its choices.
    """
    start = perf_counter()
    model = image_classifier(
        backbone,
        images.class_names,
        augmentation=None if domain is None else augmentation(domain, seed=seed),
        image_size=images.image_size,
    )
    built = perf_counter()
    result = fine_tune(model, images.train, images.validation, epochs=epochs, seed=seed, verbose=verbose)
    choices = {
        "C": result.phases[0]["C"],
        "epochs": len(result.history.get("loss", ())),
        "epoch": result.best_epoch,
        "average_with_probe": result.average_with_probe,
        "stopped": result.stopped,
    }
    seconds = {"build": built - start, **{phase["name"]: phase["seconds"] for phase in result.phases}}
    return Trained(model, choices, seconds)


def train_auto(images, backbone="efficientnet_lite0", *, epochs=4, domain=None, seed=0, verbose=False):
    """Trains both ways, and keeps the fine-tuned model only if it is better beyond chance on validation images.

    Beyond chance is a lead in accuracy of more than one standard error, counted over the images that the two judge
    differently. A tie goes to the probe, which is the simpler answer.

    Args:
        images: `ImageSplits`.
        backbone: Name of the backbone.
        epochs: Epochs of fine-tuning.
        domain: As in `train_by_fine_tuning`.
        seed: Of all that is random.
        verbose: Whether to report on stderr.

    Returns:
        `Trained`, with `kept`, `lead` and `lead_standard_error` among its choices.
    """
    probe = train_on_features(images, backbone, seed=seed, verbose=verbose)
    tuned = train_by_fine_tuning(images, backbone, epochs=epochs, domain=domain, seed=seed, verbose=verbose)
    lead, error = paired_lead(*(_right(trained.model, images.validation) for trained in (tuned, probe)))
    kept = tuned if lead > error else probe
    name = "finetune" if kept is tuned else "features"
    choices = {**kept.choices, "kept": name, "lead": lead, "lead_standard_error": error}
    seconds = {"features strategy": sum(probe.seconds.values()), "finetune strategy": sum(tuned.seconds.values())}
    return Trained(kept.model, choices, seconds)


def paired_lead(first, second):
    """By how much the first of two classifiers is ahead on the same images, and the standard error of that lead.

    Args:
        first: bool array of shape `(images,)`: where the first is right.
        second: The same of the second.

    Returns:
        `(lead, standard_error)`, both shares of the images.

    Example:

    >>> paired_lead([True, True, True, False], [True, False, True, True])[0]
    0.0
    """
    difference = np.asarray(first, "float64") - np.asarray(second, "float64")
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def _right(model, split):
    return model.predict(split.batches(32), verbose=0).argmax(axis=1) == split.labels
