"""Run a batch in small slices, so that each layer finds the previous layer's output in the CPU cache."""

import numpy as np

#: Number of pixels whose feature maps fit into a core's second-level cache: two images of 224 x 224. Measured with
#: EfficientNet-Lite0 and 1 MB of cache; see docs/performance.md.
_PIXELS = 2 * 224 * 224


def images_in_cache(image_shape):
    """Return the slice size, in images, that is fastest on one core; it is a power of two.

    Args:
        image_shape: `(height, width, channels)` of the images.

    Example:

    >>> images_in_cache((224, 224, 3)), images_in_cache((64, 64, 3)), images_in_cache((480, 480, 3))
    (2, 16, 1)
    """
    height, width, _ = image_shape
    fitting = max(1, _PIXELS // (height * width))
    return min(32, 1 << (fitting.bit_length() - 1))


def images_a_call(image_shape):
    """Return the number of images that a thread passes per call, at least 8, so that the cost of a call is negligible.

    Args:
        image_shape: `(height, width, channels)` of the images.

    Example:

    >>> images_a_call((224, 224, 3)), images_a_call((64, 64, 3))
    (8, 16)
    """
    return max(8, images_in_cache(image_shape))


def run_in_slices(run, pixels, batch_size):
    """Run a network on a batch, slice by slice.

    Args:
        run: Function that maps float32 pixels `(batch_size, height, width, channels)` to features `(batch_size,
            features)`.
        pixels: Array `(n, height, width, channels)` of any dtype. A short last slice is padded with zeros, because some
            runtimes compile code for each new shape.
        batch_size: Images per slice.

    Returns:
        Features `(n, features)`.

    Example:

    >>> run_in_slices(lambda part: part.mean((1, 2)), np.ones((3, 4, 4, 1), "uint8"), 2)
    array([[1.],
           [1.],
           [1.]], dtype=float32)
    """
    parts = []
    for start in range(0, len(pixels), batch_size):
        part = pixels[start : start + batch_size].astype("float32", copy=False)
        missing = batch_size - len(part)
        if missing:
            part = np.pad(part, [(0, missing), (0, 0), (0, 0), (0, 0)])
        parts.append(run(part)[: batch_size - missing])
    return np.concatenate(parts)
