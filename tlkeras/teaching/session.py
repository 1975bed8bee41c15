"""Start a notebook: with quiet logs, exact and repeatable computations, and sharp figures."""

import logging
import os
import sys

from tlkeras.utils.stderr import silent_stderr


def start(seed=0):
    """Start a notebook: silence logs, compute exactly, set all seeds, and draw figures below their cells.

    Call this function before importing Keras, because backends read these settings when they are loaded.

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
    _use_one_blas_thread()
    _draw_inline()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}; seed {seed}")


def _use_one_blas_thread():
    """Compute linear algebra in one thread: on the small problems of a lesson, threads spend their time waiting."""
    import scipy.linalg  # noqa: F401  SciPy brings a BLAS of its own, which must be loaded to be limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


def _draw_inline():
    """Make IPython display high-resolution figures in the colors of the course. Do nothing outside IPython."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    import matplotlib

    from tlkeras.evaluation.illustration import GRID, HUES, SOFT, Illustration

    shell.run_line_magic("matplotlib", "inline")
    shell.run_line_magic("config", "InlineBackend.figure_formats = ['retina']")  # two pixels for each of the page
    # Figures of tlkeras bring their own resolution and text alternative, which IPython's formatter would replace.
    shell.display_formatter.formatters["image/png"].for_type(Illustration, lambda figure: None)
    matplotlib.rcParams.update(
        {
            "figure.dpi": 96,
            "figure.figsize": (7, 3.6),
            "figure.facecolor": "white",  # on dark pages too
            "axes.prop_cycle": matplotlib.cycler(color=HUES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 11.5,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": SOFT,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "lines.linewidth": 2,
        }
    )
