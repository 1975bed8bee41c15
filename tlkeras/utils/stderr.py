"""Silence the output of other packages: everything on stderr, or only the output of their Python code."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard everything that is written to stderr inside a `with` block, including output from native code.

    TensorFlow writes to stderr before it can be configured not to.

    Example:

    >>> with silent_stderr():
    ...     import keras
    """
    try:
        sys.stderr.flush()
        stderr = os.dup(2)
    except (AttributeError, OSError):  # no such stream
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def silent_package() -> Iterator[None]:
    """Discard prints, logs and warnings of Python code inside a `with` block; errors are raised as usual.

    Example:

    >>> with silent_package():
    ...     print("Converting ...")
    ...     warnings.warn("not for our users")
    """
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
