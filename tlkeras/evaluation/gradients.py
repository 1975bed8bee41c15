"""Gradients with respect to a tensor, computed by the current Keras backend."""

import keras
from keras import ops


def gradient(function, x):
    """Differentiate the sum of a function's outputs.

    Args:
        function: Function that maps a tensor to a tensor, composed of `keras.ops` and Keras layers.
        x: Float tensor or array at which the gradient is taken.

    Returns:
        Tensor with the shape of `x`; zeros where the output does not depend on `x`.

    Example:

    >>> ops.convert_to_numpy(gradient(lambda x: x**2, [1.0, 3.0])).tolist()
    [2.0, 6.0]
    """
    return _GRADIENTS[keras.backend.backend()](lambda x: ops.sum(function(x)), ops.convert_to_tensor(x))


def _tensorflow(total, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        result = total(x)
    return tape.gradient(result, x, unconnected_gradients="zero")


def _jax(total, x):
    import jax

    return jax.grad(total)(x)


def _torch(total, x):
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        result = total(x)
        if not result.requires_grad:  # the result does not depend on `x`
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(result, x, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope


_GRADIENTS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
