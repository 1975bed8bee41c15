"""Adapt the BatchNorm statistics of a model to unlabeled images of a new domain (AdaBN), with a prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import keras
import numpy as np

from tlkeras.adaptation.batchnorm_statistics import (
    assign_statistics,
    batchnorm_layers,
    record_moments,
    statistics_of,
)
from tlkeras.adaptation.shares import check_shares, class_shares
from tlkeras.adaptation.unlabeled import Unlabeled, unlabeled_images
from tlkeras.data.dataset import ImageSplit
from tlkeras.data.reading import Resize, check_resize
from tlkeras.errors import InputError
from tlkeras.models.layer_tree import check_model
from tlkeras.utils.validation import check_integer, check_number, invalid

#: With fewer images, the statistics describe individual classes rather than the domain.
FEWEST_IMAGES = 100

#: Shares of the new statistics to choose from if there are labels; 0 leaves the model unchanged.
_SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)


@dataclass(frozen=True)
class BatchNormAdaptation:
    """The result of `tlkeras.adapt_batchnorm`.

    Attributes:
        images: Number of images that the new statistics were computed from.
        prior: Weight of the former statistics, expressed as a number of images.
        share: Weight of the new statistics in the blend, `images / (prior + images)`.
        layers: Number of BatchNorm layers.
        distance: Absolute difference between the new and the former mean of a channel, in former standard deviations,
            averaged over all channels of all layers. If `source` was given, its means and standard deviations replace
            the former ones.
        losses: Dict that maps each prior that was tried to the log loss on the labeled images; empty if none were
            tried.
        shares_before: Fraction of images assigned to each class before adaptation, a float64 array of shape
            `(classes,)`; None for a model that does not output class probabilities.
        shares_after: Same as `shares_before`, but after adaptation.
    """

    images: int
    prior: float
    share: float
    layers: int
    distance: float
    losses: dict[float, float]
    shares_before: np.ndarray | None
    shares_after: np.ndarray | None

    def __str__(self) -> str:
        lines = [
            f"Adapted {self.layers} BatchNorm {'layer' if self.layers == 1 else 'layers'} to {self.images} images. "
            f"The new statistics have a weight of {self.share:.0%} (prior {self.prior:g}).",
            f"On average, the new images are {self.distance:.2f} standard deviations from the former statistics.",
        ]
        if self.losses:
            tried = ", ".join(f"{loss:.3f} at prior {prior:g}" for prior, loss in self.losses.items())
            lines.append(f"Log loss on the labeled images: {tried}.")
        return "\n".join(lines)


def adapt_batchnorm(
    model: keras.Model,
    unlabeled: Any,
    *,
    prior: float | None = None,
    source: Any = None,
    labeled: ImageSplit | tuple[Sequence[Any], Sequence[int]] | None = None,
    resize: Resize = "stretch",
    batch_size: int = 32,
) -> BatchNormAdaptation:
    """Adapt the BatchNorm statistics of a model, in place, to unlabeled images of a new domain.

    The new mean of a channel is `(N μ_s + n μ_t) / (N + n)`, where `μ_t` is the mean of `n` images of the new domain,
    and the `prior` N is the weight of the former mean `μ_s`, expressed as a number of images. Variances are blended in
    the same way. The layers are adapted in forward order: each layer receives inputs that were normalized by the
    adapted layers before it. The weights do not change.

    Adaptation helps if a change affects all images, such as noise, a new camera or a new style. Adaptation cannot help
    a network without BatchNorm (ConvNeXt, ViT), and it lowers the accuracy if the class proportions of the new images
    differ from those of the training images. `benchmarks/adaptation.py` measures the effect.

    Args:
        model: A built `keras.Model` that takes raw pixels, such as one from `tlkeras.fit`. The model is changed in
            place, or not at all if an error is raised.
        unlabeled: At least 100 images of the new domain: a folder (subfolder names are ignored); paths; pixels of shape
            `(images, height, width, 3)`; or a split from `tlkeras.load_images`. The class proportions should match
            those of the images that the model will see.
        prior: Weight of the former statistics, expressed as a number of images, from 0 (the new statistics replace the
            former ones) to `math.inf` (nothing changes). Defaults to None: the prior is chosen by the log loss on
            `labeled`, if given; otherwise it is the number of images in `unlabeled`, so the former and the new
            statistics have the same weight.
        source: Images that the model's head was trained on, in any form that `unlabeled` accepts. Pass these images if
            the BatchNorm layers were frozen in training: the layers then contain statistics of ImageNet rather than of
            the training images, and only the difference between the training images and the new domain should be
            corrected. Defaults to None, which assumes that the model's statistics are those of its training images.
        labeled: Labeled images from the new domain, used to choose `prior`: a split, or a pair of images and class
            indices. Defaults to None.
        resize: `"stretch"`, `"crop"` or `"pad"`, as in `tlkeras.read_image`. Defaults to `"stretch"`, as in
            `tlkeras.fit`.
        batch_size: Images per forward pass. Defaults to 32.

    Returns:
        `BatchNormAdaptation`; `print` shows what changed.

    Raises:
        InputError: There are fewer than 100 images, the model has no BatchNorm layers, or the predictions for the new
            images collapse to fewer than half as many classes as before adaptation. The model is then left unchanged.
        ImageError: An image cannot be read.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.BatchNormalization()])
    >>> pixels = np.random.default_rng(0).normal(100, 5, (120, 8, 8, 3))
    >>> print(adapt_batchnorm(model, pixels, prior=0))  # doctest: +ELLIPSIS
    Adapted 1 BatchNorm layer to 120 images. The new statistics have a weight of 100% (prior 0).
    On average, the new images are 99.9... standard deviations from the former statistics.

    References: Li et al., 2016, https://arxiv.org/abs/1603.04779 (AdaBN); Schneider et al., 2020,
    https://arxiv.org/abs/2006.16971 (the prior).
    """
    layers = _checked_layers(model)
    check_resize(resize)
    check_integer("batch_size", batch_size, minimum=1)
    if prior is not None:
        prior = check_number("prior", prior, "[0, inf]")
    images = unlabeled_images(unlabeled)
    if len(images) < FEWEST_IMAGES:
        advice = "With fewer images, the statistics describe individual classes rather than the domain."
        raise InputError(
            f"`unlabeled` must contain at least {FEWEST_IMAGES} images. Received: {len(images)} images. {advice}"
        )
    adapting = _Adapting(model, layers, images, resize, batch_size)
    if source is not None:
        adapting.refer_to(unlabeled_images(source, "source"))
    try:
        return adapting.adapted(prior, labeled)
    except BaseException:
        adapting.restore()
        raise


def _checked_layers(model):
    """Return the BatchNorm layers of a model that can be adapted."""
    check_model(model)
    layers = batchnorm_layers(model)
    if not layers:
        kinds = {type(layer).__name__ for layer in model._flatten_layers() if "Norm" in type(layer).__name__}
        others = f" Its {' and '.join(sorted(kinds))} layers store no statistics." if kinds else ""
        raise InputError(
            f"`model` must have BatchNormalization layers. Received: {model.name!r}, which has no such layers.{others} "
            "Align its features with `tlkeras.FeatureAlignment` instead."
        )
    size = model.input_shape[1:] if isinstance(model.input_shape, tuple) else ()
    if len(size) != 3 or size[-1] != 3 or None in size:
        raise invalid("model", model.name, "take RGB images of a fixed size", f"Its input shape is {(None, *size)}.")
    return layers


class _Adapting:
    """The state of one call: the model, its former statistics, and the moments to compare new moments with."""

    def __init__(self, model, layers, images: Unlabeled, resize, batch_size):
        self.model, self.layers, self.images, self.resize, self.batch_size = model, layers, images, resize, batch_size
        self.former = statistics_of(layers)
        self.received = self.former  # moments of the layers' inputs in the model's own domain

    def refer_to(self, source):
        """Use the moments of the source images as the reference instead of the former statistics."""
        moments = record_moments(self.model, self.layers, self._batches(source))
        self.received = [(one.mean, one.variance) for one in moments]

    def restore(self):
        """Restore the original statistics."""
        assign_statistics(self.layers, self.former)

    def adapted(self, prior, labeled):
        """Adapt with the given prior, or with the one that works best on the labeled images, and return the result."""
        count, losses = len(self.images), {}
        before = self._class_shares()
        if prior is None and labeled is not None:
            for share in _SHARES:
                self._adapt(share)
                losses[inf if share == 0 else count * (1 - share) / share] = self._log_loss(labeled)
            prior = min(losses, key=losses.get)
        elif prior is None:
            prior = float(count)
        share = 0.0 if prior == inf else count / (prior + count)
        distance = self._adapt(share)
        after = self._class_shares()
        if before is not None:
            check_shares(before, after, "The BatchNorm statistics were left unchanged.")
        return BatchNormAdaptation(count, prior, share, len(self.layers), distance, losses, before, after)

    def _adapt(self, share):
        """Set the statistics to a blend of the former and the new ones, and return the distance between the two."""
        self.restore()

        def blend(number, moments):
            if share > 0:
                new = _blended(self.former[number], self.received[number], moments, share, self.layers[number].epsilon)
                assign_statistics([self.layers[number]], [new])

        moments = record_moments(self.model, self.layers, self._batches(self.images), blend)
        apart = [
            np.abs(new.mean - mean) / np.sqrt(variance + layer.epsilon)
            for new, (mean, variance), layer in zip(moments, self.received, self.layers, strict=True)
        ]
        return float(np.concatenate(apart).mean())

    def _batches(self, images):
        return images.batches(self.model.input_shape[1:3], self.resize, self.batch_size)

    def _class_shares(self):
        return class_shares(self.model, self._batches(self.images))

    def _log_loss(self, labeled):
        """Measure the log loss of class probabilities on labeled images."""
        images, labels = (labeled, labeled.labels) if isinstance(labeled, ImageSplit) else labeled
        listed = unlabeled_images(images, "labeled")
        probabilities = np.concatenate([self.model.predict_on_batch(batch) for batch in self._batches(listed)])
        labels = np.asarray(labels)
        classes = probabilities.shape[-1]
        if labels.shape != (len(listed),) or labels.dtype.kind not in "iu" or not (labels >= 0).all():
            raise invalid("labeled", labels, "contain one class index per image")
        if labels.max(initial=0) >= classes:
            raise invalid("labeled", labels, f"contain class indices below {classes}, the number of model outputs")
        right = probabilities[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(right, 1e-7, 1)).mean())


def _blended(former, received, moments, share, epsilon):
    """Blend statistics so that a layer's outputs have the same moments for the new images as for the source domain.

    If the former statistics come from the source domain, `received` equals `former`, and the result is
    `share * new + (1 - share) * former`.
    """
    (mean, variance), (known_mean, known_variance) = former, received
    blended_mean = share * moments.mean + (1 - share) * known_mean
    blended_variance = share * moments.variance + (1 - share) * known_variance
    ratio = (blended_variance + epsilon) / (known_variance + epsilon)
    new_variance = np.maximum(ratio * (variance + epsilon) - epsilon, 0)
    return blended_mean - (known_mean - mean) * np.sqrt(ratio), new_variance
