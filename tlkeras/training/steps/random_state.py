"""Read and restore all random states that a training run uses."""

import random
import sys
from contextlib import contextmanager

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR


@contextmanager
def random_state_kept():
    """Restore the random states at the end of a `with` block, even after an exception."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    before = random_state()
    try:
        yield
    finally:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
        restore_random_state(before)


def random_state():
    """Return the random states of Python, NumPy, Keras and, if in use, torch and eager TensorFlow.

    The seeds of layers are not included, since they are variables of the model.

    Returns:
        A dict for `restore_random_state`, which can be stored as JSON.
    """
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global one is meant)
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    state = {"python": random.getstate(), "numpy": [kind, keys.tolist(), *rest], "keras": None}
    if generator is not None:
        state["keras"] = keras.ops.convert_to_numpy(generator.state).tolist()
    if torch := sys.modules.get("torch"):
        state["torch"] = torch.get_rng_state().tolist()
        if torch.cuda.is_available():
            state["cuda"] = [one.tolist() for one in torch.cuda.get_rng_state_all()]
    if eager := _eager_tensorflow():
        state["tensorflow"] = eager.getstate()
    return state


def restore_random_state(state):
    """Restore the random states that `random_state` returned, even after a round trip through JSON."""
    random.setstate(_as_tuples(state["python"]))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, "uint32"), *rest))  # noqa: NPY002
    if state["keras"] is not None:
        generator = keras.src.random.seed_generator.global_seed_generator()
        generator.state.assign(np.array(state["keras"], "uint32"))
    torch = sys.modules.get("torch")
    if torch and "torch" in state:
        torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if torch and "cuda" in state:
        torch.cuda.set_rng_state_all([torch.tensor(one, dtype=torch.uint8) for one in state["cuda"]])
    eager = _eager_tensorflow()
    if eager and "tensorflow" in state:
        eager.setstate(_as_tuples(state["tensorflow"]))


def _as_tuples(state):
    """Convert the lists in a `random.Random` state that was stored as JSON back to tuples."""
    version, numbers, rest = state
    return version, tuple(numbers), rest


def _eager_tensorflow():
    """Return the generator from which `tf.data` shuffles draw their seeds, or None if there is none."""
    module = sys.modules.get("tensorflow.python.eager.context")
    return getattr(module.context(), "_rng", None) if module else None
