"""Keeps every random state that a training run draws from, so that a trial run leaves no trace."""

import random
import sys
from contextlib import contextmanager

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR


@contextmanager
def random_state_kept():
    """Puts the random states back at the end of a `with` block, also after an exception.

    These are Python's, NumPy's, Keras' global seed generator and, if in use, those of torch and of eager TensorFlow.
    The seeds of layers are variables of their model and not touched here.
    """
    before_python, before_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global one is meant)
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    seed = None if generator is None else keras.ops.convert_to_numpy(generator.state).copy()
    torch = sys.modules.get("torch")
    before_torch = torch.get_rng_state() if torch else None
    before_cuda = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_available() else None
    eager = _eager_tensorflow()
    before_eager = eager.getstate() if eager else None
    try:
        yield
    finally:
        random.setstate(before_python)
        np.random.set_state(before_numpy)  # noqa: NPY002
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(seed)
        if torch:
            torch.set_rng_state(before_torch)
        if before_cuda is not None:
            torch.cuda.set_rng_state_all(before_cuda)
        if eager:
            eager.setstate(before_eager)


def _eager_tensorflow():
    """What seeds the shuffles of `tf.data` after `tf.random.set_seed`; None where there is none."""
    module = sys.modules.get("tensorflow.python.eager.context")
    return getattr(module.context(), "_rng", None) if module else None
