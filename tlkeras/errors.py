"""Report problems with one exception class, and with warnings that point to a line of the user's code."""

import sys
import warnings

#: Packages whose frames a warning skips: tlkeras, and packages that call it.
_BETWEEN = {"tlkeras", "keras", "sklearn"}


class InputError(ValueError):
    """Error for unusable input; the message says what was received and what is accepted.

    It is a `ValueError`, so code that knows nothing about tlkeras can handle it. On the command line, it results in
    exit status 2.

    Example:

    >>> from tlkeras.errors import InputError
    >>> issubclass(InputError, ValueError)
    True
    """


def first_line(error: BaseException) -> str:
    r"""Return the first line of another library's error message, or the type of the error if it has no message.

    Example:

    >>> first_line(ValueError("Unknown layer.\nReceived: ...")), first_line(KeyError())
    ('Unknown layer.', 'KeyError')
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__


def warn(text: str) -> None:
    """Issue a warning that points to the line that called tlkeras, directly or through Keras or scikit-learn.

    By default, Python shows a warning only once for each such line.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)
