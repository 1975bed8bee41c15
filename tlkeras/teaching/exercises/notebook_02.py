"""Check the exercises of `02_freezing_layers`."""

import numpy as np

from tlkeras.teaching.exercises import answers, beaten_majority, require, require_splits, tried


def exercise_1(prediction, kept):
    """Compare the guess with the share of ImageNet's answers kept. Accept both guesses near a boundary."""
    places = ("forgotten", "partly", "kept")
    require(prediction in places, f"the answer must be one of {', '.join(map(repr, places))}. Received: {prediction!r}")
    share = float(np.mean(kept))
    holds = {"forgotten": share < 0.4, "partly": 0.2 < share < 0.8, "kept": share > 0.6}
    require(holds[prediction], f"the old answer was kept for {share:.2f} of the images.")
    return f"The old answer is kept for {share:.2f} of the images: the rate decides how far free layers drift."


def exercise_2(moved):
    """Call the function with small models, each with different parts frozen."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 3, (16, 4)).astype("float32"), rng.integers(0, 2, 16)
    for frozen in ((), ("first",), ("first", "norm"), ("norm",), ("norm", "last")):
        named = tried(moved, _small_model(frozen), x, y)
        require(not isinstance(named, str) and np.iterable(named), f"return a set of names. Received: {named!r}")
        wrong = ({"first", "norm", "last"} - set(frozen)) ^ set(named)
        names = " and ".join(sorted(map(str, wrong)))
        require(not wrong, f"with {' and '.join(frozen) or 'nothing'} frozen, your answer is wrong about {names}.")
    model = _small_model(("first", "last"), rate=0.0)
    require(set(tried(moved, model, x, y)) == {"norm"}, "at a rate of zero moving statistics still move.")
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
    """Score the classifier on test images, and compare its frozen layers with ImageNet's weights."""
    require_splits(images)
    require(hasattr(model, "get_layer") and hasattr(model, "predict"), "my_model must be a Keras model.")
    frozen = _frozen_as_left(model)
    return (
        f"{beaten_majority(answers(model, images), images)}, and {frozen} frozen layers still have ImageNet's weights."
    )


def _frozen_as_left(model):
    """Count the frozen layers with weights. Require ImageNet's weights in all of them, and a frozen stem."""
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
