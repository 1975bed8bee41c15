"""Check the exercises of `04_gradual_unfreezing`."""

import numpy as np

from tlkeras.teaching.exercises import answers, beaten_majority, require, require_splits, tried


def exercise_1(prediction, at_once, by_schedule):
    """Compare the guess with the measured distances over seeds."""
    answers = ("at once", "by schedule", "level")
    require(
        prediction in answers, f"the answer must be one of {', '.join(map(repr, answers))}. Received: {prediction!r}"
    )
    difference = np.subtract(at_once, by_schedule)
    mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))
    holds = {"at once": mean > 0, "by schedule": mean < 0, "level": abs(mean) < 2 * error}
    require(
        holds[prediction],
        f"the difference, at once minus by schedule, is {mean:+.3f} ± {error:.3f} of the kernel's length.",
    )
    return f"The difference, at once minus by schedule, is {mean:+.3f} ± {error:.3f} of the kernel's length."


def exercise_2(make_callbacks):
    """Train a small model whose loss cannot fall. It must unfreeze, then stop, then restore the best weights."""
    import keras

    callbacks = tried(make_callbacks)
    require(
        isinstance(callbacks, list | tuple) and all(isinstance(one, keras.callbacks.Callback) for one in callbacks),
        f"return a list of callbacks. Received: {callbacks!r}",
    )
    stops = [one for one in callbacks if isinstance(one, keras.callbacks.EarlyStopping)]
    require(stops, "nothing ends the training when it no longer helps.")
    require(stops[0].restore_best_weights, "early stopping does not restore the best weights.")
    model = keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(2) for _ in range(3))])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)  # for a few steps
    model.layers[0].trainable = model.layers[1].trainable = False
    data, limit = (np.ones((4, 2), "float32"), np.zeros((4, 2), "float32")), 40
    history = model.fit(*data, validation_data=data, epochs=limit, verbose=0, callbacks=list(callbacks))
    epochs = len(history.epoch)
    unfrozen = sum(layer.trainable for layer in model.layers)
    require(unfrozen == 3, f"after {epochs} epochs without improvement {unfrozen} of 3 layers trained.")
    require(epochs < limit, f"training went on for all {limit} epochs although nothing improved.")
    return f"All 3 layers were unfrozen, and training ended after {epochs} epochs."


def exercise_3(model, images):
    """Score the model on test images that must be separate from the others."""
    import keras

    require_splits(images)
    require(isinstance(model, keras.Model), f"my_model must be a Keras model. Received: {type(model).__name__}")
    return f"{beaten_majority(answers(model, images), images)}."
