"""Run a network in Keras, with the current backend and device."""

import keras
import numpy as np

PRECISIONS = (None, "float32", "bfloat16", "float16")

#: Layers that stay in float32, because lower precision would round pixels and sums over many positions.
_FLOAT32 = (
    keras.layers.InputLayer,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.UnitNormalization,
)


class KerasEngine:
    """Engine that runs a network in Keras.

    Args:
        network: `keras.Model` that maps pixels to features, or to several vectors, which are concatenated.
        precision: `"bfloat16"` or `"float16"` to compute in this precision on GPUs with tensor cores; weights, pixels
            and sums stay in float32. Defaults to None, which leaves the network unchanged.

    Example:

    >>> network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    >>> KerasEngine(network)(np.ones((2, 4, 4, 3), "uint8"))
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)
    """

    name = "keras"
    batch_size = None

    def __init__(self, network, precision=None):
        self.network = network if precision in (None, "float32") else lower_precision(network, precision)

    def __call__(self, pixels):
        """Compute features, float32 `(n, features)`, from pixels `(n, height, width, channels)`."""
        answers = self.network.predict_on_batch(pixels)
        if isinstance(answers, list | tuple):
            answers = np.concatenate([np.asarray(one, "float32") for one in answers], axis=1)
        return np.asarray(answers, "float32")


def lower_precision(network, precision):
    """Return a copy of a network that computes in bfloat16 or float16.

    Args:
        network: A functional or Sequential `keras.Model`.
        precision: `"bfloat16"` or `"float16"`.

    Returns:
        `keras.Model` with the weights of `network`.
    """

    def convert(layer):
        config = layer.get_config()
        if not isinstance(layer, _FLOAT32):
            config["dtype"] = f"mixed_{precision}"
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(network, clone_function=convert)
    copy.set_weights(network.get_weights())
    return copy
