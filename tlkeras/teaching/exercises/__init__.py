"""Checks of the notebooks' exercises: they test what an answer does, so any right one passes.

The checks of notebook NN are the functions `exercise_1` to `exercise_3` of the module `notebook_NN`. Each takes the
answer, and perhaps what the notebook has measured; it calls `require` for every property and returns a sentence that
says what the right answer shows.
"""

import importlib

import numpy as np

from tlkeras.errors import InputError
from tlkeras.teaching.session import wrapped


class NotYet(AssertionError):
    """Raised by `check` for an answer that is not right yet; the message says what is missing, not the solution."""

    def _render_traceback_(self):
        """IPython shows this instead of a traceback, which would tell a learner nothing."""
        return [f"Not yet: {self}"]


def check(number, answer, *context):
    """Checks the answer to an exercise.

    Args:
        number: Of notebook and exercise, such as `"01.2"`.
        answer: A value, or a function that is tried out.
        *context: What the notebook measured, as its cell gives it.

    Raises:
        NotYet: The answer is not right yet.
        InputError: There is no such exercise.

    Example:

    >>> from tlkeras.teaching import check
    >>> check("01.2", ...)
    Traceback (most recent call last):
    tlkeras.teaching.exercises.NotYet: replace the ... by your answer, run that cell, then this one.
    """
    notebook, _, exercise = number.partition(".")
    try:
        module = importlib.import_module(f"{__name__}.notebook_{notebook}")
        examine = getattr(module, f"exercise_{exercise}")
    except (ImportError, AttributeError) as error:
        raise InputError(f"There is no exercise {number!r}; they are called like '01.2'.") from error
    require(answer is not ..., "replace the ... by your answer, run that cell, then this one.")
    print(wrapped(f"{number} is right. {examine(answer, *context)}"))


def require(holds, message):
    """Raises `NotYet` with the message unless the property holds."""
    if not holds:
        raise NotYet(message)


def tried(function, *arguments):
    """Calls a learner's function; what it raises, or a `...` that it returns, becomes a `NotYet`."""
    require(callable(function), f"the answer is a function. Received: {function!r}")
    try:
        result = function(*arguments)
    except Exception as error:  # whatever a learner's code raises
        raise NotYet(f"your function raised {type(error).__name__}: {error}") from error
    require(result is not ... and result is not None, "your function does not return anything yet.")
    return result


def require_splits(images):
    """Refuses what is not splits of `load_images`, with test images that are apart from the others."""
    from tlkeras.data.dataset import ImageSplits  # here, since Keras comes with it before `start` has quieted it

    require(isinstance(images, ImageSplits), "splits as tlkeras.load_images gives them are wanted.")
    require(len(images.test) > 0, "there are no test images; leave test_size above 0.")
    groups = [set(part.groups.tolist()) for part in (images.train, images.validation, images.test)]
    require(sum(map(len, groups)) == len(set.union(*groups)), "near-duplicates lie in two of the splits.")


def answers(model, images):
    """The class that a Keras model finds likeliest for each test image."""
    return np.argmax(tried(lambda pixels: model.predict(pixels, verbose=0), images.test.read()), axis=-1)


def beaten_majority(predicted, images):
    """Demands answers to the test images that beat the majority class, and says how good they are."""
    accuracy = float(np.mean(predicted == images.test.labels))
    majority = float(np.mean(images.test.labels == np.bincount(images.train.labels).argmax()))
    require(accuracy > majority, f"{accuracy:.2f} on test images does not beat the majority class, {majority:.2f}.")
    return f"{accuracy:.2f} of {len(images.test)} test images, where the majority class gives {majority:.2f}"
