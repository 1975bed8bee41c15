"""Checks of `01_feature_extraction`."""

import numpy as np

from tlkeras.teaching.exercises import beaten_majority, require, require_splits, tried


def exercise_1(prediction, random_weights, majority, pretrained):
    """Where random weights stand, judged by what was measured over seeds; within a little of the way is level."""
    places = ("majority", "between", "pretrained")
    require(prediction in places, f"the answer is one of {', '.join(map(repr, places))}. Received: {prediction!r}")
    found, low, high = map(np.mean, (random_weights, majority, pretrained))
    share = (found - low) / (high - low)
    holds = {"majority": share < 0.2, "between": 0 < share < 1, "pretrained": share > 0.9}
    require(holds[prediction], f"random weights gave {found:.2f}; compare it with both ends.")
    return (
        f"Random weights reach {found:.2f}, the majority class {low:.2f}, ImageNet's weights {high:.2f}: of the way "
        f"from one to the other the architecture goes {max(share, 0):.0%}, and what ImageNet taught it the rest."
    )


def exercise_2(probe_at):
    """Tries the function at a small size."""
    accuracy = tried(probe_at, 64)
    require(
        np.isscalar(accuracy) and 0 <= accuracy <= 1, f"an accuracy is a number from 0 to 1. Received: {accuracy!r}"
    )
    require(accuracy > 0.25, f"{accuracy:.2f} at 64 x 64 is too little: do features and labels belong together?")
    require(accuracy < 0.85, f"{accuracy:.2f} at 64 x 64 is too good: is it measured on the training images?")
    return f"At 64 x 64 the probe reaches {accuracy:.2f} on validation images."


def exercise_3(pipeline, images):
    """Measures the pipeline on test images that must be apart from the others."""
    require_splits(images)
    require(hasattr(pipeline, "predict"), "my_pipeline is a fitted pipeline with `predict`.")
    return f"{beaten_majority(tried(pipeline.predict, images.test.paths), images)}."
