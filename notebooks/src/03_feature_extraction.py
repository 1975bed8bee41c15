# %% [markdown]
# # 03 · Feature extraction, fairly
#
# **Question.** Which classifier on frozen features is best, and how sure can we be?
#
# **You will be able to**
#
# - **Split** images several times, so that chance shows.
# - **Compare** classifiers with an interval that can be trusted.
# - **Judge** them against baselines that need no features.
# - **Fold** network and classifier into one Keras model.
#
# **Before you start:** [What the network sees](02_what_the_network_sees.ipynb).
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 to 2 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import numpy as np
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC

import tlkeras
from tlkeras.teaching import lab

drawings = lab.drawings()
features = lab.features(drawings)
print("features:", features.shape)

# %% [markdown]
# ## One split is one draw
#
# **Feature extraction** is the simplest kind of transfer learning: the network stays frozen and turns every image into a
# row of numbers, once. Then any classifier can learn from the rows, in seconds.
#
# We split the drawings 12 times at random into training images (three quarters) and test images. Near-duplicates
# always stay together. How far apart are the best and the worst of these 12 results of the *same* method?

# %% tags=["solution"]
# In percent points, as a number.
guess = 3
teaching.predict("03.a", guess)

# %%
splits = lab.splits(drawings)
logistic = lab.scores(tlkeras.linear_probe, features, drawings, splits)
train, test, _ = splits[0]  # the third entry, validation images, is empty here
print("the first split has", len(train), "training and", len(test), "test images")
print("right on each split:", *(f"{score:.0%}" for score in logistic))

# %%
spread = round(100 * np.ptp(logistic))
teaching.outcome(
    "03.a",
    spread,
    f"Each split has {len(splits[0].test)} test images, so one image is almost one point. "
    "This is one method on different splits. Two methods measured on one split each could "
    "differ by as much, and it would mean nothing. We need many splits, the *same* for all "
    "methods, and an interval.",
)

# %% [markdown]
# ## Candidates
#
# - [**Logistic regression**](https://scikit-learn.org/stable/modules/linear_model.html#logistic-regression) finds one direction per class, with a penalty
#   against overfitting that cross-validation within the training images chooses.
# - [**Linear discriminant analysis**](https://scikit-learn.org/stable/modules/lda_qda.html) (LDA) describes each class by its mean, and all by one shared spread.
# - A [**support vector machine**](https://scikit-learn.org/stable/modules/svm.html) (SVM) with a Gaussian kernel can bend its boundaries. It gets usual
#   settings; nothing is tuned for it.
# - The [**nearest neighbor**](https://scikit-learn.org/stable/modules/neighbors.html) learns nothing. It remembers.
#
# Two baselines: always the largest class, and logistic regression, with a fixed penalty, on features of the same network
# with *random* weights. Which candidate wins?


# %% tags=["solution"]
# The best of the four, or "no clear winner".
choices = ("logistic regression", "LDA", "SVM", "nearest neighbor", "no clear winner")
guess = "SVM"
teaching.predict("03.b", guess, choices)


# %%
def lda(x, y, groups):
    """Fit a linear discriminant analysis that estimates the shared spread cautiously."""
    return tlkeras.linear_probe(x, y, estimator="lda", groups=groups)


def svm(x, y):
    """Fit a support vector machine with the usual settings."""
    return make_pipeline(StandardScaler(), SVC(C=10)).fit(x, y)


def nearest(x, y):
    """Remember the training images, and compare by angle."""
    return make_pipeline(Normalizer(), KNeighborsClassifier(1)).fit(x, y)


def fixed(x, y):
    """Fit logistic regression with a fixed penalty, which is fast."""
    return tlkeras.linear_probe(x, y, Cs=[0.01])


def largest_class(x, y):
    """Always answer the largest class."""
    return DummyClassifier().fit(x, y)


# %%
untrained = lab.features(drawings, weights=None)
rivals = {"LDA": lda, "SVM with usual settings": svm, "nearest neighbor": nearest}
results = {"logistic regression": logistic}
for name, fit in rivals.items():
    results[name] = lab.scores(fit, features, drawings, splits)
random = lab.scores(fixed, untrained, drawings, splits)
largest = lab.scores(largest_class, features, drawings, splits)

# %% [markdown]
# Each line in the chart is the interval of one method alone. Whether two lines overlap says little about the
# *difference* of two methods: both see the same splits, and an unlucky split is unlucky for both. That is why we
# compare differences, not intervals.

# %%
rows = {name: teaching.interval(scores, splits) for name, scores in results.items()}
found = [
    teaching.compare({"logistic regression": logistic, name: results[name]}, splits)
    for name in rivals
]
behind = [f.names[1] for f in found if f.better == f.names[0]]
others = ", ".join(behind) or "none of the others"
title = f"Measurably behind logistic regression: {others}"
baselines = {"largest class": largest.mean(), "random weights": random.mean()}
tlkeras.dot_chart(rows, title=title, baselines=baselines)

# %%
truth = "logistic regression" if len(behind) == 3 else "no clear winner"
teaching.outcome("03.b", truth, "\n\n" + "\n".join(f"- {f}" for f in found))

# %% tags=["hide"]
settings = {"train": len(train), "test": len(test), "level": 1 - 0.05 / 3}
strict = [
    tlkeras.compare(logistic, results[n], names=("", n), **settings) for n in rivals
]
stand = [one.names[1] for one in strict if one.better == ""]
even = " and ".join(one.names[1] for one in found if not one.better) or "Nothing"
teaching.finding(
    f"{even} cannot be told apart from logistic regression. Measurably behind: {others}. "
    "But we made three comparisons, and each has a chance of its own to find a difference "
    "that is none: on up to one page in seven, one of them does. If the three share the "
    f"doubt of 5%, each gets a wider interval, of {settings['level']:.1%}. Still behind "
    f"then: {', '.join(stand) or 'none'}."
)

# %% [markdown]
# ## How sure can we be?
#
# An interval becomes narrower with more results, as if each were new information: the usual t interval divides their
# variance by 12. But any two splits share most of their images, so 12 results are worth far fewer. `tlkeras.compare`
# takes 1/12 + test/train in place of 1/12 (Nadeau and Bengio, 2003).
#
# It also says which difference *would be found four times in five*. If the true difference is that large, four of five
# such comparisons notice it; a smaller one may exist and stay unseen. Would 100 splits help?

# %% tags=["hide"]
difference = logistic - results["nearest neighbor"]
error = difference.std(ddof=1)
table = []
for count in (3, 12, 100):
    t = 100 * error * stats.t.ppf(0.975, count - 1)
    usual = t * (1 / count) ** 0.5
    right = t * (1 / count + len(test) / len(train)) ** 0.5
    row = {
        "splits": count,
        "usual interval": f"± {usual:.1f}",
        "corrected": f"± {right:.1f}",
    }
    table.append(row)
caption = (
    f"Logistic regression minus nearest neighbor, {100 * difference.mean():+.1f} points"
)
teaching.table(table, caption=caption)

# %% tags=["hide"]
half = float(table[1]["usual interval"].removeprefix("± "))
usual = "clear" if abs(100 * difference.mean()) > half else "unclear"
corrected = "clear" if found[2].better else "unclear"
teaching.finding(
    f"With 100 splits, the usual interval would claim to know the difference to "
    f"{table[2]['usual interval']} points. That is an illusion: the images are the same "
    f"{len(drawings)}. The corrected one stays at {table[2]['corrected']}. With our 12 splits "
    f"the usual interval calls the difference **{usual}**, the corrected one **{corrected}**. "
    "From here on, more images help far more than more splits."
)

# %% [markdown]
# ## Was it the network or what it learned?
#
# Random weights give features, too. If they were as good, ImageNet would not matter.

# %%
names = ("the pretrained network", "the random network", "the largest class")
weights = teaching.compare({names[0]: logistic, names[1]: random}, splits)
floor = teaching.compare({names[1]: random, names[2]: largest}, splits)
teaching.finding(f"In numbers: {weights} And {floor}")

# %% [markdown]
# ## One model out of two
#
# You do not want to ship a network and a scikit-learn pipeline. A scaler and a logistic regression are one matrix and
# one vector, so `tlkeras.fold` makes them the last layer of the network: one Keras model, raw pixels in, probabilities
# out.

# %%
extractor = tlkeras.FeatureExtractor("efficientnet_lite0", image_size=160)
head = tlkeras.linear_probe(features[train], drawings.labels[train])
pipeline = make_pipeline(extractor, *head)
model = tlkeras.fold(pipeline)

# %%
pixels = drawings.take(test[:32])
apart = np.abs(
    model.predict(pixels.read(), verbose=0) - pipeline.predict_proba(pixels.paths)
).max()
print("The last layers:", *(layer.name for layer in model.layers[-3:]))

# %% tags=["nbval-check-output"]
print("The folded model gives the same probabilities:", bool(apart < 1e-3))

# %% tags=["hide"]
assert weights.better == names[0], "pretrained weights are no longer better"
assert apart < 1e-3
board = {
    f"frozen network, {name}": row
    for name, row in rows.items()
    if name in list(rivals)[:2]
}
teaching.scoreboard("03", board | {"random weights": teaching.interval(random, splits)})

# %% [markdown]
# ## Question
#
# Method A is right for 72 of 100 test images and method B for 70, on one split. What do you conclude?
#
# - (a) A is better, by two points
# - (b) Nothing yet; measure both on several splits and compare with a corrected interval
# - (c) They are equally good

# %% tags=["solution"]
teaching.quiz("03", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# `compare` also tells the smallest difference that it would find four times in five. What if you had four times as many
# drawings, split alike? Would that smallest difference be about `"a quarter"`, `"half"`, or `"the same"`?
#
# <details><summary>Hint</summary>
# The standard error of a share among n images falls with the square root of n.
# </details>

# %% tags=["solution"]
# One of "a quarter", "half", "the same".
prediction = "half"

# %%
rng = np.random.default_rng(0)
# Two equally good methods on invented test images, 200 times, each with a luck of its own.
few, many = (
    [
        tlkeras.compare(
            *(rng.binomial(n, 0.7, 12) / n for _ in range(2)), train=3 * n, test=n
        ).smallest_detectable
        for _ in range(200)
    ]
    for n in (107, 428)
)
points = [f"{100 * np.mean(found):.1f} points" for found in (few, many)]
print(f"{points[0]} with 107 test images, {points[1]} with 428")
print("larger than above: two methods on the same real images share their luck")

# %%
teaching.check("03.1", prediction, few, many)

# %% [markdown]
# ### Exercise 2 · Change
#
# Larger images show more and cost more. Write `probe_at(side)`: load the drawings at this size with
# `lab.drawings(side)`, compute their features, and return the mean score of `tlkeras.linear_probe` on three splits. The check
# calls it with two small sizes. Then compare 96 and 224 yourself.
#
# <details><summary>Hint</summary>
# <code>lab.features</code> takes the size from the images, and <code>lab.splits(images, 3)</code> makes three splits.
# </details>


# %% tags=["solution"]
def probe_at(side):
    """Return the mean accuracy of a linear probe at this image size."""
    images = lab.drawings(side)
    three = lab.splits(images, 3)
    scores = lab.scores(tlkeras.linear_probe, lab.features(images), images, three)
    return scores.mean()


# %%
teaching.check("03.2", probe_at)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Point `my_folder` to a folder of your own images, one folder per class (here, four of our classes stand in). Create
# `my_images`, the splits, and `my_pipeline`, a fitted scikit-learn pipeline from paths to labels that beats the largest class on
# the test images. Use a classifier that this page has not used.
#
# <details><summary>Hint</summary>
# Any classifier of scikit-learn with <code>fit</code> and <code>predict</code> can end a pipeline that begins with
# <code>extractor</code> and <code>StandardScaler()</code>. Linear ones need a strong penalty, because there are more
# features than images. Fit it on <code>my_images.train.paths</code>.
# </details>

# %% tags=["solution"]
# Splits of your images, and a pipeline fitted on the training images.
from sklearn.linear_model import RidgeClassifier

my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=160)
my_pipeline = make_pipeline(extractor, StandardScaler(), RidgeClassifier(1000)).fit(
    my_images.train.paths, my_images.train.labels
)

# %%
teaching.check("03.3", my_pipeline, my_images)

# %% [markdown]
# ## Read on
#
# - Claude Nadeau and Yoshua Bengio, 2003, [Inference for the Generalization
#   Error](https://doi.org/10.1023/A:1024068626366): the interval that this course uses.
# - Simon Kornblith, Jonathon Shlens and Quoc V. Le, 2019, [Do Better ImageNet Models Transfer
#   Better?](https://arxiv.org/abs/1805.08974): logistic regression on features of many networks and data sets.
# - Guillaume Alain and Yoshua Bengio, 2016, [Understanding intermediate layers using linear classifier
#   probes](https://arxiv.org/abs/1610.01644): the linear probe.

# %% [markdown]
# ## Recap
#
# - **Split**: results of one method differ by several points between splits, so measure on 12.
# - **Compare**: the same splits for both, the corrected interval of the difference, and the smallest detectable one.
# - **Judge**: the largest class and random weights show what is due to the data and to the architecture.
# - **Fold**: scaler and logistic regression become the last layer of one plain Keras model.
