# %% [markdown]
# # 2 · Freezing layers
#
# **Question.** What does a pretrained network forget during training, and what does freezing preserve?
#
# **You will be able to**
#
# - **Show** catastrophic forgetting: a new task overwrites an old one.
# - **Freeze** blocks of a network, and check in a table what will train.
# - **Measure** how far features drift, and what accuracy that buys.
# - **Avoid** the BatchNorm trap: statistics that move although everything should be fixed.
#
# **Before you start:** [Feature extraction](01_feature_extraction.ipynb). You have trained a Keras model with `fit`.
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
# ## The idea, on three units
#
# Three ReLU units and one output learn **task A**: is a point outside a circle? Then the same units, with a new
# output, learn **task B**: is the point to the right of a line? Finally, A's old output is put back on the units.

# %%
rng = np.random.default_rng(0)
points = rng.uniform(-2, 2, (400, 2)).astype("float32")
outside = (np.hypot(points[:, 0], points[:, 1]) > 1.3).astype(int)
right = (points[:, 0] > 0.3).astype(int)

tiny = keras.Sequential(
    [
        keras.Input((2,)),
        keras.layers.Dense(3, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
units, output = tiny.layers
look = np.deg2rad([90, 210, 330]) + rng.normal(0, 0.2, 3)
units.set_weights([np.stack([np.cos(look), np.sin(look)]), np.zeros(3)])
new_output = [rng.normal(0, 0.3, (3, 1)), np.zeros(1)]


# %%
def learn(task):
    """Fit a new output, and the units unless they are frozen, to a task."""
    output.set_weights(new_output)
    tiny.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    often = np.tile(points, (40, 1)), np.tile(task, 40)
    tiny.fit(*often, batch_size=40, shuffle=False, verbose=0)


def answers():
    """Return the current network as a function from points to classes."""
    copy = keras.models.clone_model(tiny)
    copy.set_weights(tiny.get_weights())
    return lambda x: keras.ops.convert_to_numpy(copy(x))[:, 0] > 0.5


def share(says, task):
    """Return the share of points that are classified correctly."""
    return np.mean(says(points) == task)


# %%
learn(outside)
after_a = [np.array(weight) for weight in tiny.get_weights()]
on_a, on_b = {"A learned": answers()}, {}
for name, trains in (("then B, units free", True), ("then B, units frozen", False)):
    tiny.set_weights(after_a)
    units.trainable = trains
    learn(right)
    on_b[name] = share(answers(), right)
    output.set_weights(after_a[2:])
    on_a[name] = answers()
frozen_units = [np.array(weight) for weight in units.get_weights()]

# %% [markdown]
# **Predict.** The points of task A are the same, and A's output is restored. How much of A is left if the units were
# free to learn B, and how much if they were frozen?

# %%
evaluation.decision_regions(on_a, points, outside)

# %%
kept_a = {name: share(says, outside) for name, says in on_a.items()}
learned, free, frozen = kept_a.values()
b_free, b_frozen = on_b.values()
always = max(outside.mean(), 1 - outside.mean())
teaching.finding(
    f"A falls from {learned:.2f} to {free:.2f} if the units learn B; always answering "
    f"the majority gives {always:.2f}. Frozen units keep {frozen:.2f}. The price: B "
    f"reaches {b_free:.2f} with free units, {b_frozen:.2f} with frozen ones."
)

# %% [markdown]
# This is **catastrophic forgetting**: gradient descent changes whatever lowers the loss of the current task, and the
# previous task has no say.
#
# ## The same with a real network
#
# EfficientNet-Lite0 has learned its task A: ImageNet's thousand classes. Task B is ours: drawings in ten classes. A
# network is frozen from the bottom up, block by block, because early blocks hold the most general features.

# %%
SIZE = (96, 96)
splits = [
    tlkeras.load_images(teaching.clipart10(), seed=seed, image_size=SIZE)
    for seed in range(3)
]
names = splits[0].class_names
pixels = [(split.train.read(), split.test.read()) for split in splits]
network = tlkeras.image_classifier(classes=names, image_size=SIZE, dropout=0)
start = [np.array(weight) for weight in network.get_weights()]

# %% tags=["nbval-check-output"]
tlkeras.trainable_table(tlkeras.unfreeze(network, last=2))

# %% [markdown]
# Read the column `trainable` before you train. We compare three ways to start: train only the head, the head and the
# last two blocks, or all layers. Each gets one epoch of Adam at ten times the rate that `tlkeras.fine_tune` would use:
# a beginner's mistake, made on purpose.
#
# To test task A, we put ImageNet's original top back on the features. Does it still predict the same class as before?

# %%
imagenet = tlkeras.EfficientNetLite0(input_shape=(*SIZE, 3))
old_kernel, old_bias = imagenet.get_layer("predictions").get_weights()
trunk = keras.Model(network.input, network.layers[-1].input)
features = [trunk.predict(test, verbose=0) for _, test in pixels]


# %%
def compare(before, after):
    """Return the share of unchanged ImageNet answers and the mean feature cosine."""
    old, new = ((x @ old_kernel + old_bias).argmax(axis=1) for x in (before, after))
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return np.mean(old == new), np.mean((before * after).sum(axis=1) / lengths)


# %%
def train(choose, rate, seeds=(0, 1, 2)):
    """Train what `choose` leaves free; return accuracies, kept answers and cosines."""
    choose(network)
    optimizer = keras.optimizers.Adam(rate)
    network.compile(optimizer, "sparse_categorical_crossentropy")
    optimizer.build(network.trainable_variables)
    optimizer.save_own_variables(blank := {})
    blank, rows = {name: np.array(value) for name, value in blank.items()}, []
    for seed in seeds:
        network.set_weights(start)
        keras.utils.set_random_seed(seed)
        (images, test), split = pixels[seed], splits[seed]
        network.fit(images, split.train.labels, batch_size=32, verbose=0)
        optimizer.load_own_variables(blank)  # the next run must not remember this one
        after = trunk.predict(test, verbose=0)
        kernel, bias = network.layers[-1].get_weights()
        hits = (after @ kernel + bias).argmax(axis=1) == split.test.labels
        rows.append((hits.mean(), *compare(features[seed], after)))
    return np.array(rows).T


# %%
TOO_HIGH = 3e-3
ways = {
    "head only": tlkeras.freeze,
    "last two blocks": lambda model: tlkeras.unfreeze(model, last=2),
    "all layers": tlkeras.unfreeze,
}
results = {name: train(choose, TOO_HIGH) for name, choose in ways.items()}
all_trained = [np.array(weight) for weight in network.get_weights()]
accuracy, kept, cosine = (
    {name: rows[number] for name, rows in results.items()} for number in range(3)
)

# %% [markdown]
# **Predict.** For what share of the test images does ImageNet's original top still give its old answer, after one epoch
# on the head, on two more blocks, or on all layers?

# %%
evaluation.accuracy_bars(kept, xlabel="share of images with ImageNet's old answer")

# %%
drift = ", ".join(f"{name} {evaluation.with_error(x)}" for name, x in cosine.items())
teaching.finding(
    f"The old answer survives for {evaluation.with_error(kept['all layers'])} of the "
    "images if all layers train, for "
    f"{evaluation.with_error(kept['last two blocks'])} if two blocks do, and for "
    f"{evaluation.with_error(kept['head only'])} with a frozen trunk (mean of "
    f"{len(splits)} seeds ± standard error). Cosine to the old features: {drift}."
)

# %% [markdown]
# Forgetting might be a fair price if our own task gained from it. The baselines are the majority class and the same
# architecture trained from random weights on our images, for many epochs at a suitable rate.
#
# **Predict.** Which of the three is best on our test images?

# %%
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]
scratch = teaching.measured("from_scratch")[str(SIZE[0])]
evaluation.accuracy_bars(
    {**accuracy, "same network, from scratch": scratch["test"]},
    {"majority class": majority},
)

# %%
gain = accuracy["head only"] - accuracy["all layers"]
every = ", ".join(f"{name} {evaluation.with_error(x)}" for name, x in accuracy.items())
teaching.finding(
    f"{every}; from scratch, after {scratch['epochs']} epochs, "
    f"{evaluation.with_error(scratch['test'])}; "
    f"majority class {np.mean(majority):.2f}. "
    f"At this rate the head alone is {evaluation.with_error(gain)} better than all "
    "layers: our task needed what they forgot of ImageNet."
)

# %% [markdown]
# This finding is about one epoch at *this* rate, not about training all layers in general. Notebook 3 is about
# gentler rates, and about one rate per block.
#
# ## The BatchNorm trap
#
# BatchNorm layers hold two kinds of numbers: scale and offset, which are moved by gradients, and moving statistics,
# which move whenever the layer sees images in training mode. A recipe in many tutorials calls the base with
# `training=False` to keep the statistics fixed, and then sets `base.trainable = True`.
#
# We follow this recipe with a learning rate of *zero*. Nothing at all should change.

# %%
network.set_weights(start)
base, image = trunk, keras.Input((*SIZE, 3))
base.trainable = False  # in tutorials the head trains alone first
head = keras.layers.Dense(len(names), activation="softmax")
recipe = keras.Model(image, head(base(image, training=False)))
norms = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]


# %%
def statistics():
    """Copy the moving mean and variance of every BatchNorm layer."""
    moving = ((norm.moving_mean, norm.moving_variance) for norm in norms)
    return [[np.array(keras.ops.convert_to_numpy(x)) for x in pair] for pair in moving]


def shifts(before, after):
    """Return the average shift of each layer's moving mean, in standard deviations."""
    pairs = zip(before, after)
    return [np.mean(abs(new[0] - m) / np.sqrt(v + 1e-3)) for (m, v), new in pairs]


# %%
imagenets = statistics()
base.trainable = True
still = {"optimizer": keras.optimizers.SGD(0.0), "run_eagerly": True}  # for few steps
recipe.compile(loss="sparse_categorical_crossentropy", **still)
recipe.fit(pixels[0][0][:64], splits[0].train.labels[:64], batch_size=16, verbose=0)
trap = shifts(imagenets, statistics())
trap_kept, _ = compare(features[0], base.predict(pixels[0][1], verbose=0))

# %% [markdown]
# The fix is to freeze the BatchNorm layers themselves, and `tlkeras.unfreeze` does so by default. It was in effect
# above, where all layers trained at a rate that was far too high. Did the statistics move there?

# %%
network.set_weights(all_trained)
fixed = shifts(imagenets, statistics())
pairs = list(zip(imagenets, statistics()))
identical = all(np.array_equal(a, b) for pair in pairs for a, b in zip(*pair))
weights_moved = not np.array_equal(start[0], all_trained[0])

# %% [markdown]
# **Predict.** The network has several dozen BatchNorm layers. How many moving means moved with the recipe, and how
# many with the fix?

# %%
evaluation.curves(
    {"base(x, training=False)": trap, "tlkeras.unfreeze": fixed},
    np.arange(1, len(norms) + 1),
    xlabel="BatchNorm layer, from the stem up",
    ylabel="shift of the mean (std. dev.)",
)

# %%
teaching.finding(
    f"With Keras {keras.__version__} and the recipe, {np.count_nonzero(trap)} of "
    f"{len(norms)} moving means moved at a learning rate of zero, and ImageNet's old "
    f"top kept its answer for {trap_kept:.2f} of the images. With the fix "
    f"{np.count_nonzero(fixed)} moved, although the weights were trained."
)

# %% tags=["nbval-check-output"]
print("Weights trained:", weights_moved)
print("Moving statistics bit-identical:", identical)

# %% [markdown]
# ## Did it all hold?

# %%
for then, now in zip(after_a, frozen_units):
    assert np.array_equal(then, now), "the frozen units have moved"
assert learned > 0.9 and frozen == learned, "freezing should keep task A"
assert free < learned - 0.1, "task A should be forgotten"
assert b_free > b_frozen, "free units should help task B here"
assert np.all(kept["head only"] == 1), "the frozen trunk has changed"
assert np.mean(kept["all layers"]) < 0.5, "ImageNet should be forgotten"
assert gain.mean() > 0.1, "freezing should help at this rate"
assert np.mean(accuracy["head only"]) > np.mean(majority) + 0.1
assert np.mean(accuracy["head only"]) > np.mean(scratch["test"]), (
    "no better than scratch"
)
assert identical and weights_moved and not np.any(fixed), "the fix does not hold"

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Train the last two blocks again, at a *hundredth* of the rate. Will ImageNet's old answers be `"forgotten"` (for most
# images), `"partly"` kept, or `"kept"` (for most images)? Decide before you run the cell after yours.
#
# <details><summary>Hint</summary>
#
# Adam's steps are about as large as its learning rate, whatever the gradient. How many steps are there in one epoch?
#
# </details>

# %% tags=["solution"]
# One of "forgotten", "partly", "kept".
prediction = "kept"

# %%
gentle_accuracy, gentle_kept, _ = train(
    ways["last two blocks"], TOO_HIGH / 100, seeds=(0, 1)
)
print("old answers kept:", evaluation.with_error(gentle_kept))
print("accuracy:", evaluation.with_error(gentle_accuracy))

# %%
teaching.check("02.1", prediction, gentle_kept)

# %% [markdown]
# ### Exercise 2 · Change
#
# Do not trust a flag; check. Write `moved(model, x, y)`. It trains the compiled `model` for one epoch and returns the
# set of names of all layers in `model.layers` in which anything changed, moving statistics included. The check tries it
# on small models of its own.
#
# <details><summary>Hint</summary>
#
# `layer.get_weights()` includes moving statistics. Copy them with `np.array`; on JAX you would otherwise get a view.
#
# </details>


# %% tags=["solution"]
def moved(model, x, y):
    """Train for one epoch and return the names of the layers that changed."""
    before = {
        layer.name: [np.array(weight) for weight in layer.get_weights()]
        for layer in model.layers
    }
    model.fit(x, y, verbose=0)
    return {
        layer.name
        for layer in model.layers
        for then, now in zip(before[layer.name], layer.get_weights())
        if not np.array_equal(then, now)
    }


# %%
teaching.check("02.2", moved)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Point `my_folder` at a folder of your own images, one folder per class (here, four of our classes stand in). Create
# `my_images`, the splits, and `my_model`, a classifier on EfficientNet-Lite0 that beats the majority class on the test
# images. At least its stem must be frozen, and frozen weights must still be ImageNet's.
#
# <details><summary>Hint</summary>
#
# Call `compile`, `tlkeras.freeze(my_model)` before or after it, and `fit` for two or three epochs.
#
# </details>

# %% tags=["solution"]
# Splits of your images, and a classifier trained on the training images.
my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=SIZE)
my_model = tlkeras.image_classifier(classes=my_classes, image_size=SIZE)
my_model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
tlkeras.freeze(my_model)  # recompiles the model for the layers that still train
my_pixels = my_images.train.read()
history = my_model.fit(my_pixels, my_images.train.labels, epochs=3, verbose=0)

# %%
teaching.check("02.3", my_model, my_images)

# %% [markdown]
# ## Recap
#
# - **Show**: train A, then B, then test A again. Free units forget it.
# - **Freeze**: `tlkeras.freeze` and `tlkeras.unfreeze` choose what trains, and `tlkeras.trainable_table` shows it.
#   Frozen weights stay bit-identical, at the price of some freedom for the new task.
# - **Measure**: put the old top back on the features. If the rate is too high, free blocks drift, and accuracy suffers.
# - **Avoid**: a learning rate of zero does not keep BatchNorm's moving statistics fixed. Freeze the layers themselves,
#   and compare copies from before and after.
