"""The public function `trial`: compare transfer learning with training the same network from random weights."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import numpy as np

from tlkeras.backbones.classifier import image_classifier
from tlkeras.data.dataset import ImageSplit, ImageSplits
from tlkeras.data.loading import load_images
from tlkeras.errors import warn
from tlkeras.models.heads import find_head
from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.selection.by_fine_tuning import predicted
from tlkeras.selection.outcome import right
from tlkeras.training.fine_tuning import fine_tune
from tlkeras.utils.tables import table
from tlkeras.utils.validation import check_integer, check_number, invalid

#: The arms, with the settings of `fine_tune` that suit their initial weights. All other settings are equal.
ARMS = {
    "transfer": {"probe": True, "batchnorm": "frozen", "layer_decay": 0.9},
    "scratch": {"probe": False, "batchnorm": "train", "layer_decay": 1.0},
    "shuffled": {"probe": False, "batchnorm": "train", "layer_decay": 1.0},
}

#: Standard errors on each side of a lead, for a 95% interval.
WIDTH = 1.96


class Arm(NamedTuple):
    """One arm of a trial: a network trained on a fraction of the images.

    Attributes:
        name: Name of the arm: `"transfer"`, `"scratch"` or `"shuffled"`.
        images: Number of training images.
        learning_rate: The learning rate with the lowest loss on the validation images.
        loss: Mean log loss on the validation images.
        accuracy: Accuracy on the test images.
    """

    name: str
    images: int
    learning_rate: float
    loss: float
    accuracy: float


class Lead(NamedTuple):
    """The lead of transfer learning over training from random weights, on the test images.

    Attributes:
        images: Number of training images.
        rival: `"scratch"` or `"shuffled"`, whichever has the lower loss on the validation images.
        lead: Accuracy of transfer minus that of the rival.
        low: Lower bound of the 95% interval of `lead`.
        high: Upper bound of the 95% interval of `lead`.
        verdict: `"transfer"` or `"scratch"` if the interval excludes 0, else `"inconclusive"`.
    """

    images: int
    rival: str
    lead: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Trial:
    """The result of `tlkeras.trial`. It prints as a table, with the verdicts in words.

    Attributes:
        arms: Tuple of `Arm`: the arms at each number of images, the largest number first.
        leads: Tuple of `Lead`, one per number of images, the largest number first.
    """

    arms: tuple[Arm, ...] = field(repr=False)
    leads: tuple[Lead, ...]

    @property
    def verdict(self) -> str:
        """Verdict for training on all training images."""
        return self.leads[0].verdict

    def sentences(self) -> list[str]:
        """Describe, for each number of images, which arm leads and by how much, with the interval."""
        return [_sentence(one) for one in self.leads]

    def to_json(self) -> dict:
        """Return the arms and leads as a dict of plain numbers and lists."""
        arms, leads = ([one._asdict() for one in rows] for rows in (self.arms, self.leads))
        return {"verdict": self.verdict, "arms": arms, "leads": leads, "sentences": self.sentences()}

    def __repr__(self) -> str:
        header = ("images", "weights", "learning rate", "validation loss", "test accuracy")
        rows = [
            (str(one.images), one.name, f"{one.learning_rate:g}", f"{one.loss:.3f}", f"{one.accuracy:.3f}")
            for one in self.arms
        ]
        return "\n".join([table(header, rows), "", *self.sentences()])


def _sentence(one: Lead) -> str:
    points, low, high = (f"{100 * share:+.0f}" for share in (one.lead, one.low, one.high))
    verdicts = {
        "transfer": "transfer is better",
        "scratch": "training from random weights is better",
        "inconclusive": "inconclusive",
    }
    text = f"With {one.images} images, transfer leads {one.rival} by {points} points ({low} to {high})"
    return f"{text}: {verdicts[one.verdict]}."


def trial(
    images: str | os.PathLike | ImageSplits,
    *,
    backbone: str | keras.Model = "efficientnet_lite0",
    image_size: int | tuple[int, int] | None = None,
    augmentation: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
    shares: Sequence[float] = (1.0, 0.5, 0.25),
    learning_rates: Sequence[float] = (1e-4, 3e-4, 1e-3, 3e-3),
    epochs: int = 20,
    seed: int = 0,
    verbose: bool = True,
) -> Trial:
    """Compare transfer learning with training the same architecture from random weights, at several numbers of images.

    The arms are `transfer` (pretrained weights, starting with a linear probe), `scratch` (new random weights) and
    `shuffled` (the values of each pretrained weight in random order). Shuffling preserves only the statistics of the
    weights, so this arm shows how much transfer would help if it provided only well-scaled weights. All arms train all
    layers with `tlkeras.fine_tune`, with the same epochs, schedule and augmentation. For each arm, the learning rate is
    chosen from the same list by the loss on the validation images, since an untuned competitor makes transfer look
    better than it is. The lead is measured on the test images.

    The interval covers the variation between test images, not between training seeds. A warning names any arm whose
    validation loss is no lower than that of guessing.

    Args:
        images: A folder with one subfolder per class, or the result of `tlkeras.load_images`.
        backbone: Name of a backbone, or a classifier with pretrained weights, as returned by `image_classifier`.
        image_size: Side length or `(height, width)` in pixels, if `backbone` is a name. Defaults to the image size of
            the splits, if set, otherwise to that of the backbone.
        augmentation: As in `tlkeras.image_classifier`. Defaults to none; augmentation helps the arms with random
            weights more.
        shares: Fractions of the training images of each class, in (0, 1]. A smaller subset is contained in each larger
            one. Validation and test images stay the same.
        learning_rates: Learning rates to choose from. The default covers the range for fine-tuning and for training
            from scratch.
        epochs: Maximum number of epochs; training stops early after 5 epochs without a lower validation loss. Defaults
            to 20, since random weights need more epochs than pretrained ones.
        seed: Seed for subsets, weights and training. Defaults to 0.
        verbose: Whether to print a line per training run to stderr.

    Returns:
        `Trial`.

    Raises:
        InputError: The images have several labels each, or an argument is out of range.

    Example:

    >>> import keras, numpy as np, tlkeras
    >>> leads = (Lead(100, "scratch", 0.2, 0.12, 0.28, "transfer"),)
    >>> Trial((), leads).verdict
    'transfer'

    References: Raghu et al., 2019, https://arxiv.org/abs/1902.07208, on weights with matching statistics; Zhai et al.,
    2020, https://arxiv.org/abs/1910.04867, on how much an untuned competitor matters.
    """
    shares = sorted((check_number("shares", share, "(0, 1]") for share in shares), reverse=True)
    rates = [check_number("learning_rates", rate, "(0, inf)") for rate in learning_rates]
    if not shares or not rates:
        raise invalid("learning_rates" if shares else "shares", (), "have at least one entry")
    check_integer("epochs", epochs, minimum=1)
    if not isinstance(images, ImageSplits):
        size = {} if image_size is None else {"image_size": image_size}
        images = load_images(images, seed=seed, **size)
    if images.multilabel:
        raise invalid("images", images, "have one label each", "Images with several labels are not supported.")
    classifier = _classifier(backbone, images, image_size, augmentation)
    arms, leads = [], []
    for share in shares:
        train = _share(images.train, share, seed)
        results = {}
        for name in ARMS:
            results[name], answers = _best_arm(classifier, name, train, images, rates, epochs, seed, verbose)
            arms.append(results[name])
            results[name, "right"] = right(answers, images.test.labels)
        leads.append(_lead(results, images.test.groups))
    return Trial(tuple(arms), tuple(leads))


def _classifier(backbone, images: ImageSplits, image_size, augmentation) -> keras.Model:
    """Build the classifier that all arms copy."""
    if isinstance(backbone, keras.Model):
        return backbone
    size = images.image_size if image_size is None else image_size
    return image_classifier(backbone, images.class_names, image_size=size, augmentation=augmentation)


def _share(split: ImageSplit, share: float, seed: int) -> ImageSplit:
    """Return a fraction of the images of each class; a smaller subset is contained in each larger one."""
    rng = np.random.default_rng(seed)
    kept = np.zeros(len(split), bool)
    for number in np.unique(split.labels):
        members = rng.permutation(np.flatnonzero(split.labels == number))
        kept[members[: max(1, round(share * len(members)))]] = True
    return split.take(kept)


def arm_model(classifier: keras.Model, arm: str, seed: int = 0) -> keras.Model:
    """Copy a classifier with the initial weights of an arm.

    Args:
        classifier: A classifier with pretrained weights.
        arm: Name of the arm: `"transfer"`, `"scratch"` or `"shuffled"`.
        seed: Seed for the random weights.

    Returns:
        A new model. In the arms with random weights, BatchNormalization averages over about 10 steps instead of 100:
        few images mean few steps, so the moving statistics would otherwise hardly change from their initial values.
    """
    keras.utils.set_random_seed(seed)
    copy = keras.models.clone_model(classifier)
    head = {id(weight) for weight in find_head(copy).layer.weights}
    rng = np.random.default_rng(seed)
    for target, source in zip(copy.weights, classifier.weights, strict=True):
        values = keras.ops.convert_to_numpy(source)
        if arm == "transfer":
            target.assign(values)
        elif arm == "shuffled" and id(target) not in head:
            target.assign(rng.permutation(values.ravel()).reshape(values.shape))
    if arm != "transfer":
        for layer in copy._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9
    return copy


def _best_arm(classifier, name, train, images, rates, epochs, seed, verbose) -> tuple[Arm, np.ndarray]:
    """Train an arm at each learning rate; return the run with the lowest validation loss, and its predictions."""
    best = None
    for rate in rates:
        model = arm_model(classifier, name, seed)
        settings = {**ARMS[name], "learning_rate": rate, "epochs": epochs, "seed": seed, "verbose": False}
        fine_tune(model, train, images.validation, average_with_probe=None, **settings)
        answers = predicted(model, images.validation)
        chosen = answers[np.arange(len(answers)), images.validation.labels]
        loss = float(-np.log(np.clip(chosen, 1e-7, 1)).mean())
        if verbose:
            print(f"{len(train)} images, {name}, rate {rate:g}: validation loss {loss:.3f}", file=sys.stderr)
        if best is None or loss < best[0]:
            best = loss, rate, predicted(model, images.test)
    loss, rate, answers = best
    guessing = np.log(len(images.class_names))
    if loss > guessing - 1e-3:
        warn(
            f"With {len(train)} images, the arm {name!r} learned nothing in {epochs} epochs: its validation loss of "
            f"{loss:.3f} is no lower than that of guessing. Pass more `epochs`, or other `learning_rates`."
        )
    accuracy = float(right(answers, images.test.labels).mean())
    return Arm(name, len(train), rate, loss, accuracy), answers


def _lead(results: dict, groups) -> Lead:
    """Compare the transfer arm with the better of the other two arms, image by image."""
    rival = min((name for name in ARMS if name != "transfer"), key=lambda name: results[name].loss)
    lead, error = mean_with_error(results["transfer", "right"] - results[rival, "right"], groups)
    low, high = lead - WIDTH * error, lead + WIDTH * error
    verdict = "transfer" if low > 0 else "scratch" if high < 0 else "inconclusive"
    return Lead(results["transfer"].images, rival, lead, low, high, verdict)
