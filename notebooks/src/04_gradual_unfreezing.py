# %% [markdown]
# # 4 · Gradual unfreezing
#
# **Question.** If the head has to learn first, when should the blocks below it join in?
#
# **You will be able to**
#
# - **Unfreeze** blocks on a schedule or on a plateau, inside one `fit`.
# - **Verify** that weights already in training keep their optimizer state.
# - **Restrain** a large network on few images: early stopping, dropout, weight decay.
# - **Compare** gradual unfreezing with its rivals over seeds, and call noise noise.
#
# **Before you start:** [Feature extraction](01_feature_extraction.ipynb). You know what freezing a layer means.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import keras
import numpy as np

import tlkeras
from tlkeras import evaluation

# %% [markdown]
# ## The idea, on two layers
#
# A layer of eight units is already good: it was trained to tell two rings of points apart. We give it a new, random
# head for the same task, and train both.
#
# A random head is wrong at first, and its errors pull at everything that trains, including the layer that was right.

# %%
rng = np.random.default_rng(0)
ring = np.repeat([0, 1], 200)
angle = rng.uniform(0, 2 * np.pi, 400)
radius = np.where(ring == 0, 1.0, 2.0) + rng.normal(0, 0.15, 400)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
points = points.astype("float32")


def tiny(seed):
    """Build a model of eight units and a head, with random weights."""
    keras.utils.set_random_seed(seed)
    units = keras.layers.Dense(8, activation="tanh", name="units")
    head = keras.layers.Dense(1, activation="sigmoid", name="head")
    model = keras.Sequential([keras.Input((2,)), units, head])
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    return model


trained = tiny(seed=0)
trained.fit(points, ring, epochs=20, verbose=0)
good = trained.layers[0].get_weights()


# %%
class Watch(keras.callbacks.Callback):
    """Record per epoch: what trains, Adam's state of the head, how far units moved."""

    def on_train_begin(self, logs=None):
        self.training, self.memory, self.moved = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.training.append(len(self.model.trainable_variables))
        self.memory.append(
            {
                variable.path: np.array(keras.ops.convert_to_numpy(variable))
                for variable in self.model.optimizer.variables
                if "head" in variable.path
            }
        )

    def on_epoch_end(self, epoch, logs=None):
        kernel = keras.ops.convert_to_numpy(self.model.layers[0].kernel)
        self.moved.append(np.linalg.norm(kernel - good[0]) / np.linalg.norm(good[0]))


# %%
def second_training(schedule, seed):
    """Train a new head on the good units; watch before and after unfreezing."""
    model = tiny(seed)
    model.layers[0].set_weights(good)
    unfreeze = tlkeras.GradualUnfreezing(schedule)
    before, after = Watch(), Watch()
    model.fit(points, ring, epochs=8, verbose=0, callbacks=[before, unfreeze, after])
    return before, after


at_once = [second_training({0: None}, seed) for seed in range(1, 4)]
gradual = [second_training({4: None}, seed) for seed in range(1, 4)]

# %% [markdown]
# **Predict.** One run trains units and head from the start, the other trains only the head for four epochs. How far
# have the units moved from their good weights in the end?

# %%
evaluation.curves(
    {
        "both at once": [after.moved for _, after in at_once],
        "units join in the fifth epoch": [after.moved for _, after in gradual],
    },
    range(1, 9),
    xlabel="epoch",
    ylabel="distance moved / length",
)

# %%
ways = [
    np.array([after.moved[last] for _, after in run])
    for run, last in ((at_once, 3), (gradual, 7))
]
teaching.finding(
    "In their first four epochs of training, the units move by "
    f"{evaluation.with_error(ways[0])} of their length under a random head, and by "
    f"{evaluation.with_error(ways[1])} under one that has settled."
)

# %% [markdown]
# ## The state of an optimizer
#
# For each weight, Adam keeps a running mean of the gradient and of its square. If you freeze, unfreeze and call
# `compile` by hand, this state is lost, or an error is raised, depending on the backend.
# `tlkeras.GradualUnfreezing` recompiles at the start of an epoch and carries the state over.
#
# Our callback looked right before and right after it. We compare Adam's state of the head bit by bit.

# %%
before, after = gradual[0]
then, now = before.memory[4], after.memory[4]
kept = [np.array_equal(then[path], now[path]) for path in then]
filled = [np.any(value != 0) for value in then.values()]
print("variables that train, by epoch:", *after.training)

# %% tags=["nbval-check-output"]
print("Adam's state of the head is the same bit by bit:", len(kept) > 0 and all(kept))
print("There was something to keep:", all(filled))

# %% [markdown]
# ## The same with a real network
#
# We use our drawings, in three splits, at 96 pixels. Of EfficientNet-Lite0 we train the last block, the convolution at
# the top, and a new head. Everything below stays frozen in every run, so its output is computed once. What we train is
# a small model of its own.

# %%
SIZE = (96, 96)
folder = teaching.clipart10()
splits = [tlkeras.load_images(folder, seed=seed, image_size=SIZE) for seed in range(3)]
names = splits[0].class_names
whole = tlkeras.image_classifier(classes=names, image_size=SIZE, dropout=0.3)
edge = tlkeras.blocks(whole)["block7"].layers[0].input
below = keras.Model(whole.input, edge)
top = keras.models.clone_model(keras.Model(edge, whole.output))
top.set_weights(keras.Model(edge, whole.output).get_weights())
pretrained = [np.array(weight) for weight in top.get_weights()]
print(tlkeras.blocks(top).names, f"{top.count_params():,} parameters")

# %%
first = splits[0]
parts = (first.train, first.validation, first.test)
images = np.concatenate([part.read() for part in parts])
paths = np.concatenate([part.paths for part in parts])
maps = dict(zip(paths, below.predict(images, batch_size=64, verbose=0)))


def given(part):
    """Return the frozen part's output for the images of a split, and their labels."""
    return np.stack([maps[path] for path in part.paths]), part.labels


# %% [markdown]
# ## On a schedule, on a plateau, all at once
#
# There are a million weights and some 250 images. Three things restrain the network.
#
# - **Dropout** hides a share of the features from the head at each step.
# - **Weight decay** pulls each weight a little towards zero at each step.
# - **Early stopping** ends training when the validation loss has not fallen for some epochs, and restores the best
#   weights.
#
# The callbacks go into one `fit`: one history, one early stopping, one optimizer. Unfreezing on a plateau is shown on
# one split, to save time.

# %%
EPOCHS = 7


def fresh():
    """Reset the top to pretrained weights and a new head, ready to train."""
    tlkeras.unfreeze(top)
    top.set_weights(pretrained)
    rates = keras.optimizers.AdamW(3e-3, weight_decay=0.01)
    rates = tlkeras.differential_optimizer(top, rates, layer_decay=0.2)
    top.compile(rates, "sparse_categorical_crossentropy")


def run(split, **how):
    """Train on a schedule or a plateau; return accuracy, history and what trained."""
    fresh()
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    who = Who()
    history = top.fit(
        *given(split.train),
        validation_data=given(split.validation),
        epochs=EPOCHS,
        verbose=0,
        callbacks=[tlkeras.GradualUnfreezing(**how), who, stop],
    )
    return measured_now(split), history.history, who.training


# %%
class Who(keras.callbacks.Callback):
    """Record how many variables train in each epoch."""

    def on_train_begin(self, logs=None):
        self.training = []

    def on_epoch_begin(self, epoch, logs=None):
        self.training.append(len(self.model.trainable_variables))


def measured_now(split):
    """Return test accuracy, and how far the last block's first kernel moved."""
    x, y = given(split.test)
    answers = keras.ops.convert_to_numpy(top(x, training=False))
    right = float(np.mean(answers.argmax(axis=1) == y))
    kernel = np.array(top.get_weights()[0])
    return right, np.linalg.norm(kernel - pretrained[0]) / np.linalg.norm(pretrained[0])


# %%
how = {
    "at once": {"schedule": {0: None}},
    "by schedule": {"schedule": {2: 1, 4: None}},
}
runs = {name: [run(split, **kind) for split in splits] for name, kind in how.items()}
runs["on a plateau"] = [run(splits[0], on_plateau=1, patience=1)]
for name, each in runs.items():
    print(f"{name:13} variables that train, split 0: ", *each[0][2])

# %% [markdown]
# **Predict.** Here is the validation loss of the first split, epoch by epoch. Which run falls fastest at first? What
# happens to the loss when blocks join?

# %%
evaluation.curves(
    {name: each[0][1]["val_loss"] for name, each in runs.items()},
    range(1, EPOCHS + 1),
    xlabel="epoch (a run that was stopped ends early)",
    ylabel="validation loss, split 0",
)

# %%
best = {}
for name, each in runs.items():
    losses = [one[1]["val_loss"] for one in each]
    best[name] = [int(np.argmin(loss)) + 1 for loss in losses]
    teaching.finding(
        f"{name}, split 0: {losses[0][0]:.2f} after one epoch, lowest in epoch "
        f"{best[name][0]} with {min(losses[0]):.2f}, {losses[0][-1]:.2f} at the end."
    )
joined = max(how["by schedule"]["schedule"]) + 1
late = sum(epoch >= joined for epoch in best["by schedule"])
teaching.finding(
    f"On the schedule, block7 joins in epoch {joined}; {late} of {len(splits)} runs "
    "kept weights from an epoch in which it trained. Early stopping discards whatever "
    "is learned after the lowest loss."
)

# %% [markdown]
# ## The recipe
#
# `tlkeras.fine_tune` takes the same idea further. The head is not trained for some epochs but *solved*, as a logistic
# regression. Then everything trains at once, gently, with warm-up, a decaying rate, and early stopping. Finally, the
# weights from before and after are averaged if that lowers the validation loss. Here it gets the same top and the same
# images.

# %%
recipe = []
for split in splits:
    fresh()
    tlkeras.fine_tune(
        top, given(split.train), given(split.validation), epochs=3, verbose=False
    )
    recipe.append(measured_now(split)[0])
results = {name: np.array([one[0][0] for one in runs[name]]) for name in how}
results["fine_tune"] = np.array(recipe)
scratch = teaching.measured("from_scratch")[str(SIZE[0])]
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]

# %% [markdown]
# **Predict.** Here are three ways from the same weights, over the same three splits. Will their order be clear?

# %%
evaluation.accuracy_bars(
    {**results, "same network, from scratch": scratch["test"]},
    {"majority class": majority, "chance": 1 / len(names)},
)


# %%
def judged(name):
    """Compare with training at once: the difference, and is it beyond two errors?"""
    difference = results[name] - results["at once"]
    mean, error = difference.mean(), evaluation.standard_error(difference)
    verdict = "within noise" if abs(mean) < 2 * error else "beyond noise"
    return f"{name} {mean:+.2f} ± {error:.2f}, {verdict}"


others = [name for name in results if name != "at once"]
teaching.finding(
    f"Test accuracy of training at once: {evaluation.with_error(results['at once'])}. "
    f"Compared with that: {'; '.join(map(judged, others))}. The network from "
    f"scratch, after {scratch['epochs']} epochs: "
    f"{evaluation.with_error(scratch['test'])}; "
    f"majority class: {np.mean(majority):.2f}."
)

# %% [markdown]
# ## Did it all hold?

# %%
assert kept and all(kept) and all(filled), "the optimizer's state was not kept"
assert ways[1].mean() < ways[0].mean(), "joining late moved the units further"
for one in runs["by schedule"]:
    assert one[2] == sorted(one[2]), "a block was frozen again"
for split in splits:
    groups = [set(part.groups) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)), "near-duplicates straddle"
for name, accuracy in results.items():
    assert accuracy.mean() > np.mean(majority) + 0.15, (
        f"{name}: no better than one class"
    )
    over_scratch = accuracy.mean() - np.mean(scratch["test"])
    assert over_scratch > 0.1, f"{name}: no better than scratch"

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# In which run has the last block moved further from ImageNet's weights: `"at once"`, `"by schedule"`, or are they
# `"level"`? Decide before you run the cell below yours.
#
# <details><summary>Hint</summary>
#
# Which block trained for more epochs, and which one started under a random head? But early stopping chose the epoch.
#
# </details>

# %% tags=["solution"]
# One of "at once", "by schedule", "level".
prediction = "at once"

# %%
block_ways = {name: [one[0][1] for one in each] for name, each in runs.items()}
for name in how:
    way = block_ways[name]
    print(f"{name:13} {np.mean(way):.4f} ± {evaluation.standard_error(way):.4f}")

# %%
teaching.check("04.1", prediction, block_ways["at once"], block_ways["by schedule"])

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `my_callbacks()`. It returns a list of callbacks that unfreeze a block whenever `val_loss` has stopped falling,
# and that end the training and restore the best weights when nothing helps any more. The check trains a small model
# whose loss cannot fall: all of it must be unfrozen before training ends.
#
# <details><summary>Hint</summary>
#
# Both callbacks count epochs without improvement. Which patience must be longer, and by how much if there are two
# blocks below the head?
#
# </details>


# %% tags=["solution"]
def my_callbacks():
    """Unfreeze on a plateau, and stop only when that has not helped."""
    return [
        tlkeras.GradualUnfreezing(on_plateau=1, patience=2),
        keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True),
    ]


# %%
teaching.check("04.2", my_callbacks)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a folder of your own images (here, four of our classes stand in), and fine-tune `my_model` on them, with
# `tlkeras.fine_tune` or the callbacks above. It should beat the majority class on the test images.
#
# <details><summary>Hint</summary>
#
# `tlkeras.fine_tune(my_model, my_images.train, my_images.validation, verbose=False)`; `epochs=0`
# solves the head and stops.
#
# </details>

# %% tags=["solution"]
# Splits of your images, and a model trained on them.
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(folder, classes=my_classes, image_size=SIZE)
my_model = tlkeras.image_classifier(classes=my_classes, image_size=SIZE)
my_result = tlkeras.fine_tune(
    my_model, my_images.train, my_images.validation, epochs=0, verbose=False
)  # the solved head alone; with more time, epochs=4

# %%
teaching.check("04.3", my_model, my_images)

# %% [markdown]
# ## Recap
#
# - **Unfreeze**: the head first, then blocks from the top down, at epochs that you choose or whenever the loss stops
#   falling.
# - **Verify**: compare the optimizer's state right before and right after. It was kept bit by bit.
# - **Restrain**: dropout, weight decay, and early stopping with a patience longer than that of unfreezing.
# - **Compare**: paired by split, with standard errors. An order within noise is no order.
