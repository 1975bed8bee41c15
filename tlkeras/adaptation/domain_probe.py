"""Adapt a feature-based classifier to an unlabeled domain: the steps behind `tlkeras.adapt`."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline

from tlkeras.adaptation.alignment import FeatureAlignment
from tlkeras.adaptation.batchnorm import FEWEST_IMAGES, adapt_batchnorm
from tlkeras.adaptation.batchnorm_statistics import assign_statistics, batchnorm_layers, statistics_of
from tlkeras.adaptation.self_train import fit_with_unlabeled
from tlkeras.adaptation.shares import check_shares, classes_in_use, shares_of
from tlkeras.adaptation.towers import renamed_copy, with_readout
from tlkeras.adaptation.unlabeled import Unlabeled, refuse_unreadable
from tlkeras.errors import InputError
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.pipelines.affine import Affine
from tlkeras.pipelines.fold import folded_weights
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import linear_probe

#: If a classifier tells the domains apart with a lower accuracy, there is nothing to adapt to. Chance is 0.5.
_NO_SHIFT = 0.6

#: The weight of the former predictions is 0 if they agree with the adapted ones on at most the first share of images,
#: and largest from the second share on. Other values within 0.2 of these changed the mean accuracy over 32 directions
#: by less than 0.003.
_AGREEMENT = (0.4, 0.8)

#: Largest weight of the former predictions, by the number of networks. The features of a second network make averages
#: more accurate. Without it, half and half lost up to 2.3 points of accuracy in one of 32 directions, and this weight
#: 0.7 points.
_LARGEST_WEIGHT = {1: 0.8, 2: 0.5}

#: More images hardly change the statistics and take longer.
_FOR_STATISTICS = 500


@dataclass(frozen=True)
class Domains:
    """The training images of a classifier, and images from the domain that the classifier will be adapted to.

    Attributes:
        network: `keras.Model` that maps raw pixels to the features that the classifier uses.
        source: Images that the classifier was trained on.
        labels: Class indices of the source images, int64 array of shape `(images,)`; every class occurs at least once.
        target: Unlabeled images of the new domain.
        resize: Resizing method, as in `tlkeras.read_image`.
        verbose: Whether to show progress on stderr.
    """

    network: keras.Model
    source: Unlabeled
    labels: np.ndarray
    target: Unlabeled
    resize: str
    verbose: bool = False

    def features(self, network: keras.Model, images: Unlabeled) -> np.ndarray:
        """Compute the features of images, as a float64 array of shape `(images, features)`.

        Raises:
            InputError: An image cannot be read.
        """
        extractor = FeatureExtractor(network, resize=self.resize, verbose=self.verbose)
        extraction = extractor.extract(images.sources)
        refuse_unreadable(extraction.unreadable, len(images))
        return extraction.features.astype("float64")


@dataclass(frozen=True)
class DomainAdaptation:
    """An adapted classifier.

    Attributes:
        model: `keras.Model` that maps raw pixels to class probabilities.
        facts: Dict with the steps and measurements of the adaptation, for `metrics.json`.
    """

    model: keras.Model
    facts: dict[str, Any] = field(default_factory=dict)


def adapt_to_domain(domains: Domains, batchnorm: bool, self_training: bool) -> DomainAdaptation:
    """Fit a probe for the target domain, and return the network with this probe as one Keras model.

    The features of the network are concatenated with those of a copy of the network. The copy uses the BatchNorm
    statistics of the source domain for source images, and those of the target domain for target images. Target features
    are standardized to the means and standard deviations of the source features. The probe is fitted to the source
    features.

    Standardizing lowers the accuracy if the shift is small but the class proportions differ. The logits are therefore
    averaged with those of a probe that is not adapted, unless the two probes disagree on most images, which only a
    large shift can cause.

    Args:
        domains: `Domains` with the source and target images.
        batchnorm: Whether to add the adapted copy, if the network has BatchNorm layers and there are enough images.
        self_training: Whether to fit the probe a second time, on both domains, with its own predictions as the labels
            of the target images.

    Raises:
        InputError: There are too few target images, the target images cannot be distinguished from the source images,
            an image cannot be read, or the predictions collapse to a few classes.
    """
    source, target, apart = _checked_features(domains)
    former = linear_probe(source, domains.labels)
    plain = former.predict_proba(target)
    networks = [domains.network]
    if batchnorm and batchnorm_layers(domains.network) and len(domains.source) >= FEWEST_IMAGES:
        network, *more = _adapted_network(domains)
        networks.append(network)
        source, target = (np.concatenate(pair, axis=1) for pair in zip((source, target), more, strict=True))
    alignment = FeatureAlignment().fit(source, target=target)
    aligned, probe = alignment.transform(target), linear_probe(source, domains.labels)
    answers = [plain, probe.predict_proba(aligned)]
    if self_training:
        probe, believed = fit_with_unlabeled(probe, labeled_features(source, domains.labels), aligned)
        answers.append(believed)
    agreement = float(np.mean(plain.argmax(axis=1) == answers[1].argmax(axis=1)))
    weight = former_weight(agreement, len(networks))
    joint = _averaged(_folded(former), _folded(Pipeline([("alignment", alignment), *probe.steps])), weight)
    answers.append(target @ joint.matrix + joint.offset)
    shares = [shares_of(one) for one in answers]
    check_shares(shares[0], shares[-1], "Nothing was written.")
    facts = {
        "images": len(target),
        "domains_told_apart": round(apart, 3),
        "batchnorm": len(networks) == 2,
        "self_training": self_training,
        "agreement": round(agreement, 3),
        "weight_of_former": round(weight, 3),
        "answers_changed": _changed(answers[0], answers[-1]),
        "classes_in_use": [round(classes_in_use(one), 2) for one in (shares[0], shares[-1])],
        "shares": [one.round(4).tolist() for one in (shares[0], shares[-1])],
    }
    if self_training:
        facts["changed_by_self_training"] = _changed(answers[1], answers[2])
    return DomainAdaptation(with_readout(networks, joint, domains.network.name), facts)


def _checked_features(domains):
    """Return the source and target features, and the accuracy of a classifier that tells them apart."""
    if len(domains.target) < FEWEST_IMAGES:
        raise InputError(
            f"`images` must contain at least {FEWEST_IMAGES} images of the new domain. "
            f"Received: {len(domains.target)} images."
        )
    source = domains.features(domains.network, domains.source)
    target = domains.features(domains.network, domains.target)
    apart = _told_apart(source, target)
    if apart < _NO_SHIFT:
        raise InputError(
            "`images` must come from a different domain than the run's training images. Received: images that a "
            f"classifier can hardly distinguish from the training images (accuracy {apart:.2f}, where chance is 0.50). "
            "Use the run without adaptation."
        )
    return source, target, apart


def _changed(before, after):
    """Return the fraction of images whose most probable class changed."""
    return round(float(np.mean(before.argmax(axis=1) != after.argmax(axis=1))), 3)


def former_weight(agreement: float, networks: int) -> float:
    """Return the weight of the former logits in the average, which grows with the agreement between the two heads.

    Args:
        agreement: Fraction of target images for which the former and the adapted head predict the same class.
        networks: Number of networks whose features the adapted head uses: 2 if there is a copy with adapted BatchNorm
            statistics, otherwise 1.

    Example:

    >>> [round(former_weight(agreement, 2), 3) for agreement in (0.3, 0.6, 0.9)]
    [0.0, 0.25, 0.5]
    >>> round(former_weight(0.9, 1), 3)
    0.8
    """
    low, high = _AGREEMENT
    return _LARGEST_WEIGHT[networks] * float(np.clip((agreement - low) / (high - low), 0, 1))


def _folded(pipeline):
    """Combine a pipeline of affine steps and a regression into one map from features to logits."""
    *steps, regression = (step for _, step in pipeline.steps)
    return Affine(*folded_weights(steps, regression))


def _averaged(former, adapted, weight):
    """Average two maps from features to logits; `former` uses only the features of the original network."""
    matrix = (1 - weight) * adapted.matrix
    matrix[: len(former.matrix)] += weight * former.matrix
    return Affine(matrix, weight * former.offset + (1 - weight) * adapted.offset)


def _adapted_network(domains):
    """Return a copy with the target's statistics, and the features of each domain under that domain's statistics."""
    network = renamed_copy(domains.network)
    layers, features = batchnorm_layers(network), []
    initial = statistics_of(layers)
    for images in (domains.source, domains.target):  # the target comes last, so its statistics stay
        assign_statistics(layers, initial)
        some = np.random.default_rng(0).permutation(len(images))[:_FOR_STATISTICS]
        adapt_batchnorm(network, [images.sources[one] for one in np.sort(some)], prior=0, resize=domains.resize)
        features.append(domains.features(network, images))
    return network, *features


def _told_apart(source, target):
    """Return the cross-validated accuracy of a classifier that separates equally many images from the two domains."""
    count = min(len(source), len(target), _FOR_STATISTICS)
    rng = np.random.default_rng(0)
    table = np.concatenate([one[rng.permutation(len(one))[:count]] for one in (source, target)])
    domain = np.repeat([0, 1], count)
    classifier = linear_probe(table, domain, estimator="lda", folds=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(classifier, table, domain, cv=folds).mean())
