"""Check the exercises of the notebooks by what solutions do, so that every correct solution passes.

The checks of notebook NN are the functions `exercise_1` to `exercise_3` of the module `notebook_NN`. Each function
takes the learner's answer and, in some exercises, measurements from the notebook. It calls `require` for each property
that a correct answer has, and returns a sentence on what the correct answer shows.
"""

import importlib
import textwrap

import numpy as np

from tlkeras.errors import InputError
from tlkeras.teaching.showing import callout, show


class NotYet(AssertionError):
    """Raised by `check` for an answer that is not right yet. The message says what is missing, not the solution."""

    def _render_traceback_(self):
        """Replace IPython's traceback, which would not help a learner."""
        return [f"Not yet: {self}"]


def check(number, answer, *context):
    """Check the answer to an exercise.

    Args:
        number: Number of the notebook and number of the exercise, such as `"01.2"`.
        answer: A value, or a function that is called with small inputs.
        *context: Measurements from the notebook, passed by the cell that calls `check`.

    Raises:
        NotYet: The answer is not right yet.
        InputError: There is no exercise with this number.

    Example:

    >>> from tlkeras.teaching import check
    >>> check("01.2", ...)
    Traceback (most recent call last):
    tlkeras.teaching.exercises.NotYet: replace the ... with your answer, run that cell, then this one.
    """
    notebook, _, exercise = number.partition(".")
    try:
        module = importlib.import_module(f"{__name__}.notebook_{notebook}")
        examine = getattr(module, f"exercise_{exercise}")
    except (ImportError, AttributeError) as error:
        raise InputError(f"There is no exercise {number!r}. Exercises have numbers such as '01.2'.") from error
    require(answer is not ..., "replace the ... with your answer, run that cell, then this one.")
    print(textwrap.fill(f"{number} is right. {examine(answer, *context)}", 88))


def quiz(notebook, choice):
    """Answer the multiple-choice question of a notebook.

    The dict `QUIZ` in the notebook's module of exercises maps each letter to `(right, reason)`.

    Args:
        notebook: Number of the notebook, such as `"03"`.
        choice: Letter of the chosen answer, or `...` if none has been chosen yet.

    Raises:
        NotYet: The choice is wrong; the message says why. The reasons for all other choices stay hidden.
        InputError: The notebook has no multiple-choice question, or `choice` is not one of the letters.
    """
    try:
        answers = importlib.import_module(f"{__name__}.notebook_{notebook}").QUIZ
    except (ImportError, AttributeError) as error:
        raise InputError(f"Notebook {notebook!r} has no question. Notebooks have numbers such as '03'.") from error
    letters = ", ".join(map(repr, answers))
    require(choice is not ..., f"replace the ... with one of {letters}, then run this cell.")
    if choice not in answers:
        raise InputError(f"`choice` must be one of {letters}. Received: {choice!r}.")
    right, reason = answers[choice]
    require(right, f"({choice}) is wrong. {reason}")
    others = " ".join(f"**({letter})** {why}" for letter, (_, why) in answers.items() if letter != choice)
    show(callout(f"({choice}) is right", f"{reason} Why not the others? {others}"))


def require(holds, message):
    """Raise `NotYet` with the message unless the property holds."""
    if not holds:
        raise NotYet(message)


def require_choice(answer, choices):
    """Require the answer to be one of the choices that the exercise names."""
    require(answer in choices, f"the answer must be one of {', '.join(map(repr, choices))}. Received: {answer!r}")


def tried(function, *arguments):
    """Call a learner's function. If it raises an exception or returns `...`, raise `NotYet`."""
    require(callable(function), f"the answer must be a function. Received: {function!r}")
    try:
        result = function(*arguments)
    except Exception as error:  # whatever a learner's code raises
        raise NotYet(f"your function raised {type(error).__name__}: {error}") from error
    require(result is not ... and result is not None, "your function does not return anything yet.")
    return result


def require_splits(images):
    """Require splits returned by `load_images` whose test images do not overlap the training and validation images."""
    from tlkeras.data.dataset import ImageSplits  # imports Keras, which `start` must silence first

    require(isinstance(images, ImageSplits), "the answer must be splits, as returned by tlkeras.load_images.")
    require(len(images.test) > 0, "there are no test images. Keep test_size above 0.")
    groups = [set(part.groups.tolist()) for part in (images.train, images.validation, images.test)]
    require(sum(map(len, groups)) == len(set.union(*groups)), "two of the splits share near-duplicates.")


def answers(model, images):
    """Return the class that a Keras model predicts for each test image."""
    return np.argmax(tried(lambda pixels: model.predict(pixels, verbose=0), images.test.read()), axis=-1)


def beaten_majority(predicted, images):
    """Require a test accuracy above that of the majority class, and describe the accuracy with its interval."""
    from tlkeras.teaching.comparing import counted

    accuracy = float(np.mean(predicted == images.test.labels))
    majority = float(np.mean(images.test.labels == np.bincount(images.train.labels).argmax()))
    require(accuracy > majority, f"{accuracy:.2f} on test images does not beat the majority class, {majority:.2f}.")
    _, low, high = counted(accuracy, len(images.test))
    return (
        f"{accuracy:.2f} of {len(images.test)} test images are right (95% interval {low:.2f} to {high:.2f}), compared "
        f"with {majority:.2f} for the majority class"
    )
