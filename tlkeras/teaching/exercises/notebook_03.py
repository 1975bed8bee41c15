"""Check the exercises in `03_feature_extraction`."""

import numpy as np

from tlkeras.teaching.exercises import beaten_majority, require, require_choice, require_splits, tried

QUIZ = {
    "a": (False, "A difference of two in 100 images is within chance: another split may well reverse the order."),
    "b": (True, "One split is one draw. Several shared splits and the interval of the difference tell more."),
    "c": (False, "That cannot be shown, least of all by one split. There may be a difference that goes undetected."),
}


def exercise_1(prediction, few, many):
    """Compare the guess with the ratio of the simulated smallest detectable differences."""
    places = ("a quarter", "half", "the same")
    require_choice(prediction, places)
    ratio = float(np.mean(many) / np.mean(few))
    nearest = places[int(np.argmin(np.abs(np.log([0.25, 0.5, 1]) - np.log(ratio))))]
    require(prediction == nearest, f"it is {ratio:.2f} times as large with four times as many images.")
    return f"It is {ratio:.2f} times as large. Each halving costs four times as many images."


def exercise_2(probe_at):
    """Call the learner's function with two small image sizes, and compare the results with a measurement made here."""
    accuracy = tried(probe_at, 64)
    require(np.isscalar(accuracy) and 0 <= accuracy <= 1, f"an accuracy must be in [0, 1]. Received: {accuracy!r}")
    require(accuracy > 0.25, f"{accuracy:.2f} at 64 x 64 is too low. Do features and labels match?")
    require(accuracy < 0.85, f"{accuracy:.2f} at 64 x 64 is too good. Is it measured on the training images?")
    here = measured_at(64)
    apart = abs(accuracy - here) <= 0.03  # other splits may have been drawn
    require(apart, f"{accuracy:.0%} at 64 x 64 is not what three splits give here, {here:.0%}. Is `side` used?")
    smaller = tried(probe_at, 32)
    require(smaller != accuracy, f"{accuracy:.1%} at 64 x 64, and exactly the same at 32 x 32. Is `side` used?")
    return f"At 64 x 64 the probe is right for {accuracy:.0%} of the test images."


def measured_at(side):
    """Return the mean accuracy of a linear probe on three splits of the drawings, at a given image size."""
    from tlkeras import linear_probe
    from tlkeras.teaching import lab

    images = lab.drawings(side)
    return lab.scores(linear_probe, lab.features(images), images, lab.splits(images, 3)).mean()


def exercise_3(pipeline, images):
    """Score the pipeline on test images, which must not overlap the other images."""
    require_splits(images)
    require(hasattr(pipeline, "predict"), "my_pipeline must be a fitted pipeline with `predict`.")
    return f"{beaten_majority(tried(pipeline.predict, images.test.paths), images)}."
