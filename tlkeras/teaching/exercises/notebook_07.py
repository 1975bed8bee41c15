"""Check the exercises in `07_augmentation`."""

import numpy as np

from tlkeras.teaching.exercises import require, require_choice, require_splits, tried

QUIZ = {
    "a": (
        False,
        "Upright test images cannot show whether a flipped image still deserves its label. b and d do not survive it.",
    ),
    "b": (True, "What a label means decides what is allowed, and a measurement decides what is used."),
    "c": (False, "Drawings face left or right as well. The question is what the label means, not what made the image."),
}

#: Settings of a policy that can be on. `fill` always has a value.
_SETTINGS = (
    "horizontal_flip", "vertical_flip", "any_direction", "small_rotation", "scale", "crop", "light", "color", "gray",
    "blur", "noise", "erase",
)  # fmt: skip


def exercise_1(prediction, differences):
    """Compare the guess about mirrored digits with the differences over independent sets of digits."""
    from scipy import stats

    verdicts = ("worse", "the same", "better")
    require_choice(prediction, verdicts)
    differences = np.asarray(differences, float)
    mean, worse, better = differences.mean(), int((differences < 0).sum()), int((differences > 0).sum())
    holds = {"worse": mean < 0, "the same": min(worse, better) > len(differences) / 4, "better": mean > 0}
    counted = f"mirrored digits were worse in {worse} of {len(differences)} sets and better in {better}"
    require(holds[prediction], f"{counted}. What would a 2 in a mirror teach about a 2?")
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    interval = f"95% interval {100 * (mean - half):+.1f} to {100 * (mean + half):+.1f}"
    return (
        f"{counted[0].upper()}{counted[1:]}; on average accuracy changed by {100 * mean:+.1f} points, {interval}. The "
        "classifier is shown shapes that nobody writes, and some of them look like another digit."
    )


def exercise_2(policy):
    """Require a policy for traffic signs: no flips; rotation, scaling and brightness changes; and a reason for each."""
    from tlkeras.augment.augmentation import augmentation
    from tlkeras.augment.policies import AugmentationPolicy

    require(
        isinstance(policy, AugmentationPolicy), f"the answer must be a tlkeras.AugmentationPolicy. Received: {policy!r}"
    )
    require(not policy.horizontal_flip, "a mirror turns 'keep left' into 'keep right'.")
    require(
        not policy.vertical_flip and not policy.any_direction, "signs are upright, and their arrows have a direction."
    )
    require(policy.small_rotation <= 30, f"a sign that leans by {policy.small_rotation} degrees has fallen.")
    missing = [name for name in ("scale", "light") if not getattr(policy, name)]
    require(not missing, f"distance and weather vary, but these settings are off: {', '.join(missing)}.")
    needed = ["horizontal_flip", *(name for name in _SETTINGS if getattr(policy, name))]
    unexplained = [name for name in needed if not policy.why.get(name)]
    require(not unexplained, f"`why` has no reason for: {', '.join(unexplained)}.")
    return f"{len(augmentation(policy))} layers, each with its reason, and none that reverses an arrow."


def exercise_3(augmentation, symmetries, images):
    """Check that the layers preserve image shape and range, and include no flip that `check_symmetry` calls unsafe."""
    import keras

    from tlkeras.checks.symmetry import Symmetry

    require_splits(images)
    tested = isinstance(symmetries, list | tuple) and all(isinstance(one, Symmetry) for one in symmetries)
    require(tested and symmetries, "my_symmetries must be the result of tlkeras.check_symmetry.")
    pixels = images.train.take(np.arange(min(4, len(images.train)))).read().astype("float32")
    seen = keras.ops.convert_to_numpy(tried(lambda x: augmentation(x, training=True), pixels))
    require(seen.shape == pixels.shape, f"images of shape {pixels.shape[1:]} came out as {seen.shape[1:]}.")
    require(seen.min() > -1 and seen.max() < 256, f"pixels left [0, 255]: {seen.min():.0f} to {seen.max():.0f}.")
    layers = getattr(augmentation, "layers", [augmentation])
    modes = {layer.mode for layer in layers if isinstance(layer, keras.layers.RandomFlip)}
    for one in symmetries:
        used = any(one.name.removesuffix("_flip") in mode for mode in modes)
        require(not used or one.verdict != "unsafe", f"{one}, and your augmentation uses it.")
    return "; ".join(f"{one.name} is {one.verdict}" for one in symmetries) + ". Your layers agree."
