"""Check the exercise of `00_check_your_setup`."""

from tlkeras.teaching.exercises import require


def exercise_1(count, images):
    """Require the number of test images."""
    require(count == len(images.test), f"{count!r} is not the number of images in images.test.")
    return "From here on, test images choose nothing. They measure, once."
