"""Check the exercises in `10_few_and_dirty_labels`."""

import numpy as np

from tlkeras.teaching.exercises import require, require_choice, tried

QUIZ = {
    "a": (False, "The largest logit stays the largest, so every answer and the accuracy stay."),
    "b": (False, "Dividing all logits by the same positive number keeps their order."),
    "c": (True, "Smaller logits lie closer together, so probabilities become less extreme. The answers stay."),
    "d": (False, "The temperature acts behind the features, on the logits of the head."),
}


def exercise_1(prediction, systematic, random):
    """Compare the guess with the difference in percentage points. Near a boundary, accept both guesses."""
    places = ("lower", "higher", "about equal")
    require_choice(prediction, places)
    more = 100 * float(np.mean(systematic) - np.mean(random))
    holds = {"lower": more < -2, "higher": more > 2, "about equal": -4 < more < 4}
    require(holds[prediction], f"the difference was {more:+.1f} points. Read the sentence above.")
    return (
        f"The difference was {more:+.1f} points on all classes together. Its interval is above. It also matters "
        "which labels are wrong, not only how many."
    )


def exercise_2(doubtful):
    """Call the learner's function with synthetic probabilities. One correct label is less probable than a wrong one."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        labels, probabilities = rng.integers(0, 3, 14), rng.dirichlet(np.ones(3), 14)
        labels = np.append(labels, [0, 1])
        probabilities = np.vstack([probabilities, [0.36, 0.33, 0.31], [0.5, 0.45, 0.05]])
        own = probabilities[np.arange(16), labels]
        expected = np.flatnonzero(probabilities.argmax(axis=1) != labels)
        result = np.atleast_1d(np.asarray(tried(doubtful, labels.copy(), probabilities.copy())))
        require(result.ndim == 1 and result.dtype.kind in "iu", "return the indices of images, as integers.")
        extra = sorted(set(result.tolist()) - set(expected.tolist()))
        require(not extra, f"image {extra[0] if extra else 0} has its label as the most probable class.")
        require(len(result) == len(expected), f"{len(expected)} images are doubtful here, not {len(result)}.")
        require((np.diff(own[result]) >= 0).all(), "the images are right, but not with the least probable label first.")
    return "With probabilities from a model that has not seen the images, this is a simple check of labels."


def exercise_3(order):
    """Check the order in which images should be labeled."""
    require(hasattr(order, "order") and hasattr(order, "labels"), "my_order must come from tlkeras.label_order.")
    rows = np.asarray(order.order)
    require(len(order.paths) >= 30, f"use at least 30 images. Received: {len(order.paths)}.")
    require(len(rows) == 10, f"my_order must have ten images. Received: {len(rows)}. Pass count=10.")
    require(all(order.labels[row] is None for row in rows), "some of these images have a label already.")
    return f"Ten of {len(order.paths)} images, {order.reason}. Label them, then ask for the next ten."
