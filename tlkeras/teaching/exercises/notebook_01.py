"""Check the exercises in `01_the_whole_game`."""

import numpy as np
from scipy.stats import binomtest

from tlkeras.teaching.exercises import answers, beaten_majority, require, require_choice, require_splits, tried

QUIZ = {
    "a": (False, "No photo of ImageNet is on this machine. What the network learned from them is."),
    "b": (False, "Our classes are not among those thousand, and our model does not know their names."),
    "c": (True, "All layers below the head came with their weights. Only the head was new."),
    "d": (False, "The old head predicts a thousand classes of photos. It was replaced by one for ten classes."),
}


def exercise_1(prediction, in_color, in_gray):
    """Compare the guess with the drop in accuracy, in percentage points. Near a boundary, accept both guesses."""
    places = ("less than 5", "5 to 20", "more than 20")
    require_choice(prediction, places)
    lost = 100 * (np.mean(in_color) - np.mean(in_gray))
    holds = {places[0]: lost < 6, places[1]: 4 < lost < 22, places[2]: lost > 18}
    require(holds[prediction], f"{lost:.1f} points were lost. Run the cell above and compare.")
    images = np.size(in_color)
    if np.size(in_gray) != images or images < 2:
        return f"{lost:.1f} points were lost. Most answers survive without color."
    worse, better = (int(np.sum(np.asarray(a) > np.asarray(b))) for a, b in ((in_color, in_gray), (in_gray, in_color)))
    chance = not worse + better or binomtest(worse, worse + better).pvalue >= 0.05
    verdict = "cannot be distinguished from no change with so few images" if chance else "is more than chance"
    return (
        f"{lost:.1f} points were lost: of {images} answers, {worse} became wrong and {better} right, which {verdict}. "
        "Most answers survive without color."
    )


def exercise_2(mistakes):
    """Call the learner's function with synthetic probabilities."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        probabilities = rng.dirichlet(np.ones(4), 12)
        labels = rng.integers(0, 4, 12)
        wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
        result = np.asarray(tried(mistakes, probabilities, labels)).astype(int)
        require(result.ndim == 1, "return a list of numbers, one per mistake.")
        right = sorted(set(result.tolist()) - set(wrong.tolist()))
        require(not right, f"image {right[0] if right else 0} is classified correctly, so it is not a mistake.")
        require(len(result) == len(wrong), f"{len(wrong)} of these images are misclassified, not {len(result)}.")
        confidence = probabilities.max(axis=1)[result]
        require((np.diff(confidence) <= 0).all(), "these are the mistakes, but not from most to least confident.")
    return "Your function finds the mistakes that the model was most confident about. Look at those first."


def exercise_3(model, images):
    """Score the model on test images, which must not overlap the other images."""
    require_splits(images)
    require(hasattr(model, "predict") and hasattr(model, "layers"), "my_model must be a Keras model.")
    return f"{beaten_majority(answers(model, images), images)}."
