"""Record what a learner expects, and compare it with the outcome."""

from collections.abc import Sequence
from typing import Any

from tlkeras.errors import InputError
from tlkeras.teaching.showing import callout, show

_guesses: dict[str, Any] = {}


def predict(number: str, guess: Any, choices: Sequence[str] | None = None) -> None:
    """Record a guess before the answer is computed.

    Args:
        number: Name of the guess: the number of the notebook and a letter, such as `"03.a"`.
        guess: One of the choices, or a number; `...` if there is no guess yet.
        choices: Possible guesses. Defaults to None, which accepts any number.

    Raises:
        InputError: The guess is not one of the choices or, without choices, is not a number.

    Example:

    >>> predict("01.a", ..., choices=("photos", "drawings"))
    Your guess, please: replace the ... with 'photos' or 'drawings', then run this cell again.
    >>> predict("01.a", "photos", choices=("photos", "drawings"))
    Noted: photos. The answer comes below.
    """
    if guess is ...:
        _guesses.pop(number, None)
        wanted = " or ".join(map(repr, choices)) if choices else "a number"
        print(f"Your guess, please: replace the ... with {wanted}, then run this cell again.")
        return
    if choices is not None and guess not in choices:
        raise InputError(f"`guess` must be one of {', '.join(map(repr, choices))}. Received: {guess!r}.")
    if choices is None and (isinstance(guess, bool) or not isinstance(guess, int | float)):
        raise InputError(f"`guess` must be a number. Received: {guess!r}.")
    _guesses[number] = guess
    print(f"Noted: {guess}. The answer comes below.")


def outcome(number: str, truth: Any, text: str) -> None:
    """Show a recorded guess next to the outcome, with the explanation.

    Args:
        number: Name of the guess, as in `predict`.
        truth: The outcome: one of the choices of `predict`, or a number.
        text: Markdown that explains the outcome. Numbers in it should be inserted from variables.

    Example:

    >>> predict("01.b", 50, choices=None)
    Noted: 50. The answer comes below.
    >>> outcome("01.b", 72, "Percent of the test images are right.")
    Your guess: 50. What came: 72. Percent of the test images are right.
    """
    guess = _guesses.get(number)
    if guess is None:
        first = f"You made no guess. **What came:** {truth}."
        show(callout("Your guess", f"{first} {text}"))
    elif guess == truth:
        show(callout("You guessed it", f"{truth}. {text}"))
    else:
        show(callout("Your guess", f"{guess}. **What came:** {truth}. {text}"))
