"""Augmentation layers that core Keras lacks; `import tlkeras` registers them for `keras.models.load_model`.

KerasCV has layers with the same names. Those are not used here because they are also active at inference, hide the
state of their random number generators, and need TensorFlow. In addition, KerasCV's `RandomJpegQuality` returns pixels
in [0, 1] for input in [0, 255].
"""

from tlkeras.augment.layers.channel_shuffle import RandomChannelShuffle
from tlkeras.augment.layers.fourier_mix import FourierMix
from tlkeras.augment.layers.grid_mask import GridMask
from tlkeras.augment.layers.jpeg_quality import RandomJpegQuality

__all__ = ["FourierMix", "GridMask", "RandomChannelShuffle", "RandomJpegQuality"]
