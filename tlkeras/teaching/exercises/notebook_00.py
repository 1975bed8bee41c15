"""Check the exercise in `00_setup`."""

from tlkeras.teaching.exercises import require


def exercise_1(count, images):
    """Require the number of images of one class."""
    right = int(images.counts()[images.class_names.index("bug")])
    require(count != len(images), f"{count} is the number of all drawings. Count those of one class.")
    require(count == right, f"{count!r} is not the number of drawings of bugs.")
    return (
        "With so few, accuracies come with an interval: the range in which the true value probably lies (notebook 03)."
    )
