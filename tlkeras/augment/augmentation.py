"""Build the augmentation layers that a domain's policy allows."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers

from tlkeras.augment import layers as own
from tlkeras.augment.policies import AugmentationPolicy, augmentation_policy
from tlkeras.utils.validation import check_number, invalid

_RANGE = (0, 255)
#: Layers that change only color; those from Keras reject images with one channel.
_COLOR = (
    layers.RandomSaturation,
    layers.RandomHue,
    layers.RandomGrayscale,
    own.RandomChannelShuffle,
)


class Augmentation(tuple):
    """A tuple of augmentation layers that can be called like a single layer; the layers are applied in order.

    It is a tuple rather than a `keras.layers.Pipeline`, so that a model can contain the layers one by one and stay
    flat. Nested layers would also take many seconds to build on torch.

    Attributes:
        layers: The layers, as a tuple.
        variables: The variables of all layers, which are the states of their random number generators.
    """

    __slots__ = ()

    @property
    def layers(self) -> tuple[keras.layers.Layer, ...]:
        return tuple(self)

    @property
    def variables(self) -> list[keras.Variable]:
        return [variable for layer in self for variable in layer.variables]

    def for_channels(self, channels: int) -> "Augmentation":
        """Return the layers for images with this many channels: for one channel, all layers except color-only ones.

        Example:

        >>> import tlkeras
        >>> photo = tlkeras.augmentation("photo")
        >>> [type(layer).__name__ for layer in photo if layer not in photo.for_channels(1)]
        ['RandomSaturation', 'RandomHue', 'RandomGrayscale']
        """
        return self if channels != 1 else Augmentation(layer for layer in self if not isinstance(layer, _COLOR))

    def __call__(self, images: Any, training: bool = True) -> Any:
        for layer in self.for_channels(images.shape[-1]):
            images = layer(images, training=training)
        return images


def augmentation(
    domain: str | AugmentationPolicy, strength: float = 1.0, *, seed: int = 0, extra: Any = ()
) -> Augmentation:
    """Build the augmentation layers that suit a domain.

    The layers are built into Keras, so a model that contains them can be saved and loaded without tlkeras. The
    exceptions are three policy settings that are off in all domains and for which Keras has no layer:
    `channel_shuffle`, `jpeg` and `grid_mask`. A model that uses one of these can be loaded only after `import tlkeras`.
    The layers keep pixels in [0, 255]. In a classifier from `image_classifier`, they are active only in `fit`. In a
    model of your own, call the Keras layers with `training=False`: `fit` still augments the images, but a plain call
    `model(x)` does not.

    Layers that mix images and their labels (`keras.layers.MixUp`, `keras.layers.CutMix`, `tlkeras.FourierMix`) cannot
    be part of a classifier, because a classifier does not receive labels. Pass them to `batches(..., mix=...)`.

    Args:
        domain: Name of a domain (see `augmentation_policy`), a custom policy, `"randaugment"`
            ([Cubuk et al.](https://arxiv.org/abs/1909.13719)) or `"augmix"`
            ([Hendrycks et al.](https://arxiv.org/abs/1912.02781)). `"randaugment"` and `"augmix"` are meant for photos
            of any kind, and need Keras 3.15 or later for gray images.
        strength: Factor by which the size and frequency of all changes to images are multiplied. Defaults to 1, which
            leaves the policy unchanged; 0 disables all layers of the policy.
        seed: Seed for all layers. Defaults to 0.
        extra: One or more layers of your own to append. A model that contains them can be loaded only if their package
            is installed. Use KerasCV layers only in `batches(..., augment=...)`, because inside a model they would also
            be active at inference. Defaults to none.

    Returns:
        A tuple of layers that can be called like a single layer, on RGB or gray images. Pass it to
        `image_classifier(..., augmentation=...)` to augment images inside the model, or to `batches(..., augment=...)`
        to augment them before they reach the model.

    Raises:
        InputError: `domain` is unknown, `strength` is negative, or `extra` contains something that is not a layer.

    Example:

    >>> import tlkeras
    >>> [type(layer).__name__ for layer in tlkeras.augmentation("aerial")][:4]
    ['RandomFlip', 'RandomRotation', 'RandomZoom', 'RandomTranslation']
    """
    check_number("strength", strength, "[0, inf)")
    extra = extra if isinstance(extra, list | tuple) else [extra]
    for layer in extra:
        if not callable(layer):
            raise invalid("extra", layer, "be a Keras layer or a list of layers")
    seeds = (int(number) for number in np.random.default_rng(seed).integers(2**31 - 1, size=32))
    if domain == "randaugment":
        chosen = [layers.RandAugment(_RANGE, factor=min(1.0, 0.5 * strength), seed=next(seeds))] * (strength > 0)
    elif domain == "augmix":
        chosen = [layers.AugMix(_RANGE, factor=min(1.0, 0.3 * strength), seed=next(seeds))] * (strength > 0)
    else:
        policy = domain if isinstance(domain, AugmentationPolicy) else augmentation_policy(domain)
        chosen = _layers(_strengthened(policy, strength), seeds) if strength > 0 else []
    return Augmentation([*chosen, *extra])


def _strengthened(policy: AugmentationPolicy, strength: float) -> AugmentationPolicy:
    limits = {
        "small_rotation": 180.0,
        **dict.fromkeys(("scale", "aspect", "crop", "light", "color", "noise"), 0.9),
        **dict.fromkeys(("gray", "channel_shuffle", "blur", "jpeg", "grid_mask", "erase"), 1.0),
    }
    return replace(policy, **{name: min(limit, getattr(policy, name) * strength) for name, limit in limits.items()})


def _layers(policy: AugmentationPolicy, seeds: Any) -> list[keras.layers.Layer]:
    fill = {"fill_mode": policy.fill} if isinstance(policy.fill, str) else {
        "fill_mode": "constant", "fill_value": float(policy.fill),
    }  # fmt: skip
    flips = [name for name in ("horizontal", "vertical") if getattr(policy, f"{name}_flip")]
    turn = 0.5 if policy.any_direction else policy.small_rotation / 360
    chosen = []
    if flips:
        chosen.append(layers.RandomFlip("_and_".join(flips), seed=next(seeds)))
    if turn:
        chosen.append(layers.RandomRotation(turn, seed=next(seeds), **fill))
    if policy.scale:
        chosen.append(layers.RandomZoom((-policy.scale, policy.scale), seed=next(seeds), **fill))
    if policy.aspect:
        chosen.append(layers.RandomZoom((0.0, 0.0), (-policy.aspect, policy.aspect), seed=next(seeds), **fill))
    if policy.crop:
        chosen.append(layers.RandomTranslation(policy.crop, policy.crop, seed=next(seeds), **fill))
    if policy.light:
        chosen.append(layers.RandomBrightness(policy.light, _RANGE, seed=next(seeds)))
        chosen.append(layers.RandomContrast(policy.light, _RANGE, seed=next(seeds)))
    if policy.color:
        saturation = (0.5 - policy.color / 2, 0.5 + policy.color / 2)
        chosen.append(layers.RandomSaturation(saturation, _RANGE, seed=next(seeds)))
        chosen.append(layers.RandomHue(policy.color / 10, _RANGE, seed=next(seeds)))
    if policy.gray:
        chosen.append(layers.RandomGrayscale(policy.gray, seed=next(seeds)))
    if policy.channel_shuffle:
        chosen.append(own.RandomChannelShuffle(policy.channel_shuffle, seed=next(seeds)))
    if policy.blur:
        # Use equal bounds: if given a single number, Keras draws a new probability for every image.
        chosen.append(layers.RandomGaussianBlur((policy.blur, policy.blur), 3, (0.3, 1.5), _RANGE, seed=next(seeds)))
    if policy.noise:
        # GaussianNoise accepts only images in [0, 1]. GaussianDropout multiplies by noise with variance
        # rate / (1 - rate).
        variance = policy.noise**2
        chosen.append(layers.GaussianDropout(variance / (1 + variance), seed=next(seeds)))
        chosen.append(layers.ReLU(max_value=255.0))  # the only core Keras layer that clips; no effect at inference
    if policy.jpeg:
        chosen.append(own.RandomJpegQuality(policy.jpeg, seed=next(seeds)))
    if policy.grid_mask:
        chosen.append(own.GridMask(policy.grid_mask, seed=next(seeds)))
    if policy.erase:
        erased = (policy.erase, policy.erase)
        chosen.append(layers.RandomErasing(erased, (0.02, 0.2), value_range=_RANGE, seed=next(seeds)))
    return chosen
