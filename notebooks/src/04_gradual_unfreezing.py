# %% [markdown]
# # 4 · Gradual unfreezing
#
# **Question.** When the head must learn first, how do the blocks below it join without losing what is going on?
#
# **You will be able to**
#
# - **Unfreeze** blocks by schedule or on a plateau, inside one `fit`.
# - **Verify** that weights which train already keep their optimizer's memory.
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
# A layer of eight units is good already: it was trained to tell two rings of points apart. We give it a new, random
# head for the same question, and train both.
#
# A random head is wrong at first, and what is wrong pulls at everything that trains, also at the layer that was right.

# %%
rng = np.random.default_rng(0)
ring = np.repeat([0, 1], 200)
angle = rng.uniform(0, 2 * np.pi, 400)
radius = np.where(ring == 0, 1.0, 2.0) + rng.normal(0, 0.15, 400)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
points = points.astype("float32")


def tiny(seed):
    """Eight units and a head, with random weights."""
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
    """Notes by epoch: who trains, Adam's memory of the head, the way of the units."""

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
    """Trains a new head on the good units; two watches, before and after unfreezing."""
    model = tiny(seed)
    model.layers[0].set_weights(good)
    unfreeze = tlkeras.GradualUnfreezing(schedule)
    before, after = Watch(), Watch()
    model.fit(points, ring, epochs=8, verbose=0, callbacks=[before, unfreeze, after])
    return before, after


at_once = [second_training({0: None}, seed) for seed in range(1, 4)]
gradual = [second_training({4: None}, seed) for seed in range(1, 4)]

# %% [markdown]
# **Predict.** One run trains units and head from the start, the other the head alone for four epochs. How far have the
# units moved from their good weights in the end?

# %%
evaluation.curves(
    {
        "both at once": [after.moved for _, after in at_once],
        "units join in the fifth epoch": [after.moved for _, after in gradual],
    },
    range(1, 9),
    xlabel="epoch",
    ylabel="way of the units / length",
)

# %%
ways = [
    np.array([after.moved[last] for _, after in run])
    for run, last in ((at_once, 3), (gradual, 7))
]
teaching.finding(
    "in the first four epochs in which they train, the units move by "
    f"{evaluation.with_error(ways[0])} of their length beside a random head, and by "
    f"{evaluation.with_error(ways[1])} beside one that has settled."
)

# %% [markdown]
# ## The memory of an optimizer
#
# Adam remembers, for each weight, a mean of its gradients and of their squares. Whoever freezes, unfreezes and calls
# `compile` by hand loses that memory, or meets an error, depending on the backend. `tlkeras.GradualUnfreezing` does
# it at the beginning of an epoch, and hands the memory over.
#
# Our callback looked right before and right after it. We compare all the bits of Adam's memory of the head.

# %%
before, after = gradual[0]
then, now = before.memory[4], after.memory[4]
kept = [np.array_equal(then[path], now[path]) for path in then]
filled = [np.any(value != 0) for value in then.values()]
print("variables that train, by epoch:", *after.training)

# %% tags=["nbval-check-output"]
print("Adam's memory of the head, unfreezing before and after it, is equal bit by bit:")
print(len(kept) > 0 and all(kept), "- and there was something to keep:", all(filled))

# %% [markdown]
# ## The same with a real network
#
# Our drawings, in three splits, at 96 pixels. Of EfficientNet-Lite0 we train the last block, the convolution at the
# top, and a new head. All below stays frozen in every run, so its output is computed once, and what we train is a small
# model of its own.

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
    """What the frozen part gives for the images of a split, and their labels."""
    return np.stack([maps[path] for path in part.paths]), part.labels


# %% [markdown]
# ## By schedule, on a plateau, at once
#
# A million weights and some 250 images: three things hold the network back.
#
# - **Dropout** hides a share of the features from the head at each step.
# - **Weight decay** pulls each weight towards zero, a little at each step.
# - **Early stopping** ends training when the validation loss has not fallen for some epochs, and takes the best weights
#   back.
#
# The callbacks go into one `fit`: one history, one early stopping, one optimizer. Unfreezing on a plateau is shown on one
# split, to save time.

# %%
EPOCHS = 7


def fresh():
    """The pretrained top with a new head, ready to train."""
    tlkeras.unfreeze(top)
    top.set_weights(pretrained)
    rates = keras.optimizers.AdamW(3e-3, weight_decay=0.01)
    rates = tlkeras.differential_optimizer(top, rates, layer_decay=0.2)
    top.compile(rates, "sparse_categorical_crossentropy")


def run(split, **how):
    """Trains by a schedule or on a plateau; test accuracy, history, who trained."""
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
    """Notes how many variables train in each epoch."""

    def on_train_begin(self, logs=None):
        self.training = []

    def on_epoch_begin(self, epoch, logs=None):
        self.training.append(len(self.model.trainable_variables))


def measured_now(split):
    """Accuracy on test images, and the way of the last block's first kernel."""
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
for name, found in runs.items():
    print(f"{name:13} variables that train, split 0: ", *found[0][2])

# %% [markdown]
# **Predict.** The validation loss of the first split, epoch by epoch. Which run falls fastest at first? What happens to
# the loss when blocks join?

# %%
evaluation.curves(
    {name: found[0][1]["val_loss"] for name, found in runs.items()},
    range(1, EPOCHS + 1),
    xlabel="epoch (a run that was stopped ends early)",
    ylabel="validation loss, split 0",
)

# %%
best = {}
for name, found in runs.items():
    losses = [one[1]["val_loss"] for one in found]
    best[name] = [int(np.argmin(loss)) + 1 for loss in losses]
    teaching.finding(
        f"{name}, split 0: {losses[0][0]:.2f} after one epoch; lowest in epoch "
        f"{best[name][0]}, {min(losses[0]):.2f}; in the end {losses[0][-1]:.2f}."
    )
joined = max(how["by schedule"]["schedule"]) + 1
late = sum(epoch >= joined for epoch in best["by schedule"])
teaching.finding(
    f"by schedule block7 joins in epoch {joined}; {late} of {len(splits)} runs kept "
    "weights of an epoch in which it trained. What is learned after the lowest loss, "
    "early stopping takes back."
)

# %% [markdown]
# ## The recipe
#
# `tlkeras.fine_tune` goes further on the same thought: the head is not trained for some epochs but *solved*, as a
# logistic regression; then everything trains at once, gently, with warm-up, decay of the rate, and early stopping; and
# of the two sets of weights, before and after, the mean is taken where its validation loss is lower than that of both.
# Here it gets the same top and the same images.

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
# **Predict.** Three ways from the same weights, over the same three splits. Will their order be plain to see?

# %%
evaluation.accuracy_bars(
    {**results, "same network, from scratch": scratch["test"]},
    {"majority class": majority, "chance": 1 / len(names)},
)


# %%
def judged(name):
    """The difference from training at once, and whether it is beyond two errors."""
    difference = results[name] - results["at once"]
    mean, error = difference.mean(), evaluation.standard_error(difference)
    verdict = "within noise" if abs(mean) < 2 * error else "beyond noise"
    return f"{name} {mean:+.2f} ± {error:.2f}, {verdict}"


others = [name for name in results if name != "at once"]
teaching.finding(
    f"at once {evaluation.with_error(results['at once'])} of the test images are right. "
    f"Compared with that: {'; '.join(map(judged, others))}. The network from "
    f"scratch, after {scratch['epochs']} epochs: {evaluation.with_error(scratch['test'])}; "
    f"majority class: {np.mean(majority):.2f}."
)

# %% [markdown]
# ## Did it all hold?

# %%
assert kept and all(kept) and all(filled), "the optimizer's memory was not handed over"
assert ways[1].mean() < ways[0].mean(), "joining late moved the units further"
for found in runs["by schedule"]:
    assert found[2] == sorted(found[2]), "a block was frozen again"
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
# Each run left the last block somewhere. From ImageNet's weights, which has gone further: the run `"at once"`, the run
# `"by schedule"`, or are they `"level"`? Decide before you run the cell below yours.
#
# <details><summary>Hint</summary>
#
# Who trained for more epochs, and whose head was random when the block began? But early stopping chose the epoch.
#
# </details>

# %% tags=["solution"]
# One of "at once", "by schedule", "level".
prediction = "at once"

# %%
block_ways = {name: [one[0][1] for one in found] for name, found in runs.items()}
for name in how:
    way = block_ways[name]
    print(f"{name:13} {np.mean(way):.4f} ± {evaluation.standard_error(way):.4f}")

# %%
teaching.check("04.1", prediction, block_ways["at once"], block_ways["by schedule"])

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `my_callbacks()`: a list of callbacks that unfreezes a block whenever `val_loss` has stopped falling, and ends the
# training when nothing helps any more, taking the best weights back. The check trains a small model whose loss cannot
# fall: all of it must have been unfrozen before training ends.
#
# <details><summary>Hint</summary>
#
# Both callbacks count epochs without improvement. Which patience must be the longer one, and by how much where there
# are two blocks below the head?
#
# </details>


# %% tags=["solution"]
def my_callbacks():
    """Unfreezes on a plateau, and stops only when that has not helped."""
    return [
        tlkeras.GradualUnfreezing(on_plateau=1, patience=2),
        keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True),
    ]


# %%
teaching.check("04.2", my_callbacks)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a folder of your own images (here, four of our classes stand in), and fine-tune `my_model` on them, by
# `tlkeras.fine_tune` or with the callbacks above. It should beat the majority class on the test images.
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
# - **Unfreeze**: the head first, then blocks from the top down, at epochs that you name or whenever the loss stops falling.
# - **Verify**: look at the optimizer's memory right before and right after; it was handed over bit by bit.
# - **Restrain**: dropout, weight decay, and early stopping with a patience longer than that of unfreezing.
# - **Compare**: paired by split, with standard errors; an order within noise is no order.
