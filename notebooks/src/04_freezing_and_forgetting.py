# %% [markdown]
# # 04 · Freezing and forgetting
#
# **Question.** What does a pretrained network forget while it learns, and what does freezing preserve?
#
# **You will be able to**
#
# - **Show** catastrophic forgetting: a new task overwrites an old one.
# - **Weigh** what a learning rate teaches against what it erases.
# - **Freeze** blocks of a network, and check in a table what will train.
# - **Avoid** the BatchNorm trap: statistics that move although everything should be fixed.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb). You have trained a Keras model with `fit`.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 to 2 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

lab = teaching.lab
teaching.start(seed=0)

# %%
import keras
import numpy as np

import tlkeras

# %% [markdown]
# ## The idea, on three units
#
# Three ReLU units and one output learn **task A**: is a point outside a circle? Then the same units, with a new
# output, learn **task B**: is the point to the right of a line? Finally, A's output is put back on the units.

# %%
rng = np.random.default_rng(0)
points = rng.uniform(-2, 2, (400, 2)).astype("float32")
outside = (np.hypot(points[:, 0], points[:, 1]) > 1.3).astype(int)
right = (points[:, 0] > 0.3).astype(int)

units = keras.layers.Dense(3, activation="relu")
output = keras.layers.Dense(1, activation="sigmoid")
tiny = keras.Sequential([keras.Input((2,)), units, output])
# the units begin by looking in three directions, up, down left and down right
look = np.deg2rad([90, 210, 330]) + rng.normal(0, 0.2, 3)
units.set_weights([np.stack([np.cos(look), np.sin(look)]), np.zeros(3)])
new_output = [rng.normal(0, 0.3, (3, 1)), np.zeros(1)]


# %%
def learn(task):
    """Fit a new output, and the units unless they are frozen, to a task."""
    output.set_weights(new_output)
    tiny.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    often = np.tile(points, (40, 1)), np.tile(task, 40)  # forty epochs in one
    tiny.fit(*often, batch_size=40, shuffle=False, verbose=0)


def answers():
    """Return the current network as a function from points to classes."""
    copy = keras.models.clone_model(tiny)
    copy.set_weights(tiny.get_weights())
    return lambda x: keras.ops.convert_to_numpy(copy(x))[:, 0] > 0.5


# %%
learn(outside)
after_a = [np.array(weight) for weight in tiny.get_weights()]
on_a, on_b = {"A learned": answers()}, {}
for name, trains in (("then B, units free", True), ("then B, units frozen", False)):
    tiny.set_weights(after_a)
    units.trainable = trains
    learn(right)
    on_b[name] = np.mean(answers()(points) == right)
    output.set_weights(after_a[2:])
    on_a[name] = answers()
frozen_units = [np.array(weight) for weight in units.get_weights()]

# %% [markdown]
# **Predict.** The units are free and learn B. Then A's old output is put back. How much of A is left: all of it, some,
# or no more than always giving the more common answer?

# %% tags=["solution"]
# One of the choices; "nothing" means no more than always giving the commoner answer.
guess = "some"
teaching.predict("04.a", guess, choices=("all", "some", "nothing"))

# %%
teaching.decision_regions(
    on_a,
    points,
    outside,
    classes=("inside", "outside"),
    title="What is left of task A: free units forget, frozen ones do not",
)

# %% tags=["hide"]
kept_a = {name: np.mean(says(points) == outside) for name, says in on_a.items()}
learned, free, frozen = kept_a.values()
b_free, b_frozen = on_b.values()
common = max(outside.mean(), 1 - outside.mean())
error = np.sqrt(common * (1 - common) / len(points))  # chance alone moves it this far
left = "nothing" if free < common + error else "some"
left = "all" if free > learned - error else left
says = np.unique(on_a["then B, units free"](points))
everywhere = "The network now gives one answer everywhere. " if len(says) == 1 else ""
teaching.outcome(
    "04.a",
    left,
    f"A falls from {learned:.0%} to **{free:.0%}** of the points if the units learn "
    f"B; always giving the more common answer is right for {common:.0%}. {everywhere}"
    f"Frozen units keep {frozen:.0%}. The price: B reaches {b_free:.0%} with free units and "
    f"{b_frozen:.0%} with frozen ones. (One run, and all {len(points)} points are counted: an "
    "illustration, not yet a measurement.)",
)

# %% [markdown]
# This is **catastrophic forgetting**. Gradient descent changes whatever lowers the loss of the current task, and the
# previous task has no say.
#
# ## The same with a real network
#
# EfficientNet-Lite0 has learned its task A: ImageNet's thousand classes. Task B is ours: drawings in ten classes.
# Early blocks hold the most general features ([Yosinski and others, 2014](https://arxiv.org/abs/1411.1792)), so networks
# are frozen from the bottom up. Here the last two blocks train. The others are frozen in every run, so their output is
# computed once: `UpperBlocks` is a small Keras model that starts from it. Its `fit` takes the numbers of the images.

# %%
images = lab.drawings(image_size=96)
splits = lab.splits(images)  # training is costly, so only the first three train
few = splits[:3]
upper = teaching.UpperBlocks(images, last=2)

# %% tags=["nbval-check-output"]
tlkeras.trainable_table(upper.model)

# %% [markdown]
# Read the column `trainable` before you train. BatchNorm layers scale features by a mean and a spread that they remember.
# They are frozen even in blocks that train; the end of this page shows why.
#
# To test task A, we put ImageNet's original top back on the features. For what share of the test images does it still
# give the answer that it gave before? (Whether that answer was right for a drawing does not matter. We ask what is
# kept.)

# %%
imagenet = tlkeras.EfficientNetLite0(input_shape=(96, 96, 3))
old_kernel, old_bias = imagenet.get_layer("predictions").get_weights()


def imagenet_answers(rows):
    """Return the class of ImageNet that the old top gives these images now."""
    return (upper.features(rows) @ old_kernel + old_bias).argmax(axis=1)


before = [imagenet_answers(split.test) for split in few]

# %%
RATES = {"1e-5": 1e-5, "1e-4": 1e-4, "1e-3": 1e-3}
EPOCHS = 2
upper.compile(keras.optimizers.Adam())
accuracy, kept = np.zeros((2, len(few), len(RATES)))
by_epoch = {}
for row, split in enumerate(few):
    for column, (name, rate) in enumerate(RATES.items()):
        history = upper.fit(split.train, learning_rate=rate, epochs=EPOCHS, seed=row)
        accuracy[row, column] = upper.accuracy(split.test)
        kept[row, column] = np.mean(imagenet_answers(split.test) == before[row])
        by_epoch.setdefault(f"rate {name}", []).append(history["accuracy"])

# %% [markdown]
# Always look at a training curve first. Which rates learn the training images in two epochs? Lines are means of three
# splits, and bands reach from the lowest split to the highest.

# %%
shown = {name: np.array(runs) for name, runs in by_epoch.items()}
teaching.line_chart(
    {"right, of the training images": shown}, range(1, EPOCHS + 1), xlabel="epoch"
)

# %% tags=["hide"]
majority = np.bincount(images.labels).max() / len(images)
after = [
    f"{100 * runs[:, -1].min():.0f} to {100 * runs[:, -1].max():.0f}% at {name}"
    for name, runs in shown.items()
]
slow = (
    " The lowest rate has hardly begun."
    if shown["rate 1e-5"][:, -1].mean() < majority + 0.1
    else ""
)
teaching.finding(
    f"Training images right after two epochs, in the three splits: {', '.join(after)}. "
    f"The largest class is {majority:.0%} of the images.{slow}"
)

# %% [markdown]
# **Predict.** At the rate `1e-3` the new task is learned. For what share of the test images does ImageNet's old top
# still give its old answer, in percent?

# %% tags=["solution"]
# Percent: a number from 0 to 100.
guess = 60
teaching.predict("04.b", guess)

# %%
upper.reset()  # to the pretrained weights
frozen_features = upper.features(np.arange(len(images)))


def solve(x, y):
    """Solve a head by logistic regression, with a fixed penalty."""
    return tlkeras.linear_probe(x, y, Cs=[0.01])


probes = lab.scores(solve, frozen_features, images, splits)

# %% tags=["hide"]
teaching.line_chart(
    {
        "new task: test images right": {"upper blocks train": accuracy},
        "old task: answers kept": {"upper blocks train": kept},
    },
    list(RATES.values()),
    log=True,
    xlabel="learning rate of Adam",
    baselines={"frozen, head solved": probes[:3].mean()},
    title="Where the new task is learned, the old one is erased",
)

# %% tags=["hide"]
LEARNED = list(RATES).index("1e-3")
learns = teaching.compare(
    {"a rate of 0.001": accuracy[:, LEARNED], "a rate of 0.00001": accuracy[:, 0]},
    few,
)
forgets = teaching.compare(
    {"kept at 0.00001": kept[:, 0], "kept at 0.001": kept[:, LEARNED]}, few
)
teaching.outcome(
    "04.b",
    round(100 * kept[:, LEARNED].mean()),
    f"Forgetting happens where the new task *is* learned. New task: {learns} Old task: "
    f"{forgets} In between, at 0.0001, {kept[:, 1].mean():.0%} of the old answers are "
    f"left and {accuracy[:, 1].mean():.0%} of the new ones are right.",
)

# %% [markdown]
# ## What freezing gives, and what it costs
#
# The dashed line is the same network with *every* block frozen. Its head is *solved*: it comes from logistic regression, as
# in notebook 3, instead of training steps. Nothing is forgotten there, because nothing below the head can change. Does
# training the upper blocks, at its best, at least do better on the new task?

# %%
trained = accuracy[:, accuracy.mean(axis=0).argmax()]
pair = {"trained, best rate": trained, "frozen": probes[:3]}
fair = teaching.compare(pair, few)

# %% tags=["hide"]
verdict = {
    "trained, best rate": "does better than freezing",
    "frozen": "does worse than freezing",
    None: "cannot be told from freezing here",
}[fair.better]
teaching.finding(
    f"On the new task, training the upper blocks **{verdict}**. {fair} The best rate was "
    "picked on the same test images, which flatters training. What is certain is the "
    "cost: the old task. Notebook 5 is about training well."
)

# %% [markdown]
# ## The BatchNorm trap
#
# BatchNorm layers hold two kinds of numbers: scale and offset, which are moved by gradients, and **moving statistics**,
# which move whenever the layer sees images in training mode. A recipe in many tutorials calls the base with
# `training=False` to keep the statistics fixed, and then sets `base.trainable = True`.
#
# We follow it with a learning rate of *zero*: no gradient changes anything. Beside it, the same network after
# `tlkeras.unfreeze`, which keeps BatchNorm layers frozen.


# %%
base = tlkeras.backbone("efficientnet_lite0", image_size=96, pooling="avg")
image = keras.Input((96, 96, 3))
top = keras.layers.Dense(10, activation="softmax")
recipe = keras.Model(image, top(base(image, training=False)))
norms = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]
pixels = images.read().astype("float32")


SEEN = (0, 4, 8)


def see(model, after=SEEN):
    """Show batches in training mode; return old answers kept and means that moved."""
    rng, split, shares = np.random.default_rng(0), few[0], []
    start = [np.array(keras.ops.convert_to_numpy(x.moving_mean)) for x in norms]
    for more in np.diff(after, prepend=0):
        for _ in range(more):
            model(pixels[rng.choice(split.train, 16)], training=True)  # as fit does
        now = base.predict(pixels[split.test], verbose=0) @ old_kernel + old_bias
        shares.append(np.mean(now.argmax(axis=1) == before[0]))
    end = [keras.ops.convert_to_numpy(x.moving_mean) for x in norms]
    return shares, sum(not np.array_equal(a, b) for a, b in zip(start, end))


# %%
weights = base.get_weights()
base.trainable = True
trapped, trap = see(recipe)
base.set_weights(weights)
fixed, safe = see(tlkeras.unfreeze(recipe), SEEN[:2])  # what is fixed stays fixed
rest = {"training=False": trapped, "BatchNorm frozen": fixed}

# %% [markdown]
# **Predict.** The network has several dozen BatchNorm layers, and no weight was trained. How many moving means have
# changed with the recipe?

# %% tags=["solution"]
# One of the choices.
guess = "all"
teaching.predict("04.c", guess, choices=("none", "some", "all"))

# %% tags=["hide"]
teaching.line_chart(
    {"ImageNet's old answers kept": rest},
    SEEN,
    xlabel="batches of 16 drawings seen in training mode, learning rate zero",
    title="No gradient, and yet the network forgets",
)

# %% tags=["hide"]
share, tested = rest["training=False"][-1], len(few[0].test)
margin = 1.96 * np.sqrt(share * (1 - share) / tested)
teaching.outcome(
    "04.c",
    "all" if trap == len(norms) else "some" if trap else "none",
    f"With Keras {keras.__version__} and the recipe, **{trap} of {len(norms)}** "
    f"moving means moved, and after {SEEN[-1]} batches {share:.0%} of the {tested} old answers "
    f"are left (95% interval {100 * (share - margin):.0f} to {100 * (share + margin):.0f}; "
    "one split, and one order of the batches). With frozen BatchNorm layers "
    f"{safe} moved, and {rest['BatchNorm frozen'][-1]:.0%} are left. `training=False` "
    "in the call is overruled by `fit`, which calls the whole model in training mode. "
    "This is about the *old* answers; we did not measure the new task here.",
)

# %% tags=["nbval-check-output"]
print("Moving means that changed with frozen BatchNorm layers:", safe)

# %% [markdown]
# ## Did it all hold?

# %%
for then, now in zip(after_a, frozen_units):
    assert np.array_equal(then, now), "the frozen units have moved"
assert learned > 0.9 and frozen == learned, "freezing should keep task A"
assert free < learned - 0.1, "task A should be forgotten"
assert learns.better == "a rate of 0.001" and forgets.better == "kept at 0.00001"
assert trap == len(norms) and safe == 0, "the trap or its fix has changed"
assert rest["training=False"][-1] < 0.9 and rest["BatchNorm frozen"][-1] == 1

# %% [markdown]
# **Question.** Your fine-tuned network must also keep answering its old classes. What helps?
#
# - (a) A learning rate of zero for the backbone.
# - (b) Freezing the backbone, BatchNorm layers included, and training a new head beside the old one.
# - (c) A high learning rate and few epochs.

# %% tags=["solution"]
teaching.quiz("04", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Adam at `1e-3` for two epochs, but only the *last* block below the head may train. Will the share of old answers kept be
# `"lower"` than with both blocks trained, `"higher"`, or the `"same"`? Decide before you run the cell after yours.
#
# <details><summary>Hint</summary>How many of the layers between the pixels and the old top can move now?</details>

# %% tags=["solution"]
# One of "lower", "higher", "same".
prediction = "higher"

# %% tags=["hide"]
tlkeras.unfreeze(upper.model, last=1)
upper.compile(keras.optimizers.Adam(1e-3))
one_block = []
for row, split in enumerate(few):
    upper.fit(split.train, epochs=EPOCHS, seed=row)
    one_block.append(np.mean(imagenet_answers(split.test) == before[row]))
kept_by = {"one block trained": one_block, "two blocks trained": kept[:, LEARNED]}
print(f"Old answers kept: {teaching.compare(kept_by, few)}")

# %%
teaching.check("04.1", prediction, one_block, kept[:, LEARNED])

# %% [markdown]
# ### Exercise 2 · Change
#
# Do not trust a flag; check. Write `moved(model, x, y)`. It trains the compiled `model` for one epoch and returns the
# set of names of all layers in `model.layers` in which anything changed, moving statistics included. The check tries it
# on small models of its own.
#
# <details><summary>Hint</summary><code>layer.get_weights()</code> includes moving statistics. Copy them with
# <code>np.array</code>, or before and after may be the same array.</details>


# %% tags=["solution"]
def moved(model, x, y):
    """Train for one epoch and return the names of the layers that changed."""
    before = {x.name: [np.array(w) for w in x.get_weights()] for x in model.layers}
    model.fit(x, y, verbose=0)
    return {
        layer.name
        for layer in model.layers
        for then, now in zip(before[layer.name], layer.get_weights())
        if not np.array_equal(then, now)
    }


# %%
teaching.check("04.2", moved)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Point `my_folder` at a folder of your own images, one folder per class (here, four of our classes stand in). Create
# `my_images`, the splits, and `my_model`, a classifier on EfficientNet-Lite0 that beats the majority class on the test
# images. At least its stem must be frozen, and frozen weights must still be ImageNet's.
#
# <details><summary>Hint</summary><code>tlkeras.image_classifier(classes=my_classes, image_size=96)</code> makes the
# classifier. Call <code>compile</code> with <code>keras.optimizers.Adam(3e-3)</code> and
# <code>"sparse_categorical_crossentropy"</code>, then <code>tlkeras.freeze(my_model)</code>, and then <code>fit</code>
# for two or three epochs.</details>

# %% tags=["solution"]
# Splits of your images, and a classifier trained on the training images.
my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=96)
my_model = tlkeras.image_classifier(classes=my_classes, image_size=96)
my_model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
tlkeras.freeze(my_model)  # recompiles the model for the layers that still train
my_pixels = my_images.train.read()
history = my_model.fit(my_pixels, my_images.train.labels, epochs=3, verbose=0)

# %%
teaching.check("04.3", my_model, my_images)

# %% tags=["hide"]
teaching.scoreboard(
    "04",
    {"frozen network, solved head": teaching.interval(probes, splits)},
    images="drawings, 96 px",
)

# %% [markdown]
# ## Read on
#
# - Michael McCloskey and Neal J. Cohen, 1989, [Catastrophic interference in connectionist networks: the sequential
#   learning problem](https://doi.org/10.1016/S0079-7421(08)60536-8). The first description.
# - James Kirkpatrick and others, 2017, [Overcoming catastrophic forgetting in neural
#   networks](https://arxiv.org/abs/1612.00796). Hold the weights that the old task needs.
# - [Transfer learning and fine-tuning](https://keras.io/guides/transfer_learning/), the guide of Keras.

# %% [markdown]
# ## Recap
#
# - **Show**: train A, then B, then test A again. Free units forget it.
# - **Weigh**: plot both tasks by learning rate. Where the new task is learned, the old one is being erased.
# - **Freeze**: `tlkeras.freeze` and `tlkeras.unfreeze` choose what trains, and `tlkeras.trainable_table` shows it.
#   Frozen weights stay bit-identical, at the price of some freedom for the new task.
# - **Avoid**: a learning rate of zero does not keep BatchNorm's moving statistics fixed. Freeze the layers themselves,
#   and compare copies from before and after.
