"""Reproduce the loss of detail caused by JPEG compression, using tensor operations and without encoding any image."""

from typing import Any

import keras
import numpy as np

from tlkeras.augment.layers.random_change import RandomChange, check_interval

# The quantization tables of the standard (ITU-T T.81, annex K) for quality 50, and the JFIF color conversion.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8,) * 4,
)  # fmt: skip
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], "float32").T
_FROM_YCC = np.linalg.inv(_TO_YCC).astype("float32")
# The orthonormal discrete cosine transform of eight values, as a matrix.
_DCT = (np.cos(np.pi / 16 * np.outer(np.arange(8), 2 * np.arange(8) + 1)) / 2).astype("float32")
_DCT[0] /= np.sqrt(2, dtype="float32")


@keras.saving.register_keras_serializable("tlkeras")
class RandomJpegQuality(RandomChange):
    """Layer that removes detail from some images during training, as JPEG compression does.

    Use it for models that will see images that have been saved or sent many times. The loss of detail, including the
    halved resolution of colors, is computed with tensor operations, so the layer works on every backend and on a GPU.
    It does not encode any image.

    Args:
        rate: Fraction of images that are compressed, in [0, 1]. Defaults to 0.5.
        quality: Lowest and highest quality, in [1, 100], on the scale of `PIL.Image.save`. Defaults to (20, 80).
        seed: Seed for the random numbers. Defaults to `None`, which draws a random seed.

    Example:

    >>> import numpy as np, tlkeras
    >>> noise = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))
    >>> changed = tlkeras.RandomJpegQuality(rate=1.0, quality=(10, 10))(noise, training=True)
    >>> bool(np.std(changed) < noise.std())
    True
    """

    def __init__(self, rate: float = 0.5, quality: tuple[float, float] = (20, 80), seed: int | None = None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.quality = check_interval("quality", quality, 1, 100)

    def change(self, images: Any) -> Any:
        return _compressed(images, self.draw(images, *self.quality))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quality": self.quality}


def _compressed(images: Any, quality: Any) -> Any:
    ops = keras.ops
    height, width = images.shape[1:3]
    # Pad to whole blocks of 16 pixels by repeating the last row and column, as libjpeg does.
    for axis, length in ((1, height), (2, width)):
        inside = np.minimum(np.arange(-(-length // 16) * 16), length - 1)
        images = ops.take(images, inside, axis=axis)
    scale = ops.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    gray = images.shape[-1] == 1
    colors = ops.round(images) if gray else ops.matmul(ops.round(images), _TO_YCC)
    light = _coarse(colors[..., :1] - 128, _LUMINANCE, scale)
    if gray:
        return ops.clip(ops.round(light[:, :height, :width] + 128), 0, 255)
    _, rows, columns, _ = colors.shape
    halved = ops.mean(ops.reshape(colors[..., 1:], (-1, rows // 2, 2, columns // 2, 2, 2)), axis=(2, 4))
    tint = _coarse(halved, _CHROMINANCE, scale)
    tint = ops.image.resize(tint, (rows, columns), "bilinear", data_format="channels_last")
    pixels = ops.matmul(ops.concatenate([light + 128, tint], axis=-1), _FROM_YCC)
    return ops.clip(ops.round(pixels[:, :height, :width]), 0, 255)


def _coarse(plane: Any, table: tuple, scale: Any) -> Any:
    """Round the DCT coefficients of each block of 8 x 8 pixels to multiples of the scaled table's entries."""
    ops = keras.ops
    _, height, width, channels = plane.shape
    blocks = ops.reshape(plane, (-1, height // 8, 8, width // 8, 8, channels))
    blocks = ops.einsum("ui,nhiwjc,vj->nhwcuv", _DCT, blocks, _DCT)
    table = ops.convert_to_tensor(table, "float32")
    steps = ops.floor((table * ops.reshape(scale, (-1, 1, 1, 1, 1, 1)) + 50) / 100)
    steps = ops.clip(steps, 1, 255)
    blocks = ops.round(blocks / steps) * steps
    return ops.reshape(ops.einsum("ui,nhwcuv,vj->nhiwjc", _DCT, blocks, _DCT), (-1, height, width, channels))
