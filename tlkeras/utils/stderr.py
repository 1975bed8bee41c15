"""The standard streams: TensorFlow writes to them before it can be asked not to."""

import os
import sys
from contextlib import contextmanager


@contextmanager
def silent_stderr():
    """Sends all that is written to stderr within a `with` block nowhere, native code's chatter included.

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
