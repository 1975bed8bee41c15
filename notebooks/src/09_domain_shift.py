# %% [markdown]
# # 09 · Domain shift
#
# **Question.** What happens when new images look different from those we learned from, and does adapting help?
#
# **You will be able to**
#
# - **Measure** how much accuracy a change of style, noise or darkness costs.
# - **Judge** what a distance between two sets of images says, and what it does not.
# - **Adapt** a model to images that nobody has labeled.
# - **Recognize** when adapting hurts.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb) and
# [Freezing and forgetting](04_freezing_and_forgetting.ipynb), for BatchNorm.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 14 min | 1 to 2 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
from functools import cache

import numpy as np
from sklearn.pipeline import make_pipeline

import tlkeras
from tlkeras.teaching import lab

# %% [markdown]
# ## Four ways to draw the same thing
#
# A **domain** is a source of images: a camera, a hospital, a drawing style. Our four domains are four sets of emoji:
# Google's (`noto`), Twitter's (`twemoji`) and two of Microsoft's (`rendered`, `line`). Each shows the same 442 things, so
# nothing differs but the style. We learn from `rendered`, the three-dimensional style, and use the model on the others.
# An owl that was learned in one style is never tested in another: test things are new in every style.

# %%
styles = ("rendered", "noto", "twemoji", "line")
images = {style: lab.emoji(style, image_size=128) for style in styles}
shown = [20, 70, 120, 200, 330, 430]
paths = [images[style].paths[index] for style in styles for index in shown]
captions = [style * (index == shown[0]) for style in styles for index in shown]
tlkeras.contact_sheet(paths, captions, columns=6, image_size=90)

# %%
teaching.finding(
    f"{len(images['line'])} things in {len(images['line'].class_names)} classes, each "
    "drawn "
    f"{len(styles)} times. You see the same mouse in every row. Will the network?"
)

# %% [markdown]
# A linear probe on `rendered` answers more than half of the new `rendered` emoji. How many of a hundred `line` emoji, black
# and white outlines, will it answer?

# %% tags=["solution"]
# In percent, as a number.
guess = 50
teaching.predict("09.a", guess)

# %%
labels, splits = images["rendered"].labels, lab.splits(images["rendered"])
features = {style: lab.features(images[style]) for style in styles}


@cache
def probe(source, number):
    """Learn from the training images of one style, in one split."""
    train = splits[number].train
    return tlkeras.linear_probe(features[source][train], labels[train], Cs=[0.01])


def unchanged(known, target, train):
    """Leave the features of the target style as they are: one of three ways to adapt.

    The others use `known`, the features learned from, and the rows in `train`.
    """
    return target


def accuracies(source, target, adapt=unchanged):
    """Learn from one style, adapt the other one, and test on it, on the same splits."""
    scores = []
    for number, (train, test, _) in enumerate(splits):
        adapted = adapt(features[source][train], features[target], train)
        answers = probe(source, number).predict(adapted[test])
        scores.append(np.mean(answers == labels[test]))
    return np.array(scores)


# %%
learned = ("rendered", "line")
plain = {(a, b): accuracies(a, b) for a in learned for b in styles}
table = [[plain[a, b].mean() for b in styles] for a in learned]
title = "Outlines stand apart from the three colored styles"
tlkeras.heat_map(
    table, learned, styles, title=title, xlabel="tested on", ylabel="learned from"
)

# %% tags=["hide"]
drop = teaching.compare(
    {
        "tested on rendered": plain["rendered", "rendered"],
        "on line": plain["rendered", "line"],
    },
    splits,
)
back = teaching.compare(
    {"tested on line": plain["line", "line"], "on rendered": plain["line", "rendered"]},
    splits,
)
colored = min(styles[1:3], key=lambda style: plain["rendered", style].mean())
apart = teaching.compare(
    {f"on {s}": plain["rendered", s] for s in (colored, "line")}, splits
)
majority = np.bincount(labels).max() / len(labels)
teaching.outcome(
    "09.a",
    round(100 * plain["rendered", "line"].mean()),
    f"{drop} Always saying *mammal*, the majority class, is right for {majority:.0%}.\n\n"
    f"Is `line` harder than the harder of the two other styles? {apart}\n\n"
    f"And back, learned from `line`: {back}",
)

# %% [markdown]
# ## Look before you act
#
# New images arrive without labels, so nobody sees the accuracy. What can be measured without labels is a **distance**:
# train a classifier to tell old images from new ones. The distance is 2 − 4 · error: a classifier that can only guess is
# wrong for half of the images, which gives 0, and one that is always right gives 2. `tlkeras.compare_domains` puts accuracy
# and distance into one table, each followed by its own interval. Here it compares new `rendered` emoji as they are,
# grainy and dark, and the outlines.
#
# The dark emoji will turn out to be far from the clean ones. How will the accuracy on them compare, over 12 splits?

# %% tags=["solution"]
# One of the choices.
choices = ("lower", "higher", "cannot be told apart")
guess = "lower"
teaching.predict("09.b", guess, choices)

# %%
network = tlkeras.FeatureExtractor("efficientnet_lite0", image_size=128)
model = tlkeras.fold(make_pipeline(network, *probe("rendered", 0)))
test = splits[0].test
domains = {"rendered": images["rendered"].take(test), "line": images["line"].take(test)}
compared = tlkeras.compare_domains(model, domains, corruptions=["noise", "dark"])
print(compared)

# %% [markdown]
# This table is one split of 110 images. For a verdict, test on dark emoji in all 12 splits.

# %%
darkened = tlkeras.corrupt(images["rendered"].read(), "dark", severity=3)
features["dark"] = network.transform(darkened)
in_the_dark = accuracies("rendered", "dark")

# %% tags=["hide"]
rows = {row.name: row for row in compared.rows}
dark, noisy = rows["rendered, dark"], rows["rendered, noise"]
lost = teaching.compare(
    {"dark": in_the_dark, "clean": plain["rendered", "rendered"]}, splits
)
truth = {"dark": choices[1], "clean": choices[0]}.get(lost.better, choices[2])
teaching.outcome(
    "09.b",
    truth,
    f"The dark emoji are easily told from the others (distance "
    f"{dark.distance.distance:.2f}). Their accuracy: {lost}\n\nThe grainy ones are far "
    f"away, too (distance {noisy.distance.distance:.2f}), with {noisy.accuracy:.0%} "
    "right in the table. A distance says that images **differ**; it does not say how "
    "much **worse** the answers are. Only labels can say that: label a hundred.",
)

# %% [markdown]
# ## Adapting without labels
#
# If all images of the new style shift a feature in the same way, we can shift it back: give each feature of the new
# images the mean and standard deviation (together: its *moments*) that it had on the old ones. This is
# `tlkeras.FeatureAlignment`, the first step of the command `tlkeras adapt RUN --images FOLDER`. It needs many new images,
# but no label.
#
# For which style does it help most?

# %% tags=["solution"]
# One of the choices.
guess = "line"
teaching.predict("09.c", guess, choices=("noto", "twemoji", "line"))


# %%
def standardized(known, target, train):
    """Give features of the target the moments that they have in the source."""
    return tlkeras.FeatureAlignment().fit(known, target=target).transform(target)


adapted = {style: accuracies("rendered", style, standardized) for style in styles[1:]}
dots, gains = {}, {}
for style in styles[1:]:
    pair = {f"{style} adapted": adapted[style], "as it is": plain["rendered", style]}
    gains[style] = teaching.compare(pair, splits)
    dots[f"{style}, as it is"] = teaching.interval(plain["rendered", style], splits)
    dots[f"{style}, adapted"] = teaching.interval(adapted[style], splits)
seen = [style for style, gain in gains.items() if gain.better == f"{style} adapted"]
tlkeras.dot_chart(dots, title=f"Adapting shows a gain for: {', '.join(seen) or 'none'}")

# %% tags=["hide"]
most, second, _ = sorted(gains, key=lambda style: -gains[style].difference)
# (a - b) - (c - d) = (a + d) - (b + c): the gains of two styles are compared as sums.
more = teaching.compare(
    {
        most: (adapted[most] + plain["rendered", second]) / 2,
        second: (plain["rendered", most] + adapted[second]) / 2,
    },
    splits,
)
points = [200 * value for value in (more.difference, *more.interval)]
teaching.outcome(
    "09.c",
    most,
    "\n\n".join(map(str, gains.values())) + f"\n\nThe gain for {most} minus that for "
    f"{second}: {points[0]:+.1f} points, 95% interval {points[1]:+.1f} to {points[2]:+.1f}. "
    "These are three styles: too few to say that a larger shift always gains more. And "
    "both sides show the same things in the same mix of classes, unlike most new images: "
    "an upper limit of what to expect.",
)

# %% [markdown]
# ## When adapting hurts
#
# The moments of the new images must come from *enough* of them, showing the *same mix of classes*. We break both
# conditions on purpose, from `rendered` to `twemoji`, a small shift with little to gain: moments of ten images or of five,
# and moments of mammals only.

# %%
rng = np.random.default_rng(0)
mammal = images["rendered"].class_names.index("mammal")


def from_rows(choose):
    """Make an adaptation that takes the moments of the target from some images only."""

    def adapt(known, target, train):
        alignment = tlkeras.FeatureAlignment().fit(known, target=target[choose(train)])
        return alignment.transform(target)

    return adapt


ten, five = (
    accuracies("rendered", "twemoji", from_rows(lambda t, n=n: rng.choice(t, n, False)))
    for n in (10, 5)
)
skewed = accuracies("rendered", "twemoji", from_rows(lambda t: t[labels[t] == mammal]))
small = {
    "not adapted": plain["rendered", "twemoji"],
    "adapted, all images": adapted["twemoji"],
    "adapted, ten images": ten,
    "adapted, five images": five,
    "adapted, mammals only": skewed,
}
tlkeras.dot_chart(
    {name: teaching.interval(scores, splits) for name, scores in small.items()},
    title="Adapting to a few images, or to one class only",
)

# %% tags=["hide"]
harm = [
    teaching.compare({name: small[name], "not adapted": small["not adapted"]}, splits)
    for name in list(small)[2:]
]
teaching.finding(
    "\n\n".join(map(str, harm)) + "\n\nHow many images are enough was not measured "
    "here; `tlkeras.adapt` asks for 100."
)

# %% [markdown]
# ## The same inside the network: AdaBN
#
# BatchNorm layers hold means and variances too, and can be adapted layer by layer (AdaBN). There is a trap. In our frozen
# network these are the statistics of ImageNet's photos, and the probe has learned how `rendered` emoji look *through them*.
# If outlines get statistics of their own (`prior=0`: none of the old ones), they are centered like photos, and no longer
# where the probe has seen emoji. What must go is the difference between `rendered` and `line` alone. So `adapt_batchnorm`
# also needs images of the style that was learned: `source`.
#
# Like the sections before, this is *transductive*: the images that we adapt to include some that are tested later,
# without their labels. That is allowed where all new images are at hand, and flatters where more will come.

# %%
trunk = tlkeras.backbone("efficientnet_lite0", pooling="avg", image_size=128)
start = trunk.get_weights()
some = rng.choice(len(labels), 110, replace=False)
outlines, known = images["line"].read(), images["rendered"].read()
for name, settings in {
    "naive": {"prior": 0},
    "source": {"source": known[some]},
}.items():
    trunk.set_weights(start)
    tlkeras.adapt_batchnorm(trunk, outlines[some], **settings)
    features[f"line, {name}"] = trunk.predict(outlines, batch_size=64, verbose=0)
adabn = {name: accuracies("rendered", f"line, {name}") for name in ("naive", "source")}

# %% tags=["hide"]
before = {"not adapted": plain["rendered", "line"]}
right = teaching.compare({"AdaBN with source": adabn["source"], **before}, splits)
naive = teaching.compare({"AdaBN without source": adabn["naive"], **before}, splits)
teaching.finding(
    f"{right}\n\n{naive}\n\nIn [notebook 4](04_freezing_and_forgetting.ipynb) moving "
    "these statistics erased old answers. Here the old answers are not needed, and the "
    "step is chosen: whether statistics should move depends on what you want to keep."
)

# %% [markdown]
# ## Is it worth it?
#
# Compare the best that we reached without labels with a probe that learned from labeled outlines. Keep in mind that this is
# a friendly case: `rendered` and `line` were drawn by the same company, so shapes agree and only the style differs. And the
# best of two was picked on the same test images, which flatters it.

# %% tags=["hide"]
best = max([adapted["line"], adabn["source"]], key=np.mean)
ceiling = {"learned from line": plain["line", "line"]}
worth = teaching.compare({"best without labels": best, **ceiling}, splits)
teaching.finding(
    f"{worth} Nobody needed to label outlines for it. But only labels could show that "
    "it "
    "went well, as the section before shows that it need not."
)

# %% tags=["hide"]
assert (
    drop.better == "tested on rendered" and plain["rendered", "line"].mean() > majority
)
assert gains["line"].better == "line adapted"
assert harm[-1].better == "not adapted" and harm[1].difference < 0
assert adabn["source"].mean() > adabn["naive"].mean()
assert dark.distance.distance > 1
board = {
    "majority class": majority,
    "rendered to line, as it is": teaching.interval(plain["rendered", "line"], splits),
    "rendered to line, features adapted": teaching.interval(adapted["line"], splits),
    "rendered to line, AdaBN with source": teaching.interval(adabn["source"], splits),
}
teaching.scoreboard("09", board, images="emoji (15 classes), line, 128 px")

# %% tags=["nbval-check-output"]
print("Style costs accuracy:", drop.better == "tested on rendered")
print("Adapting to outlines helps:", gains["line"].better == "line adapted")

# %% [markdown]
# ## Question
#
# A classifier tells your old images from your new ones without a single error. What follows?
#
# - (a) The accuracy on the new images is lower
# - (b) The images differ; how accurate the model is on them is still unknown
# - (c) The model must be adapted before it is used
# - (d) The new images are of poor quality

# %% tags=["solution"]
teaching.quiz("09", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# We adapted a model that had learned from `rendered`. Now learn from `line` and test on `rendered`. How many points will
# adapting gain: `"less than 5"`, `"5 to 15"` or `"more than 15"`? Every answer that the interval allows is right.
#
# <details><summary>Hint</summary>
# Look at the last row of the heat map. How much is there to win back?
# </details>

# %% tags=["solution"]
# One of "less than 5", "5 to 15", "more than 15".
prediction = "5 to 15"

# %%
reverse = accuracies("line", "rendered", standardized)
gained = teaching.compare(
    {"adapted": reverse, "as it is": plain["line", "rendered"]}, splits
)
print(gained)

# %%
teaching.check("09.1", prediction, gained)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write the adaptation yourself: `standardize(source, target)` returns the target features with the mean and the standard
# deviation of each source feature. A feature that is constant in the target has no spread to scale: only shift it.
#
# <details><summary>Hint</summary>
# Subtract the target's mean, divide by its standard deviation, then multiply by the source's and add the source's mean.
# <code>np.where</code> replaces a standard deviation of zero by one.
# </details>


# %% tags=["solution"]
def standardize(source, target):
    """Return target features with the moments of the source features."""
    spread = target.std(axis=0)
    scale = np.where(
        spread > 0, source.std(axis=0) / np.where(spread > 0, spread, 1), 1
    )
    return (target - target.mean(axis=0)) * scale + source.mean(axis=0)


# %%
teaching.check("09.2", standardize)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Take two sets of your own images, at least 30 each: two phones, summer and winter, day and night (here, drawings as they
# are and grainy ones). Compute `my_distance` between them, and set `my_verdict` to `"same"` or `"shifted"`.
#
# <details><summary>Hint</summary>
# <code>tlkeras.domain_distance(first, second)</code> takes features; <code>network.transform</code> takes paths or
# pixels. If the interval reaches down to zero, nothing speaks against <code>"same"</code>.
# </details>

# %% tags=["solution"]
# The distance between two sets of your images, and your verdict.
my_images = lab.drawings(image_size=128).take(np.arange(0, 427, 5)).read()
my_first = network.transform(my_images)
my_second = network.transform(tlkeras.corrupt(my_images, "noise", severity=3))
my_distance = tlkeras.domain_distance(my_first, my_second)
my_verdict = "shifted"

# %%
teaching.check("09.3", my_verdict, my_distance)

# %% [markdown]
# ## Read on
#
# - Shai Ben-David, John Blitzer, Koby Crammer, Alex Kulesza, Fernando Pereira and Jennifer Wortman Vaughan, 2010,
#   [A theory of learning from different domains](https://doi.org/10.1007/s10994-009-5152-4): what a distance can say.
# - Yanghao Li, Naiyan Wang, Jianping Shi, Jiaying Liu and Xiaodi Hou, 2016, [Revisiting Batch Normalization For Practical
#   Domain Adaptation](https://arxiv.org/abs/1603.04779): AdaBN.
# - Dan Hendrycks and Thomas Dietterich, 2019, [Benchmarking Neural Network Robustness to Common Corruptions and
#   Perturbations](https://arxiv.org/abs/1903.12261): grainy, dark and blurred images, in grades.

# %% [markdown]
# ## Recap
#
# - **Measure**: test on labeled images of the new domain; a style can cost more than half of the accuracy.
# - **Judge**: a distance says that images differ. It does not say how much worse the answers are.
# - **Adapt**: match the moments of features, or of BatchNorm layers with `source`, without a label.
# - **Recognize**: moments of another mix of classes do harm, those of few images may, and only labels show it.
