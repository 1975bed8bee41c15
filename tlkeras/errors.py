"""How a user is told that something is wrong: an error of a kind of its own, and warnings at the user's line."""

import sys
import warnings

#: Whose frames a warning passes over: ours, and those through which ours are called.
_BETWEEN = {"tlkeras", "keras", "sklearn"}


class InputError(ValueError):
    """Raised for input that cannot be used: the message names it and says what would do.

    A `ValueError`, so code that knows nothing of tlkeras handles it as usual; the command line turns it into exit
    status 2.

    Example:

    >>> from tlkeras.errors import InputError
    >>> issubclass(InputError, ValueError)
    True
    """


def first_line(error: BaseException) -> str:
    r"""What an error of another library says, in a line; its kind where it says nothing.

    Example:

    >>> first_line(ValueError("Unknown layer.\nReceived: ...")), first_line(KeyError())
    ('Unknown layer.', 'KeyError')
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__


def warn(text: str) -> None:
    """Warns at the line that called us, directly or through Keras or scikit-learn, however deep we are by then.

    Python shows a warning once for each such line.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)
