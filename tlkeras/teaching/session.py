"""Start a notebook, and print its findings."""

import logging
import os
import sys
import textwrap

from tlkeras.utils.stderr import silent_stderr


def start(seed=0):
    """Start a notebook: silence logs, compute exactly, set all seeds, and draw figures below their cells.

    Call it before Keras is imported, because backends read these settings when they are loaded.

    Args:
        seed: Seed for Python, NumPy and the backend. Defaults to 0.

    Example:

    >>> start()  # doctest: +ELLIPSIS
    Keras ... on ...; seed 0
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Outputs should not depend on the machine. By default, GPUs round the factors of float32 products to 11 bits.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    with silent_stderr():
        import keras
    logging.getLogger("tensorflow").setLevel("ERROR")  # it prints a warning for every fifth model that predicts
    keras.utils.set_random_seed(seed)
    _draw_inline()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}; seed {seed}")


def finding(text):
    """Print what a figure or a number means, so that it can be understood without the picture.

    Args:
        text: One or two sentences. Take numbers in them from variables.

    Example:

    >>> finding("Three of four are right.")
    Finding: Three of four are right.
    """
    print(textwrap.fill(f"Finding: {text}", 88))


def _draw_inline():
    """Make IPython show figures as small PNGs. Do nothing outside IPython."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    import matplotlib

    shell.run_line_magic("matplotlib", "inline")
    matplotlib.rcParams["figure.dpi"] = 80
