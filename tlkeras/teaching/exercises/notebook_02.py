"""Check the exercises in `02_what_the_network_sees`."""

import numpy as np

from tlkeras.teaching.exercises import require, tried
from tlkeras.teaching.looking import neighbors_agree

QUIZ = {
    "a": (False, "For classes they beat the stem. For ink, the figure above shows the opposite."),
    "b": (
        True,
        "The stem knew it better than the top here, and only a comparison can show whether it does for your scans.",
    ),
    "c": (False, "The head predicts a thousand classes of photos, and none of them is about ink."),
}


def exercise_1(prediction, random):
    """Require a guess within ten percentage points of the measurement."""
    require(isinstance(prediction, int | float) and 0 <= prediction <= 100, "the answer must be a percentage.")
    require(abs(prediction - 100 * random) <= 10, f"it is {random:.0%}, between chance and the pretrained network.")
    return (
        f"It is {random:.0%}, more than by chance: layers with random weights keep ink and color. What the pretrained "
        "network reaches beyond that, it learned from photos."
    )


def exercise_2(neighbors):
    """Compare the learner's neighbors with those computed here, for feature vectors that differ in length."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(9, 4)) * rng.uniform(0.1, 10, (9, 1))
        result = [int(number) for number in np.ravel(tried(neighbors, features, seed, 3))]
        require(seed not in result, "the query itself is among its neighbors. Leave it out.")
        require(len(result) == 3, f"return k numbers. Received: {len(result)} for k=3.")
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        expected = [i for i in np.argsort(-(unit @ unit[seed])) if i != seed][:3]
        lengths = np.argsort(-(features @ features[seed]))
        require(
            result != [i for i in lengths if i != seed][:3] or result == expected,
            "long rows win. Divide each row by its length first.",
        )
        require(sorted(result) == sorted(map(int, expected)), "these are not the most similar images.")
        require(result == [int(i) for i in expected], "these are the right images, but not in order of similarity.")
    return "Your function finds the most similar images, however long their rows of features are."


def exercise_3(features, images):
    """Measure how often an image has the label of its nearest neighbor from a different group."""
    features = np.asarray(features, "float64")
    shape = features.ndim == 2 and len(features) == len(images)
    require(shape, f"there must be one row of features per image, {len(images)}. Received: shape {features.shape}.")
    require(np.isfinite(features).all(), "some features are not finite numbers.")
    same = neighbors_agree(features, images)
    chance = np.sum((np.bincount(images.labels) / len(images)) ** 2)
    require(same >= 2 * chance, f"{same:.0%} of the neighbors have the same label, and {chance:.0%} would by chance.")
    return f"{same:.0%} of the neighbors have the same label. By chance it would be {chance:.0%}."
