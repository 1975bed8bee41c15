"""How a notebook begins, and how it says what it found."""

import logging
import os
import sys
import textwrap

from tlkeras.utils.stderr import silent_stderr


def start(seed=0):
    """Begins a notebook: quiet logs, exact products, one seed for all that is random, figures drawn below their cells.

    Call it before Keras is imported, since backends decide then what they log and how exactly they compute.

    Args:
        seed: Of Python, NumPy and the backend.

    Example:

    >>> start()  # doctest: +ELLIPSIS
    Keras ... on ...; seed 0
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # What is shown should not depend on the machine: GPUs round factors of float32 products to 11 bits unless told.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    with silent_stderr():
        import keras
    logging.getLogger("tensorflow").setLevel("ERROR")  # on stdout it warns of every fifth model that predicts
    keras.utils.set_random_seed(seed)
    _draw_inline()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}; seed {seed}")


def finding(text):
    """Prints what a figure or a number means, so that it is understood without the picture.

    Args:
        text: One or two sentences; numbers in them come from variables.

    Example:

    >>> finding("Three of four are right.")
    Finding: Three of four are right.
    """
    print(wrapped(f"Finding: {text}"))


def wrapped(text):
    """Breaks a sentence into lines as wide as the cells."""
    return textwrap.fill(text, 88)


def _draw_inline():
    """Has IPython show matplotlib's figures as small PNGs; does nothing elsewhere."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    import matplotlib

    shell.run_line_magic("matplotlib", "inline")
    matplotlib.rcParams["figure.dpi"] = 80
