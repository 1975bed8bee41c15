# %% [markdown]
# # 06 · How much data
#
# **Question.** How many images does transfer learning need, and what would more of them bring?
#
# **You will be able to**
#
# - **Load** a data set of TensorFlow Datasets as splits that share no near-duplicates.
# - **Draw** a learning curve for a probe, for fine-tuning and for training from scratch.
# - **Forecast** what more images would bring, and check the forecast on images that you have.
# - **Doubt** rules of thumb: test them.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb) and [Fine-tuning
# well](05_fine_tuning_well.ipynb).
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 10 min | 1 min | 15 min | 2 GB | 0 |

# %%
from tlkeras import teaching

lab = teaching.lab
teaching.start(seed=0)

# %%
import tempfile
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras

# %% [markdown]
# ## The idea, with a coin
#
# A coin shows heads three times out of four. Toss it `n` times and guess which side it prefers. How often is the guess
# right?

# %%
rng = np.random.default_rng(0)
tosses = np.array([1, 3, 9, 27, 81])
heads = rng.binomial(tosses, 0.75, (2000, len(tosses)))
right = (heads > tosses / 2).mean(axis=0)

# %% tags=["hide"]
shares = ", ".join(f"{share:.0%} with {n}" for n, share in zip(tosses, right))
teaching.finding(
    f"{shares} tosses. The curve is steep, then flat. Curves of classifiers have this "
    "shape too, and only where you are on yours decides whether more images help."
)

# %% [markdown]
# ## A data set of TensorFlow Datasets
#
# `load_images` takes `"tfds:NAME"`, or a builder. A builder for a folder of your own is `tfds.ImageFolder`: one folder
# per split, one folder per class below it. Nothing is downloaded here: our drawings play the data set.

# %%
if find_spec("tensorflow_datasets") and find_spec("tensorflow"):
    import tensorflow_datasets as tfds

    folder = Path(tempfile.mkdtemp())
    (folder / "train").symlink_to(teaching.clipart10())
    source = tfds.ImageFolder(str(folder))
else:
    print("TensorFlow Datasets is not installed, so load_images reads the folder.")
    source = teaching.clipart10()
print(tlkeras.load_images(source, image_size=96))

# %% [markdown]
# Look at what is to be learned: one drawing per class.

# %%
images = lab.drawings(image_size=96)
names, labels = images.class_names, images.labels
examples = images.take([np.flatnonzero(labels == number)[4] for number in range(10)])
tlkeras.contact_sheet(examples.read(), captions=names, columns=5, image_size=96)

# %% tags=["hide"]
counts = np.bincount(labels)
teaching.finding(
    f"{len(images)} drawings in ten classes, {counts.min()} to {counts.max()} per "
    "class. Styles differ: some have colors, others are drawn in black."
)

# %% [markdown]
# ## A learning curve
#
# Features are computed once. Then a probe learns from one, two, four ... images per class. A small sample is part of
# every larger one, so that the curve shows the effect of *more* images and not of different ones. Test images are the
# same for all sizes of a split.

# %%
features = lab.features(images)
splits = lab.splits(images)
SIZES = (1, 2, 4, 8, 16)


def sample(split, count, seed):
    """Keep `count` training images per class: the first ones of a random order."""
    mixed = np.random.default_rng(seed).permutation(split.train)
    rows = [mixed[labels[mixed] == number][:count] for number in range(10)]
    return split._replace(train=np.concatenate(rows))


def probe(x, y):
    """Fit a linear probe by ridge regression, which needs no iterations."""
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000))
    return model.fit(x, y)


# %%
parts = {
    count: [sample(split, count, seed) for seed, split in enumerate(splits)]
    for count in SIZES
}
probes = {n: lab.scores(probe, features, images, parts[n]) for n in SIZES}
everything = lab.scores(probe, features, images, splits)
mean = round(np.mean([len(split.train) for split in splits]) / 10)
probes[mean] = everything

# %% [markdown]
# ## Fine-tuned, and from scratch
#
# Fine-tuning, as in notebook 5: a solved head, then two blocks train. It costs more, so it is measured on three splits
# and two sizes. Training the *same* network from random weights takes minutes; `benchmarks/from_scratch.py` did it with
# all training images, many epochs, augmentation and its own best rate.

# %%
upper = teaching.UpperBlocks(images, last=2)
adam = keras.optimizers.Adam(3e-4)
upper.compile(tlkeras.differential_optimizer(upper.model, adam, layer_decay=0.3))
tuned = {}
for count in (4, mean):
    tuned[count] = []
    for seed, split in enumerate(splits[:3]):
        train = split.train if count == mean else parts[count][seed].train
        head = upper.probe(train)
        upper.fit(train, head=head, epochs=5, seed=seed)
        tuned[count].append(upper.accuracy(split.test))

# %%
scratch = teaching.measured("from_scratch")["96"]
majority = np.mean(
    [np.mean(labels[s.test] == np.bincount(labels[s.train]).argmax()) for s in splits]
)

# %% [markdown]
# **Predict.** From how many images per class is the probe better than the same network trained from scratch on *all*
# training images?

# %% tags=["solution"]
teaching.predict("06.a", 4)

# %% tags=["hide"]
sizes = list(probes)
lines = {"probe": np.stack([probes[count] for count in sizes], axis=1)}
lines["fine-tuned"] = np.stack(
    [tuned.get(count, [np.nan] * 3) for count in sizes], axis=1
)
teaching.line_chart(
    {"test images right": lines},
    sizes,
    log=True,
    xlabel="training images per class",
    baselines={
        "scratch, all images": np.mean(scratch["test"]),
        "majority class": majority,
    },
    title="A pretrained network needs few images",
)

# %% tags=["hide"]
low = {count: teaching.interval(probes[count], splits) for count in sizes}
beats = next(count for count in sizes if probes[count].mean() > max(scratch["test"]))
teaching.outcome(
    "06.a",
    beats,
    f"From scratch, with all training images and {scratch['epochs']} epochs: "
    f"{', '.join(f'{value:.0%}' for value in scratch['test'])} in three runs. The "
    f"probe has {teaching.percent(low[beats])} with {beats} per class and "
    f"{teaching.percent(low[mean])} with all of them.",
)

# %%
last = np.array(tuned[mean])
fair = teaching.compare({"fine-tuned": last, "probe": everything[:3]}, splits[:3])

# %% tags=["hide"]
teaching.finding(f"With all images: {fair}")

# %% [markdown]
# ## What does a doubling bring?
#
# A rule of thumb says that each doubling of the images brings about the same number of points. Test it.

# %% tags=["hide"]
doublings = [
    (a, b, teaching.compare({f"{b}": probes[b], f"{a}": probes[a]}, splits))
    for a, b in pairwise(SIZES)
]
doublings.append(
    (16, mean, teaching.compare({"all": everything, "16": probes[16]}, splits))
)
teaching.table(
    [
        {
            "images per class": f"{a} to {b}" if b < mean else f"{a} to all ({b})",
            "points gained": f"{100 * each.difference:+.1f}",
            "95% interval": "{:+.1f} to {:+.1f}".format(*100 * np.array(each.interval)),
        }
        for a, b, each in doublings
    ],
    caption="What each doubling brought the probe",
)

# %% tags=["hide"]
gains = [100 * each.difference for *_, each in doublings]
# (b - a) - (d - c) = (b + c) - (a + d): sums of shares can be compared as shares can.
bend = teaching.compare(
    {
        "first": (probes[2] + probes[16]) / 2,
        "last": (probes[1] + everything) / 2,
    },
    splits,
)
verdict = {
    "first": "The last step brought less than the first: the rule is **false** here.",
    "last": "The last step brought more than the first: the rule is **false** here.",
    None: "The first and the last step **cannot be told apart**: the rule may hold "
    "here, over the sizes that were measured.",
}
low_gap, high_gap = (200 * value for value in bend.interval)
teaching.finding(
    f"The steps brought {min(gains):.0f} to {max(gains):.0f} points. "
    f"{verdict[bend.better]} First minus last: {200 * bend.difference:+.1f} points, "
    f"95% interval {low_gap:+.1f} to {high_gap:+.1f}. The last step takes all images, "
    "whose classes differ in size. No curve rises like this for ever: it must end "
    "below 100%."
)

# %% [markdown]
# ## A forecast, and how far to trust it
#
# `tlkeras.learning_curve` measures such a curve on a grid of sizes, fits three families of curves to it, and says what
# more images of the *same kind* would bring. It also forecasts what you already know: the accuracy with all images, from
# half of them at most. That **hindcast** says how far to trust the forecast.

# %%
curve = tlkeras.learning_curve(images, image_size=96, repeats=1, verbose=False)
print(curve)

# %% [markdown]
# **Predict.** How far is the hindcast from what was measured, in percentage points: less than two, two to five, or more?

# %% tags=["solution"]
BANDS = ("less than two", "two to five", "more")
teaching.predict("06.b", "two to five", choices=BANDS)

# %%
curve.figure()

# %% tags=["hide"]
past, more = curve.hindcast, curve.gain(curve.now)
off = abs(100 * past.error)
teaching.outcome(
    "06.b",
    BANDS[0] if off < 2 else BANDS[1] if off <= 5 else BANDS[2],
    f"From {past.from_per_class:.0f} images per class at most, {past.predicted:.1%} "
    f"({past.low:.1%} to {past.high:.1%}) were forecast for {past.per_class:.0f}; "
    f"{past.measured:.1%} were measured. Twice as many images would bring "
    f"{100 * more.accuracy:+.1f} points ({100 * more.low:+.1f} to "
    f"{100 * more.high:+.1f}). The interval holds eight of ten forecasts, if new "
    "images are like these.",
)

# %% tags=["nbval-check-output"]
print("More images helped:", bool(everything.mean() > probes[1].mean() + 0.2))

# %% [markdown]
# ## Did it all hold?

# %%
for split in splits:
    known, tested = set(images.groups[split.train]), set(images.groups[split.test])
    assert not known & tested, "near-duplicates straddle"
assert everything.mean() > majority + 0.2, "no better than one class"
assert beats <= 8, "transfer should need few images"
assert min(gains) > 0, "a doubling should bring something"
assert past.low - 0.05 < past.measured < past.high + 0.05, "the hindcast is off"

# %% [markdown]
# **Question.** Your probe is right for six images in ten, and its curve is flat at its right end. What helps?
#
# - (a) Twice as many images of the same kind.
# - (b) Something else: better labels, another backbone, larger images, fine-tuning.
# - (c) Training from scratch, because transfer has reached its limit.

# %% tags=["solution"]
teaching.quiz("06", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# How much would *doubling* the training images once more gain? Give a number: the change in accuracy, as a share, that
# you would bet on. The bet is right if it lies within the forecast's interval, or close to it.
#
# <details><summary>Hint</summary>Look at the steps of the curve, not at its height.</details>

# %% tags=["solution"]
# Change in accuracy that you expect from twice as many images.
bet = 0.02

# %%
teaching.check("06.1", bet, more)

# %% [markdown]
# ### Exercise 2 · Change
#
# Ten images per class, but which ones? Write `spread(count)`. It returns the accuracies on the test images of the first
# split, for `count` different samples of ten images per class.
#
# <details><summary>Hint</summary><code>sample(splits[0], 10, seed)</code> gives a different sample for each seed, and
# <code>lab.scores</code> takes a list of them.</details>


# %% tags=["solution"]
def spread(count):
    """Return test accuracies for different samples of ten images per class."""
    samples = [sample(splits[0], 10, seed) for seed in range(count)]
    return lab.scores(probe, features, images, samples)


# %%
teaching.check("06.2", spread)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a data set of TensorFlow Datasets that is on your machine, or a folder, as `mine`: any splits with at least two
# classes and with test images that are separate from the others.
#
# <details><summary>Hint</summary><code>tlkeras.load_images("tfds:cifar10", per_class=50)</code> reads a data set that was
# prepared before.</details>

# %% tags=["solution"]
# Splits of a data set of yours.
mine = tlkeras.load_images(teaching.clipart10(), classes=names[:2], image_size=96)

# %%
teaching.check("06.3", mine)

# %% tags=["hide"]
rows = {"96 pixels: probe, 4 images per class": low[4], "96 pixels: probe": low[mean]}
teaching.scoreboard("06", rows)

# %% [markdown]
# ## Read on
#
# - Tom Viering and Marco Loog, 2021, [The shape of learning curves: a review](https://arxiv.org/abs/2103.10948). What
#   curves look like, and when they surprise.
# - Rafid Mahmood and others, 2022, [How much more data do I need?](https://arxiv.org/abs/2207.01725) Forecasts for
#   planning.
# - [TensorFlow Datasets](https://www.tensorflow.org/datasets), its catalog and its builders.

# %% [markdown]
# ## Recap
#
# - **Load**: `load_images` takes `"tfds:NAME"` or a builder, and keeps near-duplicates on one side.
# - **Draw**: features once, nested samples, the same test images, several splits. A pretrained network starts high.
# - **Forecast**: `tlkeras.learning_curve` says what more images of the same kind would bring, and hindcasts what you
#   know.
# - **Doubt**: "so many images per class" is a property of a task, not a law. Measure your own curve.
