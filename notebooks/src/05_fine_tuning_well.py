# %% [markdown]
# # 05 · Fine-tuning well
#
# **Question.** When does it pay to train more than the head, and which of the usual tricks help?
#
# **You will be able to**
#
# - **Start** from a solved head, and say what a random one does to the layers below.
# - **Give** every block its own learning rate, and unfreeze blocks one after the other.
# - **Compare** with the frozen probe first, always.
# - **Judge** early stopping, dropout and weight decay with and without, on the same splits.
#
# **Before you start:** [Freezing and forgetting](04_freezing_and_forgetting.ipynb). You know what a learning rate that
# is too high erases.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

lab = teaching.lab
teaching.start(seed=0)

# %%
import keras
import numpy as np

import tlkeras

# %% [markdown]
# ## The idea, on two layers
#
# A layer of eight units has learned to tell two rings of points apart. We give it a new, random head for the *same*
# task. The head is wrong at first, and its errors pull at everything that trains, including the layer that was right.

# %%
rng = np.random.default_rng(0)
ring = np.repeat([0, 1], 200)
angle, noise = rng.uniform(0, 2 * np.pi, 400), rng.normal(0, 0.15, 400)
points = (1 + ring + noise) * np.stack([np.cos(angle), np.sin(angle)])
points = points.T.astype("float32")


def tiny(seed):
    """Build a model of eight units and a head, with random weights."""
    keras.utils.set_random_seed(seed)
    units = keras.layers.Dense(8, activation="tanh", name="units")
    head = keras.layers.Dense(1, activation="sigmoid", name="head")
    model = keras.Sequential([keras.Input((2,)), units, head])
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    return model


first = tiny(seed=0)
first.fit(points, ring, epochs=20, verbose=0)
good, old_head = (layer.get_weights() for layer in first.layers)


# %%
def way(schedule, seed, epochs):
    """Return how far a new head moves the good units, and what the old head says then."""
    model = tiny(seed)
    model.layers[0].set_weights(good)
    unfreeze = [tlkeras.GradualUnfreezing(schedule)]
    model.fit(points, ring, epochs=epochs, verbose=0, callbacks=unfreeze)
    now = model.layers[0].get_weights()[0]
    model.layers[1].set_weights(old_head)
    answers = keras.ops.convert_to_numpy(model(points))[:, 0] > 0.5
    moved = np.linalg.norm(now - good[0]) / np.linalg.norm(good[0])
    return moved, np.mean(answers == ring)


at_once, harm = np.transpose([way({0: None}, seed, epochs=4) for seed in range(1, 4)])
settled, less = np.transpose([way({4: None}, seed, epochs=8) for seed in range(1, 4)])

# %% tags=["hide"]
teaching.finding(
    f"In four epochs under a random head the units move by {at_once.mean():.0%} of "
    f"their length ({at_once.min():.0%} to {at_once.max():.0%} in three runs). If the "
    f"head learned alone for four epochs before, they move by {settled.mean():.0%} "
    f"({settled.min():.0%} to {settled.max():.0%}). The old head, put back on the moved "
    f"units, is right for {harm.mean():.0%} of the points ({harm.min():.0%} to "
    f"{harm.max():.0%}), and for {less.mean():.0%} if the new head had settled. Three runs "
    "and their ranges: an illustration, not yet a measurement. The settled head moved the "
    f"units less in {np.sum(settled < at_once)} of {len(settled)} runs."
)

# %% [markdown]
# ## Where fine-tuning has something to gain
#
# If a frozen network already tells your classes apart, there is little left to gain. So we take pictures that are
# unlike ImageNet's photographs: emoji as black lines on white. Fifteen classes, some thirty images each.

# %%
images = lab.emoji("line", image_size=96)
upper = teaching.UpperBlocks(images, last=3)
shown = [np.flatnonzero(images.labels == number)[3] for number in range(15)]
names = images.class_names
tlkeras.contact_sheet(images.take(shown).read(), names, columns=8, image_size=80)

# %% tags=["hide"]
counts = np.bincount(images.labels)
teaching.finding(
    f"{len(images)} emoji in {len(names)} classes, {counts.min()} to {counts.max()} "
    "per class. No color, no shading, no background: little of what the network has "
    "seen."
)

# %% [markdown]
# Three blocks can train: `block6`, `block7` and the top. What every method must beat is the **probe**: all of them
# frozen, and the head solved by logistic regression.

# %%
measured = teaching.measured("fine_tuning_arms")["arms"]
splits = lab.splits(images, len(measured["probe"]), validation_size=0.15)
split = splits[0]
head = upper.probe(split.train)
at_start = upper.accuracy(split.validation, head)
print(f"probe, first split: {upper.accuracy(split.test, head):.1%} of the test images")

# %% [markdown]
# ## A rate for each block
#
# The new head needs large steps; pretrained blocks need small ones, and smaller ones the nearer they lie to the pixels.
# `tlkeras.differential_optimizer` scales each block's *update*. Look at the rates before you train. A table is cheap.

# %%
adam = keras.optimizers.Adam(1e-3)
upper.compile(tlkeras.differential_optimizer(upper.model, adam, layer_decay=0.3))
print(tlkeras.learning_rate_table(upper.model))

# %% [markdown]
# ## Three ways to begin
#
# - **Random head, one rate**: everything trains from the first step, at `3e-4`.
# - **Gradual unfreezing**: the head first, at `1e-3`; then a block joins after each epoch or two, at rates that fall
#   toward the pixels, as this method is usually done. You have seen its callback on two layers above.
# - **Solved head** (LP-FT: linear probing, then fine-tuning): the probe's weights are put into the head, then everything
#   trains, at `3e-4`.
#
# The first and the last train here, on one split. All three are compared below, on twelve.

# %%
EPOCHS = 3
curves, run = {}, {"epochs": EPOCHS, "seed": 0}
upper.compile(keras.optimizers.Adam(3e-4))
history = upper.fit(split.train, split.validation, **run)
curves["random head"] = history["val_accuracy"]

history = upper.fit(split.train, split.validation, head=head, **run)
curves["solved head"] = history["val_accuracy"]

# %% [markdown]
# **Predict.** Which of the two is ahead on validation images after the *first* epoch?

# %% tags=["solution"]
WAYS = ("random head", "solved head")
teaching.predict("05.a", "solved head", choices=WAYS)

# %% tags=["hide"]
teaching.line_chart(
    {"validation images right": curves},
    range(1, EPOCHS + 1),
    xlabel="epoch",
    baselines={"probe, all frozen": at_start},
    title="One split: who starts well, and who gets past the probe",
)

# %% tags=["hide"]
ahead = max(curves, key=lambda name: curves[name][0])
end = ", ".join(f"{name} {values[-1]:.0%}" for name, values in curves.items())
teaching.outcome(
    "05.a",
    ahead,
    f"After {EPOCHS} epochs: {end}. This is one split of {len(split.validation)} "
    "validation images, so it shows how training goes and not which way is best.",
)

# %% [markdown]
# ## Which way is best?
#
# For that the same training was repeated on twelve splits, by `benchmarks/fine_tuning_arms.py`, with some of the usual
# tricks. That takes half an hour, so its results are stored.
#
# - **falling rates**: each block learns at three tenths of the rate of the one above it
# - **average with the probe** (WiSE-FT): the mean of the weights before and after training
# - **early stopping**: the weights of the epoch with the lowest loss on validation images are kept
# - **dropout**: four in ten features, drawn anew at each step, are left out in training
# - **weight decay**: every step also shrinks the weights a little
#
# Every arm has the same images and six epochs; in gradual unfreezing a block joins after two, three and four. Rates were
# set once, without a search: `3e-4` throughout, or from `1e-3` at the head falling to `2.7e-5` at `block6`. So "falling
# rates" means both: faster at the head and slower below.

# %%
test = {
    name: np.array([run["test"][-1] for run in runs]) for name, runs in measured.items()
}
test["solved head, early stopping"] = np.array(
    [run["test"][np.argmin(run["val_loss"])] for run in measured["solved head"]]
)
majority = [
    np.mean(images.labels[s.test] == np.bincount(images.labels[s.train]).argmax())
    for s in splits
]

# %% [markdown]
# **Predict.** On average over the splits, is training from a solved head better than the frozen probe, worse, or can the
# two not be told apart?

# %% tags=["solution"]
teaching.predict("05.b", "better", choices=("better", "worse", "cannot tell"))

# %% tags=["hide"]
ranked = sorted(test, key=lambda name: -test[name].mean())
tlkeras.dot_chart(
    {name: teaching.interval(test[name], splits) for name in ranked},
    title="Is any of them beyond the frozen probe?",
    xlabel="test images right",
    baselines={"probe": test["probe"].mean(), "majority class": np.mean(majority)},
)

# %% tags=["hide"]
gain = teaching.compare({key: test[key] for key in ("solved head", "probe")}, splits)
came = {"solved head": "better", "probe": "worse", None: "cannot tell"}[gain.better]
teaching.outcome(
    "05.b",
    came,
    f"With a solved head: {gain} The scale of a chart tempts; only paired comparisons "
    "on the same splits decide. Here they are, one trick at a time.",
)

# %%
PAIRS = {
    "solved instead of random head": ("solved head", "random head, one rate"),
    "falling rates, from a random head": (
        "random head, falling rates",
        "random head, one rate",
    ),
    "falling rates, from a solved head": ("solved head, falling rates", "solved head"),
    "gradual instead of at once": (
        "random head, gradual unfreezing",
        "random head, falling rates",
    ),
    "average with the probe": ("solved head, averaged with the probe", "solved head"),
    "early stopping within six epochs": ("solved head, early stopping", "solved head"),
    "dropout": ("solved head, dropout", "solved head"),
    "weight decay": ("solved head, weight decay", "solved head"),
}
pairs = {
    name: teaching.compare({"with": test[a], "without": test[b]}, splits)
    for name, (a, b) in PAIRS.items()
}

# %% tags=["hide"]
teaching.table(
    [
        {
            "trick": name,
            "with": f"{pair.means[0]:.1%}",
            "without": f"{pair.means[1]:.1%}",
            "points": f"{100 * pair.difference:+.1f}",
            "95% interval": "{:+.1f} to {:+.1f}".format(*100 * np.array(pair.interval)),
            "verdict": {"with": "helps", "without": "hurts", None: "cannot tell"}[
                pair.better
            ],
        }
        for name, pair in pairs.items()
    ],
    caption=f"Each trick with and without, on {len(splits)} splits",
)

# %% tags=["hide"]
helps = [name for name, pair in pairs.items() if pair.better == "with"]
hurts = [name for name, pair in pairs.items() if pair.better == "without"]
count = len(pairs)
open_ = [pair.smallest_detectable for pair in pairs.values() if pair.better is None]
unseen = (
    f"The others may have effects of up to {100 * max(open_, default=0):.0f} points "
    "that this many images do not show."
)
sizes = {"train": len(split.train), "test": len(split.test)}
strict = [
    tlkeras.compare(test[a], test[b], level=1 - 0.05 / count, **sizes).better
    for a, b in PAIRS.values()
]
stand = [name for name, better in zip(PAIRS, strict) if better]
teaching.finding(
    f"Helps: {', '.join(helps) or 'none of them'}. Hurts: "
    f"{', '.join(hurts) or 'none of them'}. {unseen if open_ else ''} These are {count} "
    f"comparisons at 95% each: even if no trick did anything, up to one page in "
    f"{1 / (1 - 0.95**count):.0f} like this one would name one. If all of them share the "
    f"doubt of 5%, these remain: {', '.join(stand) or 'none'}."
)

# %% tags=["hide"]
runs = measured["solved head"]
picked = [1 + np.argmin(run["val_loss"]) for run in runs]
first_loss, last_loss = (np.mean([run["val_loss"][e] for run in runs]) for e in (0, -1))
early = pairs["early stopping within six epochs"]
teaching.finding(
    f"Early stopping kept epoch {np.mean(picked):.1f} of {len(runs[0]['val_loss'])} on "
    f"average, because the validation loss went from {first_loss:.2f} to {last_loss:.2f} "
    f"while training went on. What it did to the accuracy: {early} A loss also punishes "
    "answers that are too sure, so it can rise while more images are answered correctly: "
    "stop by the number that you care about."
)

# %% [markdown]
# ## The same in plain Keras
#
# Nothing here needs tlkeras. Freeze the backbone, solve the head with scikit-learn or train it, then unfreeze with
# BatchNorm layers left frozen, compile *again* (Keras reads `trainable` when it compiles) and train gently. If you stop
# early, stop by accuracy, for the reason above.

# %%
model = upper.model
upper.reset(head)  # pretrained blocks and the solved head
for layer in model.layers:
    layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
model.compile(
    keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy", metrics=["accuracy"]
)
stop = keras.callbacks.EarlyStopping(
    "val_accuracy", patience=1, restore_best_weights=True
)
x, y = upper.inputs, upper.labels
history = model.fit(
    x[split.train],
    y[split.train],
    validation_data=(x[split.validation], y[split.validation]),
    epochs=2,
    callbacks=[stop],
    verbose=0,
)
plain = upper.accuracy(split.test)

# %% tags=["hide"]
teaching.finding(
    f"{plain:.1%} of the test images of the first split are right. One split shows that "
    "it runs, not that it is better. `tlkeras.fine_tune` does all of this in one call: the "
    "solved head, rates that fall with depth, warm-up, early stopping, and the "
    "average with the probe if it has a lower validation loss. It stops by the loss, too, so "
    "give it more validation images than the few here, or a fixed number of epochs."
)

# %% tags=["nbval-check-output"]
moving = [layer.trainable for layer in model.layers if "bn" in layer.name]
print("BatchNorm layers:", len(moving), "of them training:", sum(moving))

# %% [markdown]
# ## Did it all hold?

# %%
assert settled.mean() < at_once.mean() and less.mean() > harm.mean()
assert curves["solved head"][0] > curves["random head"][0], "a solved head starts ahead"
assert pairs["solved instead of random head"].better != "without"
assert gain.better != "probe", "careful fine-tuning should not lose to the probe here"
assert test["probe"].mean() > np.mean(majority) + 0.1, "the probe learned nothing"
assert plain > np.mean(majority), "plain Keras learned nothing"

# %% [markdown]
# **Question.** You have three hundred images, and a frozen network with a solved head is right for most of them. What
# do you try next?
#
# - (a) Train all layers at the rate that you would use from scratch.
# - (b) Keep the solved head, train the upper blocks gently, and keep the result only if it wins on the same splits.
# - (c) Replace the head by a random one, add dropout and weight decay, and train for longer.

# %% tags=["solution"]
teaching.quiz("05", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Instead of the update, we could scale the loss. Suppose you multiply the *loss* by a tenth, with one rate for all. How far do
# the weights move: a `"tenth"` as far, about the `"same"`, or `"ten times"` as far? Decide before you run the cell below
# yours.
#
# <details><summary>Hint</summary>Adam divides a gradient by its own size. What is left of a factor?</details>

# %% tags=["solution"]
# One of "tenth", "same", "ten times".
prediction = "same"

# %% tags=["hide"]
distances = []
for scale in (1.0, 0.1):
    model = tiny(seed=1)
    start = model.get_weights()
    model.compile(
        keras.optimizers.Adam(0.01), "binary_crossentropy", loss_weights=[scale]
    )
    model.fit(points, ring, shuffle=False, verbose=0)
    distances.append(
        sum(np.abs(a - b).sum() for a, b in zip(model.get_weights(), start))
    )
ratio = distances[1] / distances[0]
print(f"a tenth of the loss moves the weights {ratio:.2f} times as far")

# %%
teaching.check("05.1", prediction, ratio)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `stages(model, rate)`. It returns an Adam with which the head of `model` learns at `rate`, the block below it at
# a quarter of that, the next at a sixteenth, and so on. The check uses small models of its own.
#
# <details><summary>Hint</summary><code>tlkeras.differential_optimizer</code> takes <code>layer_decay</code>, or
# <code>multipliers</code> by block. <code>tlkeras.learning_rate_table</code> shows the rates of a compiled
# model.</details>


# %% tags=["solution"]
def stages(model, rate):
    """Make an Adam whose rate falls to a quarter from block to block."""
    adam = keras.optimizers.Adam(rate)
    return tlkeras.differential_optimizer(model, adam, layer_decay=0.25)


# %%
teaching.check("05.2", stages)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a folder of your own images (here, four of our classes stand in), make a classifier `my_model`, and train it on
# them, head first. It should beat the majority class on the test images.
#
# <details><summary>Hint</summary><code>tlkeras.image_classifier(classes=my_classes, image_size=96)</code> makes a
# classifier, and <code>tlkeras.fine_tune(my_model, my_images.train, my_images.validation, verbose=False)</code> trains
# it. <code>epochs=0</code> solves the head and stops, <code>blocks=1</code> trains one block.</details>

# %% tags=["solution"]
# Splits of your images, and a model trained on them.
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(teaching.clipart10(), classes=my_classes, image_size=96)
my_model = tlkeras.image_classifier(classes=my_classes, image_size=96)
result = tlkeras.fine_tune(
    my_model,
    my_images.train,
    my_images.validation,
    epochs=1,
    blocks=1,
    verbose=False,
)

# %%
teaching.check("05.3", my_model, my_images)

# %% tags=["hide"]
rows = {"frozen network, probe": test["probe"]}
rows["solved head, three blocks trained"] = test["solved head"]
teaching.scoreboard(
    "05",
    {name: teaching.interval(scores, splits) for name, scores in rows.items()},
    images="emoji (15 classes), line, 96 px",
    splits=len(splits),
)

# %% [markdown]
# ## Read on
#
# - Jeremy Howard and Sebastian Ruder, 2018, [Universal language model fine-tuning for text
#   classification](https://arxiv.org/abs/1801.06146). Gradual unfreezing and rates by layer.
# - Ananya Kumar and others, 2022, [Fine-tuning can distort pretrained features and underperform
#   out-of-distribution](https://arxiv.org/abs/2202.10054). Why the head is solved first.
# - Mitchell Wortsman and others, 2022, [Robust fine-tuning of zero-shot models](https://arxiv.org/abs/2109.01903).
#   Averaging the weights from before and after.

# %% [markdown]
# ## Recap
#
# - **Start**: a random head moves the layers below it further than a settled one. Solving the head first costs seconds.
# - **Give**: `tlkeras.differential_optimizer` scales updates block by block; `tlkeras.GradualUnfreezing` lets blocks
#   join within one `fit`.
# - **Compare**: the frozen probe belongs in every chart. It is what all training must beat.
# - **Judge**: one trick at a time, with and without, on the same splits, with an interval.
