"""Check the exercises in `05_fine_tuning_well`."""

import numpy as np

from tlkeras.teaching.exercises import answers, beaten_majority, require, require_choice, require_splits, tried

QUIZ = {
    "a": (
        False,
        "The rate of training from scratch erases what the layers know within a few steps, as notebook 4 showed.",
    ),
    "b": (True, "The probe is the baseline to beat, and only the same splits show whether training beats it."),
    "c": (
        False,
        "A random head pulls at good layers, and no regularizer repairs that. Begin with the head that you have.",
    ),
}


def exercise_1(prediction, ratio):
    """Compare the guess with the measured ratio of distances. Near a boundary, accept both guesses."""
    places = ("tenth", "same", "ten times")
    require_choice(prediction, places)
    ratio = float(np.mean(ratio))
    holds = {"tenth": ratio < 0.4, "same": 0.3 < ratio < 3, "ten times": ratio > 2.5}
    require(holds[prediction], f"the weights moved {ratio:.2f} times as far.")
    return (
        f"The weights moved {ratio:.2f} times as far. Adam cancels any scaling of the gradient, so a share must "
        "scale the update."
    )


def exercise_2(stages):
    """Try the optimizer on small models. The size of Adam's first step equals the learning rate."""
    for depth, rate in ((2, 0.01), (3, 0.01), (4, 0.04)):
        model = _small_model(depth)
        optimizer = tried(stages, model, rate)
        wanted = rate * 0.25 ** np.arange(depth - 1, -1, -1)
        steps = tried(_first_steps, model, optimizer)
        shown = ", ".join(f"{step:.2g}" for step in steps)
        require(
            np.allclose(steps, wanted, rtol=0.02),
            f"at rate {rate:g} the first steps of {depth} blocks are {shown}, not each a quarter of the next.",
        )
    return "Each block's first step is a quarter of that of the block above it."


def _small_model(depth):
    """Build a model with one block per layer, without activations, so that every weight has a gradient."""
    import keras  # `start` must silence it first

    layers = [keras.layers.Dense(4, name=f"block{number}") for number in range(1, depth)]
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2, name="predictions")])


def _first_steps(model, optimizer):
    """Return, for each layer, the largest change in a weight after one step."""
    rng = np.random.default_rng(0)
    model.compile(optimizer, "mse", run_eagerly=True)  # for one step
    before = [np.array(layer.get_weights()[0]) for layer in model.layers]
    model.train_on_batch(rng.normal(size=(32, 3)).astype("float32"), 10 + rng.normal(size=(32, 2)).astype("float32"))
    return [np.abs(layer.get_weights()[0] - then).max() for layer, then in zip(model.layers, before, strict=True)]


def exercise_3(model, images):
    """Score the model on test images, which must not overlap the other images."""
    import keras

    require_splits(images)
    require(isinstance(model, keras.Model), f"my_model must be a Keras model. Received: {type(model).__name__}")
    return f"{beaten_majority(answers(model, images), images)}."
