# %% [markdown]
# # TensorFlow Datasets: flowers
#
# **Question.** How many images per class does transfer learning need?
#
# **You will be able to**
#
# - **Load** a data set of TensorFlow Datasets as splits that share no near-duplicates.
# - **Draw** a learning curve: accuracy by number of training images.
# - **Decide** from the curve whether more images would help.
#
# **Before you start:** [Feature extraction](01_feature_extraction.ipynb). Downloading
# the flowers needs a network once. Without one, the page uses our drawings, also read by
# TensorFlow Datasets.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 8 min | 1 min | 15 min | 2 GB | 0, or 220 MB for the flowers |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tlkeras
from tlkeras import evaluation

# %% [markdown]
# ## Which data
#
# Nothing is downloaded unless you ask for it. Set `DOWNLOAD` to true, or the environment
# variable `TLKERAS_DOWNLOAD` to 1, to fetch `tf_flowers`: some 3,700 photographs in five
# classes.
#
# Otherwise `tfds.ImageFolder` reads our drawings. If TensorFlow Datasets is not installed,
# `load_images` reads the folder itself. The rest of the page is the same in all three cases.

# %%
DOWNLOAD = os.environ.get("TLKERAS_DOWNLOAD") == "1"
TFDS = bool(find_spec("tensorflow_datasets") and find_spec("tensorflow"))


def source():
    """Return a name, and a builder of TensorFlow Datasets or a folder."""
    if not TFDS:
        return "clipart10", teaching.clipart10()
    import tensorflow_datasets as tfds

    if DOWNLOAD:
        try:
            builder = tfds.builder("tf_flowers")
            builder.download_and_prepare()
            return "tf_flowers", builder
        except Exception as error:  # every kind of missing network raises its own error
            print(f"The flowers could not be fetched: {type(error).__name__}")
    folder = Path(tempfile.mkdtemp())
    (folder / "train").symlink_to(teaching.clipart10())
    return "clipart10", tfds.ImageFolder(str(folder))


# %%
SIZE = (96, 96)
DATA, given = source()
splits = [tlkeras.load_images(given, seed=seed, image_size=SIZE) for seed in range(3)]
names = splits[0].class_names
if DATA == "clipart10":
    print("Skipped: downloading the flowers needs a network connection.")
print(f"{DATA}, {'by TensorFlow Datasets' if TFDS else 'from its folder'}:")
print(splits[0])

# %% [markdown]
# **Predict.** Here is one training image per class. How many per class would you need to see to tell them apart?

# %%
labels = splits[0].train.labels
examples = splits[0].train.take([np.argmax(labels == k) for k in range(len(names))])
tlkeras.contact_sheet(examples.read(), captions=names, columns=5, image_size=96)

# %%
counts = np.bincount(labels)
teaching.finding(
    f"There are {counts.min()} to {counts.max()} training images per class. Next we "
    "measure how many of them a classifier needs."
)

# %% [markdown]
# ## The idea, with a coin
#
# How many examples does it take? Toss a coin that shows heads three times out of four, and
# guess from `n` tosses which side it prefers. With few tosses you are often wrong, then
# rarely. Soon more tosses change nothing: the curve is steep, then flat.

# %%
rng = np.random.default_rng(0)
tosses = np.array([1, 3, 9, 27, 81])
heads = rng.binomial(tosses, 0.75, (2000, len(tosses)))
right = (heads > tosses / 2).mean(axis=0)
print({int(n): round(float(share), 2) for n, share in zip(tosses, right)})

# %% [markdown]
# ## A learning curve
#
# Features are computed once. Then a probe is trained on one, two, four ... images per class.
# Each sample is part of every larger one, so the curve shows the effect of more images and
# not of different ones. It is measured on validation images. The test images wait until the
# end.

# %%
extractor = tlkeras.FeatureExtractor("efficientnet_lite0", image_size=SIZE)
features = {}
for part in (splits[0].train, splits[0].validation, splits[0].test):
    features |= zip(part.paths, extractor.transform(part))


# %%
def accuracy(train, part):
    """Fit a probe on the images of `train` and score it on those of `part`."""
    x, held_out = (np.stack([features[p] for p in s.paths]) for s in (train, part))
    return tlkeras.linear_probe(x, train.labels).score(held_out, part.labels)


# %%
most = int(np.bincount(splits[0].train.labels).max())
sizes = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256) if n <= most]
learned = [
    [accuracy(s.train.sample(n, seed=k), s.validation) for n in sizes]
    for k, s in enumerate(splits)
]

# %%
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]
baselines = {"majority class": majority, "chance": 1 / len(names)}
if DATA == "clipart10":
    scratch = teaching.measured("from_scratch")[str(SIZE[0])]["test"]
    baselines["same network, all images, from scratch"] = scratch

# %% [markdown]
# **Predict.** From how many images per class is the probe better than the majority class?
# Does the curve still climb at its right end?

# %%
evaluation.curves(
    {"linear probe": learned},
    list(map(str, sizes)),
    xlabel="training images per class, at most",
    ylabel="validation accuracy",
    baselines=baselines,
)

# %%
curve = np.mean(learned, axis=0)
enough = next(n for n, mean in zip(sizes, curve) if mean > np.mean(majority))
last, before = np.array(learned)[:, -1], np.array(learned)[:, -2]
teaching.finding(
    f"From {enough} per class, the probe beats the majority class "
    f"({np.mean(majority):.2f}). With up to {sizes[-1]} it has "
    f"{evaluation.with_error(last)}. "
    f"The last doubling changed accuracy by {evaluation.with_error(last - before)}."
)

# %% [markdown]
# ## Did it all hold?

# %%
tested = [accuracy(split.train, split.test) for split in splits]
print(f"test accuracy, all training images: {evaluation.with_error(tested)}")
for split in splits:
    kept = [set(part.groups) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, kept)) == len(set.union(*kept)), "near-duplicates straddle"
assert np.mean(tested) > np.mean(majority) + 0.2, "no better than one class"
assert right[0] < right[-1]

# %% tags=["nbval-check-output"]
print("More images helped:", bool(curve[-1] > curve[0] + 0.2))

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# How much would *doubling* the training images once more gain? Give a number: the change in
# accuracy that you would bet on. The bet is right if it lies between zero and twice the
# average gain of the doublings so far.
#
# <details><summary>Hint</summary>Look at the steps of the curve, not at its height.</details>

# %% tags=["solution"]
# Change in accuracy that you expect from twice as many images.
bet = float(curve[-1] - curve[-2]) if curve[-1] > curve[-2] else 0.01

# %%
teaching.check("flowers.1", bet, curve)

# %% [markdown]
# ### Exercise 2 · Change
#
# Ten images per class, but which ones? Write `spread(count)`. It returns accuracies on the
# validation images of the first split, for `count` different samples of ten images per class.
#
# <details><summary>Hint</summary>
#
# `splits[0].train.sample(10, seed=...)` gives a different sample for each seed.
#
# </details>


# %% tags=["solution"]
def spread(count):
    """Return validation accuracies for different samples of ten images per class."""
    train, part = splits[0].train, splits[0].validation
    return [accuracy(train.sample(10, seed=seed), part) for seed in range(count)]


# %%
teaching.check("flowers.2", spread)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a data set of TensorFlow Datasets that is on your machine, or a folder, as `mine`: any
# splits with at least two classes and with test images that are separate from the others.
#
# <details><summary>Hint</summary>
#
# `tlkeras.load_images("tfds:cifar10", per_class=50)` reads a data set that was prepared
# before.
#
# </details>

# %% tags=["solution"]
# Splits of a data set of yours.
mine = tlkeras.load_images(given, classes=list(names[:2]), image_size=SIZE)

# %%
teaching.check("flowers.3", mine)

# %% [markdown]
# ## Recap
#
# - **Load**: `load_images` takes `"tfds:NAME"` or a builder, and keeps near-duplicates on one
#   side.
# - **Draw**: compute features once, then fit one probe per size, with nested samples and
#   several seeds.
# - **Decide**: if the curve still climbs, more images help. If it is flat, look elsewhere.
