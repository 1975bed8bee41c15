"""From labelled images to a trained classifier, by a named strategy: what `tlkeras fit` does."""

from dataclasses import dataclass, field
from time import perf_counter

import keras
from sklearn.pipeline import Pipeline

from tlkeras.features.extractor import FeatureExtractor
from tlkeras.features.fold import fold
from tlkeras.features.probe import linear_probe


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
    extractor = FeatureExtractor(backbone, image_size=images.image_size, resize=images.resize, verbose=verbose)
    start = perf_counter()
    features = extractor.transform(images.train)
    extracted = perf_counter()
    probe = linear_probe(features, images.train.labels, seed=seed)
    fitted = perf_counter()
    model = fold(Pipeline([("extractor", extractor), *probe.steps]))
    seconds = {"features": extracted - start, "probe": fitted - extracted, "fold": perf_counter() - fitted}
    return Trained(model, {"C": probe[-1].C}, seconds)
