"""Augmentation layers that core Keras lacks; `import tlkeras` registers them for `keras.models.load_model`.

KerasCV has layers of these names. They are not used here: they act at inference too, hide the state of their random
numbers, need TensorFlow, and `RandomJpegQuality` returns pixels in [0, 1] for pixels in [0, 255].
"""

from tlkeras.images.layers.channel_shuffle import RandomChannelShuffle
from tlkeras.images.layers.fourier_mix import FourierMix
from tlkeras.images.layers.grid_mask import GridMask
from tlkeras.images.layers.jpeg_quality import RandomJpegQuality

__all__ = ["FourierMix", "GridMask", "RandomChannelShuffle", "RandomJpegQuality"]
