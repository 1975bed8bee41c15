# %% [markdown]
# # 01 · The whole game
#
# **Question.** What is transfer learning, and what does it save us?
#
# **You will be able to**
#
# - **Build** an image classifier from a folder of images in ten lines.
# - **Read** its right and wrong answers.
# - **Explain** what transfer learning is and what it keeps.
# - **Compare** it fairly with training the same network from scratch.
#
# **Before you start:** [Setup](00_setup.ipynb). You know Python and have seen a Keras model before.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 to 2 min | 15 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %% [markdown]
# ## Ten lines
#
# We play the whole game once before we look at its parts. The cell below reads a folder with one subfolder per class,
# turns each drawing into numbers with a network that somebody else trained on photos, learns ten classes from these
# numbers, and ends with one Keras model. It does not matter yet if you do not understand each line.

# %%
import numpy as np
from sklearn.pipeline import make_pipeline

import tlkeras

images = tlkeras.load_images(teaching.clipart10(), seed=0, image_size=160)
network = tlkeras.FeatureExtractor("efficientnet_lite0", image_size=160)
# Nothing is chosen on validation images here, so they are more images to learn from.
train = images.train.join(images.validation)
# The head is a scaler and a logistic regression. Near-duplicate drawings form a group.
head = tlkeras.linear_probe(network.transform(train), train.labels, groups=train.groups)
model = tlkeras.fold(make_pipeline(network, *head))  # network and head as one model
probabilities = model.predict(images.test.read(), verbose=0)

# %% [markdown]
# The test images were set aside before anything was learned. How many of a hundred test drawings does the model answer
# correctly? One in five would be no better than always saying *mammal*.

# %% tags=["solution"]
# In percent, as a number.
guess = 50
teaching.predict("01.a", guess)

# %%
right = probabilities.argmax(axis=1) == images.test.labels
tlkeras.answered_images(
    images.test.paths,
    images.test.labels,
    probabilities,
    images.class_names,
    # the last row shows which places of a drawing spoke for the answer
    maps=lambda which: tlkeras.activation_maps(model, images.test.take(which)),
)

# %%
worst = np.flatnonzero(~right)[np.argsort(-probabilities.max(axis=1)[~right])][:6]
noted = (teaching.lab.label_notes(images.test.take(worst)) != "").sum()
_, low, high = teaching.counted(right.mean(), len(right))
teaching.outcome(
    "01.a",
    round(100 * right.mean()),
    f"{right.sum()} of {len(right)} test drawings are right; with so few, the true share "
    f"may lie anywhere from {low:.0%} to {high:.0%}. Look at the mistakes: some are "
    "understandable, others have no excuse. People who checked all labels noted "
    f"{noted} of the {len(worst)} most confident mistakes as wrongly or doubtfully "
    "*labeled*. In the last row, bright places spoke for the wrong answer; notebook 02 "
    "explains how.",
)

# %% [markdown]
# ## What happened?
#
# This is **transfer learning**: what was learned on one task, here telling a thousand classes of photos apart, is used
# for another task, here our drawings (Pan and Yang, 2010). The network's layers are copied with the numbers they
# learned, its **weights**: it is *pretrained*. Only its last layer, the **head**, is replaced. We trained the new head
# and nothing else.

# %%
teaching.transfer_diagram()

# %%
kept, new = network.transform(train).shape[1], len(images.class_names)
trained = sum(np.size(weight) for weight in model.layers[-1].get_weights())
teaching.finding(
    f"The network has {model.count_params():,} weights. We trained {trained:,} of them, "
    f"the head: {kept} numbers in, {new} classes out. **All others were borrowed.**"
)

# %% [markdown]
# ## What did it save?
#
# Would the same network have learned our drawings without photos? That is the only fair comparison: same architecture,
# same images, but random weights at the start. It takes too long for this page, so `benchmarks/from_scratch.py` did it,
# at 96 pixels, with a tuned learning rate, augmentation and 30 passes over the training images, on three splits. Here
# we only compute our side of it, on the same images at the same size.

# %% tags=["solution"]
# From scratch, the test accuracy will be...
choices = (
    "not clearly better than always mammal",
    "better, but below transfer",
    "as good as transfer",
)
guess = "better, but below transfer"
teaching.predict("01.b", guess, choices)

# %%
scratch = teaching.measured("from_scratch")["96"]
transfer, largest = [], []
small = tlkeras.FeatureExtractor("efficientnet_lite0", image_size=96)
for seed in scratch["seeds"]:
    split = tlkeras.load_images(teaching.clipart10(), seed=seed, image_size=96)
    x, y = small.transform(split.train), split.train.labels
    head = tlkeras.linear_probe(x, y, groups=split.train.groups)
    test = split.test.labels
    transfer.append(head.score(small.transform(split.test), test))
    largest.append(np.mean(test == np.bincount(y).argmax()))

# %%
import matplotlib.pyplot as plt

for run in scratch["runs"]:
    if run["rate"] == scratch["rate"]:
        curve = 100 * np.array(run["curve"])
        plt.plot(range(1, 31), curve, color="#d55e00", linewidth=1.5)
plt.axhline(100 * np.mean(transfer), color="#0072b2")
plt.axhline(100 * np.mean(largest), color="#6b6b6b", ls="--")
tests = 100 * np.mean(scratch["test"])
plt.plot(30, tests, "o", color="#d55e00", clip_on=False)
words = (
    (1, 100 * np.mean(transfer) + 2, "transfer, on test images", "#0072b2"),
    (12, 37, "from scratch, on validation images", "#d55e00"),
    (26, tests + 18, f"on test images: {tests:.1f}%", "#d55e00"),
    (1, 3, "dashed: always mammal, on test images", "#6b6b6b"),
)
for x, y, text, color in words:
    plt.text(x, y, text, color=color, ha="left" if x == 1 else "center")
plt.title("From scratch, 30 passes do not catch up")
plt.xlabel("passes over the training images (epochs)")
plt.ylabel("right answers (%)")
plt.ylim(0, 80)
teaching.show_figure(
    f"Three runs from scratch rise slowly over 30 epochs, to {tests:.1f}% on test images; "
    f"transfer has {np.mean(transfer):.1%} on test images from the start, and always saying "
    f"mammal {np.mean(largest):.1%}."
)

# %%
counts = {"train": len(split.train), "test": len(split.test)}
names = ("transfer", "training from scratch")
gap = tlkeras.compare(transfer, scratch["test"], names=names, **counts)
names = (names[1], "always mammal")
base = tlkeras.compare(scratch["test"], largest, names=names, **counts)
known = choices[1] if base.better else choices[0]
truth = known if gap.better == "transfer" else choices[2]
teaching.outcome(
    "01.b",
    truth,
    f"These are three splits only.\n\n- {gap}\n- {base}\n\nA 95% interval is the range of "
    "differences that fit these splits. If it contains 0, we do not know which one is "
    "better. A difference that *would be found four times in five* is one that a "
    "comparison like this notices in four of five cases; smaller ones often stay unseen. "
    "The curves are accuracies on validation images; the numbers are from test images.",
)

# %%
seen = scratch["epochs"] * len(split.train)
teaching.finding(
    f"The price differs as well. From scratch, {seen:,} images went through the network "
    "forward and backward, which costs about three times as much as forward alone, and "
    "other learning rates were tried before. "
    f"Transfer needed one forward pass for each of {len(split.train) + len(split.test)} "
    "images: seconds on a laptop, not counting what somebody else spent on ImageNet."
)

# %% [markdown]
# ## An honest number
#
# One split into training and test images is one draw. On another draw the accuracy differs by some percent points. So the
# course measures with **12 random splits** and states an interval that takes into account that these splits share
# images.

# %%
from tlkeras.teaching import lab

drawings = lab.drawings()
features, splits = lab.features(drawings), lab.splits(drawings)
scores = lab.scores(tlkeras.linear_probe, features, drawings, splits)

# %%
honest = teaching.interval(scores, splits)
teaching.finding(
    f"Single splits range from {scores.min():.0%} to {scores.max():.0%}. Together they say "
    f"**{teaching.percent(honest)}**, with a 95% interval in parentheses. The "
    f"{right.mean():.1%} above was one such draw. The {np.mean(transfer):.1%} was measured "
    "on three other splits, and at 96 pixels instead of 160, so do not compare the two."
)

# %% tags=["hide"]
assert gap.better == "transfer", "the benefit of transfer is no longer clear"
assert right.mean() > 0.5 and trained < model.count_params() / 100
three = {"same network from scratch": scratch["test"]}
three["the same images, frozen network"] = transfer
board = {n: tlkeras.resampled_interval(s, **counts) for n, s in three.items()}
board["frozen network, logistic regression"] = honest
sizes, draws = dict.fromkeys(three, "drawings, 96 px"), dict.fromkeys(three, 3)
teaching.scoreboard("01", board, images=sizes, splits=draws)

# %% tags=["nbval-check-output"]
print("Transfer is better than training from scratch:", gap.better == "transfer")

# %% [markdown]
# ## Question
#
# What was transferred from ImageNet to our model?
#
# - (a) The photos of ImageNet
# - (b) The names of its thousand classes
# - (c) The weights of all layers below the head
# - (d) The weights of all layers, head included

# %% tags=["solution"]
teaching.quiz("01", "c")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# The model has learned from colored drawings. What happens if the test drawings lose their color? Will the accuracy fall
# by `"less than 5"` points, by `"5 to 20"`, or by `"more than 20"`?
#
# <details><summary>Hint</summary>
# Could you still tell the classes apart? And did ImageNet's photos show apples in one color only?
# </details>

# %% tags=["solution"]
# One of "less than 5", "5 to 20", "more than 20".
prediction = "less than 5"

# %%
pixels = images.test.read()
gray = np.repeat(pixels.mean(axis=3, keepdims=True), 3, axis=3)
without_color = model.predict(gray, verbose=0).argmax(axis=1) == images.test.labels
print(f"in color {right.mean():.1%}, in gray {without_color.mean():.1%}")

# %%
teaching.check("01.1", prediction, right, without_color)

# %% [markdown]
# ### Exercise 2 · Change
#
# Reading mistakes is the most useful habit in this field. Write `mistakes(probabilities, labels)`: return the numbers of
# the images that are answered wrongly, the most confident mistake first.
#
# <details><summary>Hint</summary>
# The confidence of an answer is the largest probability in its row. <code>np.argsort</code> sorts in ascending order.
# </details>


# %% tags=["solution"]
def mistakes(probabilities, labels):
    """Return the numbers of wrongly answered images, most confident first."""
    order = np.argsort(-probabilities.max(axis=1))
    return [i for i in order if probabilities[i].argmax() != labels[i]]


# %%
teaching.check("01.2", mistakes)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Point `my_folder` to a folder of your own with one subfolder per class (here, four of our classes stand in). Create
# `my_images`, its splits, and `my_model`, a Keras model made in ten lines that beats always answering the largest class.
#
# <details><summary>Hint</summary>
# Copy the ten lines at the top. <code>my_classes</code> are the folders to use; leave <code>classes=</code> out to take all.
# <code>my_x</code> are the features of the training images, <code>my_head</code> is the probe. 20 images per class are
# enough to try. No folder? Take <code>teaching.clipart10()</code> and four of its classes.
# </details>

# %% tags=["solution"]
# Splits of your images, and a Keras model from pixels to probabilities.
my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=160)
my_x = network.transform(my_images.train)
my_head = tlkeras.linear_probe(my_x, my_images.train.labels)
my_model = tlkeras.fold(make_pipeline(network, *my_head))

# %%
teaching.check("01.3", my_model, my_images)

# %% [markdown]
# ## Read on
#
# - Sinno Jialin Pan and Qiang Yang, 2010, [A Survey on Transfer Learning](https://doi.org/10.1109/TKDE.2009.191):
#   definitions, and when transfer can hurt.
# - Jason Yosinski, Jeff Clune, Yoshua Bengio and Hod Lipson, 2014, [How transferable are features in deep neural
#   networks?](https://arxiv.org/abs/1411.1792): what happens layer by layer.
# - François Chollet, [Transfer learning and fine-tuning](https://keras.io/guides/transfer_learning/): the guide of Keras
#   itself.

# %% [markdown]
# ## Recap
#
# - **Build**: load, extract features, train a head, fold both into one Keras model.
# - **Read**: the most confident mistakes show what confuses the model, and sometimes a wrong label.
# - **Explain**: transfer learning keeps a network's weights from one task and trains a new head for another.
# - **Compare**: same architecture, same images, random weights, and an interval for the difference.
