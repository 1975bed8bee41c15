"""Check the exercises in `04_freezing_and_forgetting`."""

import numpy as np

from tlkeras.teaching.exercises import answers, beaten_majority, require, require_choice, require_splits, tried

QUIZ = {
    "a": (
        False,
        "At a learning rate of zero BatchNorm's moving statistics still move, and the old classes are forgotten with "
        "them.",
    ),
    "b": (
        True,
        "The frozen backbone gives the old head the same features as before, and the new head learns next to it.",
    ),
    "c": (False, "A high rate erases within a few steps. What counts is how far the weights move, not for how long."),
}


def exercise_1(prediction, one_block, two_blocks):
    """Compare the guess with the measured fractions of predictions kept. Near a boundary, accept both guesses."""
    choices = ("lower", "higher", "same")
    require_choice(prediction, choices)
    one, two = float(np.mean(one_block)), float(np.mean(two_blocks))
    holds = {"lower": one < two, "higher": one > two, "same": abs(one - two) < 0.05}
    require(
        holds[prediction],
        f"one block kept {one:.0%} of the answers, two blocks {two:.0%}. What does a block that is frozen still give "
        "the layers above it?",
    )
    return f"One block kept {one:.0%} of the answers, two blocks {two:.0%}: what is frozen cannot drift."


def exercise_2(moved):
    """Call the learner's function with small models, each with different parts frozen."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 3, (16, 4)).astype("float32"), rng.integers(0, 2, 16)
    for frozen in ((), ("first",), ("first", "norm"), ("norm",), ("norm", "last")):
        named = tried(moved, _small_model(frozen), x, y)
        require(not isinstance(named, str) and np.iterable(named), f"return a set of names. Received: {named!r}")
        wrong = ({"first", "norm", "last"} - set(frozen)) ^ set(named)
        names = " and ".join(sorted(map(str, wrong)))
        require(not wrong, f"with {' and '.join(frozen) or 'nothing'} frozen, your answer is wrong about {names}.")
    model = _small_model(("first", "last"), rate=0.0)
    require(set(tried(moved, model, x, y)) == {"norm"}, "moving statistics still change at a learning rate of zero.")
    return "Your function finds everything that moved, even moving statistics at a learning rate of zero."


def _small_model(frozen, rate=0.1):
    """Build a model of three layers, some of them frozen."""
    import keras  # `start` must silence it first

    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(2, activation="softmax", name="last"),
        ]
    )
    for layer in model.layers:
        layer.trainable = layer.name not in frozen
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", run_eagerly=True)  # for one step
    return model


def exercise_3(model, images):
    """Score the classifier on test images, and compare its frozen layers with the ImageNet weights."""
    require_splits(images)
    require(hasattr(model, "get_layer") and hasattr(model, "predict"), "my_model must be a Keras model.")
    frozen = _frozen_as_left(model)
    return (
        f"{beaten_majority(answers(model, images), images)}, and {frozen} frozen layers still have ImageNet's weights."
    )


def _frozen_as_left(model):
    """Count the frozen layers that have weights. Require ImageNet weights in all of these layers, and a frozen stem."""
    from tlkeras.backbones.efficientnet_lite import EfficientNetLite0  # imports Keras

    mine = {layer.name: layer for layer in model._flatten_layers()}
    frozen = 0
    for layer in EfficientNetLite0(include_top=False, input_shape=(32, 32, 3)).layers:
        if layer.weights and layer.name in mine and not mine[layer.name].trainable_weights:
            pairs = zip(layer.get_weights(), mine[layer.name].get_weights(), strict=True)
            require(all(np.array_equal(a, b) for a, b in pairs), f"the frozen layer {layer.name} has changed.")
            frozen += 1
    stem = mine.get("stem_conv")
    require(stem is not None, "my_model is not built on efficientnet_lite0. It has no layer stem_conv.")
    require(not stem.trainable_weights, "the stem trains. tlkeras.freeze(my_model) freezes it.")
    return frozen
