"""A batch run a few images at a time, so that a layer finds in the processor's cache what the one before it left."""

import numpy as np

#: Pixels whose feature maps fit into the second-level cache of a core: two images of 224 x 224. Measured with
#: EfficientNet-Lite0 and 1 MB of cache; see docs/performance.md.
_PIXELS = 2 * 224 * 224


def images_in_cache(image_shape):
    """Return how many images a core computes fastest at a time, a power of two.

    Args:
        image_shape: `(height, width, channels)`.

    Example:

    >>> images_in_cache((224, 224, 3)), images_in_cache((64, 64, 3)), images_in_cache((480, 480, 3))
    (2, 16, 1)
    """
    height, width, _ = image_shape
    fitting = max(1, _PIXELS // (height * width))
    return min(32, 1 << (fitting.bit_length() - 1))


def images_a_call(image_shape):
    """Return how many images a thread takes at a time: 8 or more, so that handing them over costs next to nothing.

    Args:
        image_shape: `(height, width, channels)`.

    Example:

    >>> images_a_call((224, 224, 3)), images_a_call((64, 64, 3))
    (8, 16)
    """
    return max(8, images_in_cache(image_shape))


def run_in_slices(run, pixels, batch_size):
    """Run a network on a batch, slice by slice.

    Args:
        run: Function from float32 pixels `(batch_size, height, width, channels)` to features `(batch_size, features)`.
        pixels: `(n, height, width, channels)`, of any dtype. A short last slice is padded with zeros, since some
            runtimes compile code for each shape they see.
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
