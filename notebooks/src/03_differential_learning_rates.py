# %% [markdown]
# # 3 · Differential learning rates
#
# **Question.** Should every block of a pretrained network learn at the same rate?
#
# **You will be able to**
#
# - **Recognize** from the loss whether a learning rate is too low, suitable, or too high.
# - **Give** each block its own share of the rate, with one optimizer.
# - **Sweep** rates on validation images, and say so when a gain is within noise.
# - **See** the rate of each block, and how far it moved.
#
# **Before you start:** [Freezing layers](02_freezing_layers.ipynb).
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
from scipy import stats

import tlkeras
from tlkeras import evaluation
from tlkeras.models.graph import cut

# %% [markdown]
# ## The idea, on two layers
#
# The points lie inside and outside a circle. The first layer, three ReLU units, is "pretrained": it looks in three
# directions that suit the task. The second layer is new. Both learn by gradient descent, at one of three rates.

# %%
rng = np.random.default_rng(0)
points = rng.uniform(-2, 2, (400, 2)).astype("float32")
outside = (np.hypot(points[:, 0], points[:, 1]) > 1.3).astype(int)
look = np.deg2rad([90, 210, 330])
pretrained = [np.stack([np.cos(look), np.sin(look)]), np.zeros(3)]
new = [rng.normal(0, 0.3, (3, 1)), np.zeros(1)]


# %%
def two_layers():
    """Build a model of a pretrained layer of three units and a new output."""
    units = keras.layers.Dense(3, activation="relu", name="units")
    output = keras.layers.Dense(1, activation="sigmoid", name="output")
    model = keras.Sequential([keras.Input((2,)), units, output])
    model.set_weights([*pretrained, *new])
    return model


def losses(rate):
    """Return the loss after each of fifteen epochs."""
    model = two_layers()
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    fit = {"epochs": 15, "batch_size": 40, "shuffle": False, "verbose": 0}
    return model.fit(points, outside, **fit).history["loss"]


# %%
rates = {"too low": 0.01, "suitable": 1.0, "too high": 8.0}
by_rate = {f"{name}: {rate:g}": losses(rate) for name, rate in rates.items()}

# %% [markdown]
# **Predict.** The lowest rate is a hundredth of the suitable one, and the highest is eight times as high. What does the
# loss do at each of them?

# %%
evaluation.curves(by_rate, np.arange(1, 16), xlabel="epoch", ylabel="loss")

# %%
low, suitable, high = (loss[-1] for loss in by_rate.values())
guessing = -np.mean(np.log([1 - outside.mean(), outside.mean()])[outside])
teaching.finding(
    f"After fifteen epochs the loss is {low:.2f} at the low rate, {suitable:.2f} at "
    f"the suitable one and {high:.2f} at the high one. Knowing only the class "
    f"frequencies gives {guessing:.2f}. The low rate needs more time; at the high one, "
    "the steps jump over the minimum."
)

# %% [markdown]
# ## A rate for each layer
#
# The new layer knows nothing and needs large steps. The pretrained one is nearly right and needs small ones.
# `tlkeras.differential_optimizer` multiplies the *update* of each block by its share: with `layer_decay=0.1` the block
# below the head gets a tenth.
#
# Does one optimizer with shares do the same as several optimizers? Keras' `MultiOptimizer`, which holds one optimizer
# per layer, serves as the reference. Both train the same model with Adam.


# %%
def trained(make_optimizer):
    """Return the weights after one epoch."""
    model = two_layers()
    model.compile(make_optimizer(model), "binary_crossentropy")
    model.fit(points, outside, batch_size=40, shuffle=False, verbose=0)
    return [np.array(weight) for weight in model.get_weights()]


def shares(model):
    """Make one optimizer that gives the lower layer a tenth of the rate."""
    return tlkeras.differential_optimizer(
        model, keras.optimizers.Adam(0.01), layer_decay=0.1
    )


def several(model):
    """Make one optimizer per layer."""
    each = {
        "units": keras.optimizers.Adam(0.001),
        "output": keras.optimizers.Adam(0.01),
    }
    return keras.optimizers.MultiOptimizer(lambda v: each[v.path.split("/")[-2]])


# %% tags=["nbval-check-output"]
pairs = list(zip(trained(shares), trained(several)))
apart = max(np.abs(one - other).max() for one, other in pairs)
print("The same weights to a millionth:", bool(apart <= 1e-6))

# %% [markdown]
# ## Rates for a real network
#
# All blocks of EfficientNet-Lite0 except the last two and the head stay frozen, so their output is computed once. That
# makes a sweep cheap: the part that trains is a small model of its own.

# %%
SIZE = (96, 96)
splits = [
    tlkeras.load_images(teaching.clipart10(), seed=seed, image_size=SIZE)
    for seed in range(3)
]
names = splits[0].class_names
network = tlkeras.image_classifier(classes=names, image_size=SIZE, dropout=0)
start = [np.array(weight) for weight in network.get_weights()]
network = tlkeras.unfreeze(network, last=2)

# %%
frozen_part, top = cut(network)
top_start = [np.array(weight) for weight in top.get_weights()]
print("blocks that train:", ", ".join(tlkeras.blocks(top).names))

# %%
parts = (splits[0].train, splits[0].validation, splits[0].test)
images = np.concatenate([part.read() for part in parts])
paths = np.concatenate([part.paths for part in parts])
maps = dict(zip(paths, frozen_part.predict(images, batch_size=64, verbose=0)))


def given(part):
    """Return the frozen part's output for the images of a split, and their labels."""
    return np.stack([maps[path] for path in part.paths]), part.labels


# %%
def accuracy(x, labels):
    """Return the accuracy of the top in its current state."""
    answers = keras.ops.convert_to_numpy(top(x, training=False))
    return np.mean(answers.argmax(axis=1) == labels)


# %%
def sweep(decay, rates):
    """Return validation and test accuracies, of shape (2, seeds, rates)."""
    adam = keras.optimizers.Adam()
    optimizer = tlkeras.differential_optimizer(top, adam, layer_decay=decay)
    top.compile(optimizer, "sparse_categorical_crossentropy")
    optimizer.build(top.trainable_variables)
    optimizer.save_own_variables(blank := {})
    blank = {name: np.array(value) for name, value in blank.items()}
    scores = np.zeros((2, len(splits), len(rates)))
    for seed, split in enumerate(splits):
        parts = (split.train, split.validation, split.test)
        train, validation, test = map(given, parts)
        for column, rate in enumerate(rates):
            top.set_weights(top_start)
            optimizer.load_own_variables(blank)
            optimizer.learning_rate = rate
            keras.utils.set_random_seed(seed)
            top.fit(*train, batch_size=32, epochs=4, verbose=0)
            scores[:, seed, column] = accuracy(*validation), accuracy(*test)
    return scores


# %%
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
one = sweep(decay=1.0, rates=RATES)
falling = sweep(decay=0.3, rates=RATES)

# %% [markdown]
# **Predict.** Compare one rate for all blocks with a rate that falls to a third from block to block. At which rate is
# each best on validation images, and which one tolerates high rates better?

# %%
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]
evaluation.curves(
    {"one rate": one[0], "falling with depth": falling[0]},
    [f"{rate:g}" for rate in RATES],
    xlabel="learning rate of the head",
    ylabel="validation accuracy",
    baselines={"majority class": majority},
)

# %%
ends = [evaluation.with_error(scores[0][:, -1]) for scores in (one, falling)]
best = [scores[0].argmax(axis=1) for scores in (one, falling)]
chosen = [", ".join(f"{RATES[k]:g}" for k in each) for each in best]
teaching.finding(
    f"Chosen on validation images in the {len(splits)} splits: {chosen[0]} with one "
    f"rate, {chosen[1]} with falling ones. At {RATES[-1]:g}, the highest, one rate "
    f"gives {ends[0]} and falling ones {ends[1]} (mean of seeds ± standard error)."
)

# %% [markdown]
# ## Is it better, each at its best?
#
# A fair comparison gives each method its own best rate, chosen on validation images, and measures on test images. The
# rate for the same architecture from scratch was chosen in the same way.
#
# A few runs estimate a standard error poorly. Student's t distribution says how many standard errors a gain must have
# to count as one.
#
# **Predict.** How large is the gain of falling rates, and is it more than noise?

# %%
rows = np.arange(len(splits))
on_test = [scores[1][rows, each] for scores, each in zip((one, falling), best)]
scratch = teaching.measured("from_scratch")[str(SIZE[0])]
evaluation.accuracy_bars(
    {
        "one rate": on_test[0],
        "falling with depth": on_test[1],
        "same network, from scratch": scratch["test"],
    },
    {"majority class": majority},
)

# %%
gain = on_test[1] - on_test[0]
bound = stats.t.ppf(0.975, len(gain) - 1)
noise = abs(gain.mean()) < bound * evaluation.standard_error(gain)
verdict = "within noise" if noise else "beyond noise"
uniform, fell, scratched = map(evaluation.with_error, (*on_test, scratch["test"]))
teaching.finding(
    f"One rate {uniform}, falling {fell}; the gain is {evaluation.with_error(gain)}. "
    f"With {len(gain)} runs a gain must exceed {bound:.1f} standard errors, so this is "
    f"{verdict}. From scratch, {scratch['epochs']} epochs at its own best rate of "
    f"{scratch['rate']:g}: {scratched}; majority class {np.mean(majority):.2f}."
)

# %% [markdown]
# ## What each block does
#
# Now all blocks train, for a few steps. Look at the rates *before* training. A table is cheap.

# %%
network.set_weights(start)
tlkeras.unfreeze(network)
adam = keras.optimizers.Adam(1e-3)
falling_adam = tlkeras.differential_optimizer(network, adam, layer_decay=0.5)
network.compile(falling_adam, "sparse_categorical_crossentropy")
print(tlkeras.learning_rate_table(network))

# %%
sample = splits[0].train.sample(per_class=6)
sample_pixels = sample.read()


def moved(optimizer):
    """Return how far each block moves in four steps, relative to its length."""
    network.set_weights(start)
    network.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    below = [block for block in tlkeras.blocks(network) if block.role != "head"]
    flat = [lambda b=b: np.concatenate([np.ravel(w) for w in values(b)]) for b in below]
    before = [weights() for weights in flat]
    keras.utils.set_random_seed(0)
    network.fit(sample_pixels, sample.labels, batch_size=16, verbose=0)
    return {
        block.name: np.linalg.norm(weights() - then) / np.linalg.norm(then)
        for block, weights, then in zip(below, flat, before)
    }


def values(block):
    """Return the trainable weights of a block as NumPy arrays."""
    return [keras.ops.convert_to_numpy(w) for w in block.weights if w.trainable]


# %%
drift = {"falling with depth": moved(falling_adam)}
drift["one rate"] = moved(keras.optimizers.Adam(1e-3))

# %% [markdown]
# **Predict.** Adam's steps are about as long as its rate. Which blocks have moved farthest, relative to the length of
# their own weights, with one rate and with falling rates?

# %%
evaluation.curves(
    {name: list(blocks.values()) for name, blocks in drift.items()},
    list(drift["one rate"]),
    xlabel="block",
    ylabel="distance moved / length",
)

# %%
equal, fallen = drift["one rate"], drift["falling with depth"]
farthest = [max(each, key=each.get) for each in (equal, fallen)]
teaching.finding(
    f"With one rate {farthest[0]} moves farthest, by {equal[farthest[0]]:.3f} of its "
    f"length, and the stem moves by {equal['stem']:.3f}. With falling rates it is "
    f"{farthest[1]}, by {fallen[farthest[1]]:.3f}, and the stem moves by "
    f"{fallen['stem']:.5f}. This is a single run, without a spread."
)

# %% [markdown]
# ## Did it all hold?

# %%
assert suitable < low - 0.1 and suitable < high - 0.1, "three rates look alike"
slow = next(iter(by_rate.values()))
assert np.all(np.diff(slow) < 0), "at the low rate the loss should still fall"
assert apart <= 1e-6, "the shares are not what several optimizers do"
table = tlkeras.learning_rate_table(network)
assert all(np.isclose(row.learning_rate, 1e-3) for row in table), "one rate was last"
assert fallen["stem"] < equal["stem"] / 10, "the stem should hardly move"
for tested in on_test:
    assert tested.mean() > np.mean(majority) + 0.15, "no better than one class"
    assert tested.mean() > np.mean(scratch["test"]) + 0.1, "no better than scratch"
assert falling[0][:, -1].mean() > one[0][:, -1].mean(), "high rates are tolerated alike"

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Adam divides by the size of the gradient. Suppose you multiply the *loss* by a tenth instead of the *update*, with one
# rate for all. How far do the weights move: a `"tenth"` as far, about the `"same"`, or `"ten times"` as far? Decide
# before you run the cell below yours.
#
# <details><summary>Hint</summary>
#
# What is a gradient divided by its own size?
#
# </details>

# %% tags=["solution"]
# One of "tenth", "same", "ten times".
prediction = "same"

# %%
distances = []
for scale in (1.0, 0.1):
    model = two_layers()
    loss = {"loss": "binary_crossentropy", "loss_weights": [scale]}
    model.compile(keras.optimizers.Adam(0.01), **loss)
    model.fit(points, outside, batch_size=40, shuffle=False, verbose=0)
    now = model.get_weights()
    distances.append(sum(np.abs(a - b).sum() for a, b in zip(now, [*pretrained, *new])))
ratio = distances[1] / distances[0]
print(f"a tenth of the loss moves the weights {ratio:.2f} times as far")

# %%
teaching.check("03.1", prediction, ratio)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `stages(model, rate)`. It returns an Adam with which the head of `model` learns at `rate`, the block below it at
# a quarter of that, the next at a sixteenth, and so on. The check uses small models of its own. Then try it in the
# sweep.
#
# <details><summary>Hint</summary>
#
# `tlkeras.differential_optimizer` takes `layer_decay`, or `multipliers` by block. `tlkeras.learning_rate_table` shows
# the rates of a compiled model.
#
# </details>


# %% tags=["solution"]
def stages(model, rate):
    """Make an Adam whose rate falls to a quarter from block to block."""
    adam = keras.optimizers.Adam(rate)
    return tlkeras.differential_optimizer(model, adam, layer_decay=0.25)


# %%
teaching.check("03.2", stages)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Point `my_folder` to a folder of your own images, one folder per class (here, four of our classes stand in). Create
# `my_images`, the splits, and `my_model`, compiled with rates that rise from block to block, and trained until it beats
# the majority class on the test images.
#
# <details><summary>Hint</summary>
#
# `tlkeras.fine_tune` recompiles the model when it ends. `compile` and `fit` by hand keep your rates.
#
# </details>

# %% tags=["solution"]
# Splits of your images, and a classifier trained on the training images.
my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=SIZE)
my_model = tlkeras.image_classifier(classes=my_classes, image_size=SIZE)
my_adam = keras.optimizers.Adam(3e-3)
my_rates = tlkeras.differential_optimizer(my_model, my_adam, layer_decay=0.2)
my_model.compile(my_rates, "sparse_categorical_crossentropy")
tlkeras.unfreeze(my_model, last=2)  # recompiles the model
my_pixels = my_images.train.read()
history = my_model.fit(my_pixels, my_images.train.labels, epochs=3, verbose=0)

# %%
teaching.check("03.3", my_model, my_images)

# %% [markdown]
# ## Recap
#
# - **Recognize**: at a rate that is too low, the loss still falls when time is up. At one that is too high, it stays
#   far above what a suitable rate reaches.
# - **Give**: `tlkeras.differential_optimizer` scales the updates block by block, like one optimizer per block.
# - **Sweep**: each method gets its best rate, chosen on validation images. A gain within its error is noise.
# - **See**: `tlkeras.learning_rate_table` before training, and the distance that each block moved afterwards.
