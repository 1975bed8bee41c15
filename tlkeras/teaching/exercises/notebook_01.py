"""Check the exercises of `01_feature_extraction`."""

import numpy as np

from tlkeras.teaching.exercises import beaten_majority, require, require_splits, tried


def exercise_1(prediction, random_weights, majority, pretrained):
    """Compare the guess for random weights with the measurement over seeds, with some tolerance."""
    places = ("majority", "between", "pretrained")
    require(prediction in places, f"the answer must be one of {', '.join(map(repr, places))}. Received: {prediction!r}")
    random, low, high = map(np.mean, (random_weights, majority, pretrained))
    share = (random - low) / (high - low)
    holds = {"majority": share < 0.2, "between": 0 < share < 1, "pretrained": share > 0.9}
    require(holds[prediction], f"random weights reached {random:.2f}. Compare that with both ends.")
    return (
        f"Random weights reach {random:.2f}, the majority class {low:.2f}, ImageNet's weights {high:.2f}. The "
        f"architecture accounts for {max(share, 0):.0%} of that gap, and ImageNet's weights for the rest."
    )


def exercise_2(probe_at):
    """Call the function with a small size."""
    accuracy = tried(probe_at, 64)
    require(np.isscalar(accuracy) and 0 <= accuracy <= 1, f"an accuracy must lie in [0, 1]. Received: {accuracy!r}")
    require(accuracy > 0.25, f"{accuracy:.2f} at 64 x 64 is too low. Do features and labels match?")
    require(accuracy < 0.85, f"{accuracy:.2f} at 64 x 64 is too good. Is it measured on the training images?")
    return f"At 64 x 64 the probe reaches {accuracy:.2f} on validation images."


def exercise_3(pipeline, images):
    """Score the pipeline on test images that must be separate from the others."""
    require_splits(images)
    require(hasattr(pipeline, "predict"), "my_pipeline must be a fitted pipeline with `predict`.")
    return f"{beaten_majority(tried(pipeline.predict, images.test.paths), images)}."
