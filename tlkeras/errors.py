"""The one error that means "what you gave cannot be used": the command line turns it into exit status 2."""


class InputError(ValueError):
    """Raised for input that cannot be used: the message names it and says what would do.

    A `ValueError`, so code that knows nothing of tlkeras handles it as usual.

    Example:

    >>> from tlkeras.errors import InputError
    >>> issubclass(InputError, ValueError)
    True
    """
