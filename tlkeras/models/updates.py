"""Find frozen layers that update their own weights during training, since `trainable` flags do not stop this."""

import keras
import numpy as np

from tlkeras.models.layer_tree import descendants, own_weights

#: Packages whose layers do not change when they are frozen, except for `SpectralNormalization`.
_STILL = ("keras", "keras_hub", "keras_cv", "tlkeras")


def self_updating(model: keras.Model) -> list[str]:
    """Return the names of frozen layers that assign to their own weights in every training step.

    Keras' `SpectralNormalization` does this, and custom layers that keep statistics may do it too. Models with custom
    layers are tested on a batch of zeros, in a scope in which no variable changes. If a model cannot be called this
    way, its layers are assumed not to update themselves.

    Args:
        model: A built Keras model.
    """
    frozen = [layer for layer in descendants(model) if not layer.trainable and layer._non_trainable_variables]
    spectral = [layer for layer in frozen if isinstance(layer, keras.layers.SpectralNormalization)]
    own = [layer for layer in frozen if type(layer).__module__.partition(".")[0] not in _STILL]
    if own:
        assigned = _assigned(model)
        own = [layer for layer in own if any(id(weight) in assigned for weight in own_weights(layer))]
    return [layer.name for layer in (*spectral, *own)]


def _assigned(model: keras.Model) -> set[int]:
    """Return the `id` of each variable that a call in training mode assigns to."""
    with keras.StatelessScope() as scope:
        try:
            zeros = [
                np.zeros([2, *(size or 32 for size in tensor.shape[1:])], keras.backend.standardize_dtype(tensor.dtype))
                for tensor in model.inputs
            ]
            model(zeros[0] if len(zeros) == 1 else zeros, training=True)
        except Exception:  # the zeros may not fit the model, and a missing warning is better than an error
            return set()
        return {id(weight) for weight in model.weights if scope.get_current_value(weight) is not None}
