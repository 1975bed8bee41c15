"""Average predictions over an image and its flips, if the augmentation policy of the domain declares flips safe."""

from functools import partial

from tlkeras.augment.policies import augmentation_policy

#: Functions that flip pixels of shape `(..., height, width, channels)`.
FLIPS = {
    "horizontal_flip": lambda pixels: pixels[..., ::-1, :],
    "vertical_flip": lambda pixels: pixels[..., ::-1, :, :],
}


def safe_flips(domain):
    """List the flips that preserve the labels of a domain's images.

    Args:
        domain: Name of the domain (see `tlkeras.augmentation_policy`), or None.

    Example:

    >>> safe_flips("photo"), safe_flips("document"), safe_flips(None)
    (('horizontal_flip',), (), ())
    """
    policy = None if domain is None else augmentation_policy(domain)
    return tuple(name for name in FLIPS if policy is not None and getattr(policy, name))


def flipped_sources(split, flip, image_size, resize):
    """Return the flipped images of a split, to be read lazily.

    Args:
        split: `ImageSplit` to flip.
        flip: Name of the flip, a key of `FLIPS`.
        image_size: `(height, width)` that the images are resized to.
        resize: Resizing method, as in `tlkeras.read_image`.

    Returns:
        List of functions without arguments, one per image, that return uint8 pixels.
    """
    return [partial(_read_flipped, source, flip, image_size, resize) for source in split.sources]


def _read_flipped(source, flip, image_size, resize):
    from tlkeras.data.reading import read_image  # loads NumPy, which checking arguments must not

    source = source() if callable(source) else source
    return FLIPS[flip](read_image(source, image_size, resize)).copy()


def average_over_flips(predict, flips):
    """Return a function that averages the predictions for each image and its flips.

    Args:
        predict: Function that maps pixels of shape `(images, height, width, channels)` to probabilities.
        flips: Names of the flips, keys of `FLIPS`.

    Example:

    >>> import numpy as np
    >>> mean = average_over_flips(lambda pixels: pixels[:, 0, 0], ["horizontal_flip"])
    >>> mean(np.array([[[[1.0], [3.0]]]])).tolist()
    [[2.0]]
    """

    def mean(pixels):
        return sum([predict(pixels), *(predict(FLIPS[flip](pixels)) for flip in flips)]) / (1 + len(flips))

    return mean
