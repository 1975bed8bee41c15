# %% [markdown]
# # 06 · How much data
#
# **Question.** How many images does transfer learning need, and how much would more of them help?
#
# **You will be able to**
#
# - **Load** a data set of TensorFlow Datasets as splits that share no near-duplicates.
# - **Draw** a learning curve for a probe, and compare it with fine-tuning and with random weights.
# - **Forecast** what more images would bring, and check the forecast on images that you have.
# - **Doubt** rules of thumb: test them.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb) and [Fine-tuning
# well](05_fine_tuning_well.ipynb).
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 10 min | 1 to 2 min | 15 min | 2 GB | 0 |

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
teaching.line_chart(
    {"guesses right": {"coin": right}},
    tosses,
    log=True,
    xlabel="tosses",
    title="Three times as many tosses help much at first, and little in the end",
)

# %% tags=["hide"]
shares = ", ".join(f"{share:.0%} with {n}" for n, share in zip(tosses, right))
teaching.finding(
    f"{shares} tosses ({len(heads):,} guesses each, so give or take 2 points). The curve "
    "rises, and must level off before 100%. So must that of a classifier. Whether more "
    "images help depends on where you are on yours."
)

# %% [markdown]
# ## A data set of TensorFlow Datasets
#
# `load_images` takes `"tfds:NAME"`, or a *builder*: the object of TensorFlow Datasets that knows where a data set lies. A
# builder for a folder of your own is `tfds.ImageFolder`: one folder per split, one folder per class below it. Nothing is
# downloaded here: our drawings play the data set.

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
#
# Samples of different splits overlap no more than the sets that they were drawn from. So `teaching.compare` corrects
# intervals for the size of those sets, and not for that of the samples.

# %%
features = lab.features(images)
splits = lab.splits(images)
SIZES = (1, 2, 4, 8, 16)


def sample(split, count, seed):
    """Keep `count` training images per class: the first ones of a random order."""
    mixed = np.random.default_rng(seed).permutation(split.train)
    rows = [mixed[labels[mixed] == number][:count] for number in range(10)]
    # the same split with other training images
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
# **Predict.** From how many images per class is the probe clearly better than the same network trained from scratch on
# *all* training images, so that their intervals do not even overlap? We measure 1, 2, 4, 8, 16 and all.

# %% tags=["solution"]
# Number of images per class.
guess = 4
teaching.predict("06.a", guess)

# %% tags=["hide"]
sizes = list(probes)
by_size = np.stack([probes[count] for count in sizes], axis=1)
teaching.line_chart(
    {"test images right": {"probe": by_size}},
    sizes,
    log=True,
    xlabel=f"training images per class ({mean}: all, a mean; the classes differ in size)",
    baselines={
        "scratch, all images": np.mean(scratch["test"]),
        "majority class": majority,
    },
    title="A pretrained network needs few images",
)

# %% tags=["hide"]
low = {count: teaching.interval(probes[count], splits) for count in sizes}
from_scratch = tlkeras.resampled_interval(scratch["test"], train=257, test=85)
beats = next(count for count in sizes if low[count][1] > from_scratch[2])
teaching.outcome(
    "06.a",
    beats,
    f"From scratch, with all training images and {scratch['epochs']} epochs: "
    f"{teaching.percent(from_scratch)} in three runs on splits of their own. The probe "
    f"has {teaching.percent(low[4])} with 4 per class, {teaching.percent(low[beats])} "
    f"with {beats} and {teaching.percent(low[mean])} with all of them. (The band in the "
    "figure reaches from the lowest split to the highest.)",
)

# %% [markdown]
# And fine-tuning? It was measured on three splits, so it is compared with the probe on the *same* three.

# %%
fair = {
    count: teaching.compare(
        {"fine-tuned": np.array(tuned[count]), "probe": probes[count][:3]}, splits[:3]
    )
    for count in tuned
}

# %% tags=["hide"]
teaching.finding(" ".join(f"**{n} per class:** {each}" for n, each in fair.items()))

# %% [markdown]
# ## Is transfer worth it? A trial
#
# Is it what the weights have *learned* that helps, or would any weights of a good scale do? `tlkeras.trial` answers that on
# your images. It trains one network from three starts: the pretrained weights, new random ones (`scratch`), and the
# pretrained values in random order (`shuffled`: the same scale, nothing learned). Each start gets the learning rate that is
# best on validation images, since a rival that is not tuned flatters transfer. Then it says who leads on test images.
#
# On your folder: `tlkeras.trial("my folder", image_size=96)`. That is up to 36 trainings, so here is a stored trial of
# `benchmarks/trial.py`: all training drawings, 96 pixels as above, two rates, ten epochs. Of each training, the epoch with
# the lowest validation loss counts, and it ends after five epochs without a lower one.

# %%
trial = teaching.measured("trial")
teaching.table(
    {
        "start": arm["name"],
        "best rate": f"{arm['learning_rate']:g}",
        "validation loss": f"{arm['loss']:.2f}",
        "test images right": f"{arm['accuracy']:.1%}",
    }
    for arm in trial["arms"]
)

# %% tags=["hide"]
(lead,) = trial["leads"]
guessing = np.log(len(names))
none = [arm["name"] for arm in trial["arms"] if arm["loss"] > guessing - 0.005]
idle = (
    f"The validation loss of *{', '.join(none)}* is that of guessing, {guessing:.2f}: no "
    "epoch was better than none. "
)
points, bottom, top = (100 * lead[end] for end in ("lead", "low", "high"))
teaching.finding(
    f"With {lead['images']} training images, transfer leads *{lead['rival']}*, the better "
    f"of the two rivals on validation images, by {points:+.0f} points (95% interval "
    f"{bottom:+.0f} to {top:+.0f}; {trial['test']} test images). So what the weights have "
    f"learned helps beyond their scale. {idle if none else ''}Ten epochs favor "
    "transfer. With thirty, and with augmentation, scratch reached "
    f"{from_scratch[0]:.0%} above: a trial says what pays *at this cost*."
)

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


def earlier_minus_last(few, more):
    """Compare an earlier step, from `few` to `more` images, with the last one."""
    # (b - a) - (d - c) = (b + c) - (a + d): sums of shares can be compared as shares can.
    two = {
        "earlier": (probes[more] + probes[16]) / 2,
        "last": (probes[few] + everything) / 2,
    }
    return teaching.compare(two, splits)


# %% tags=["hide"]
bends = {f"{a} to {b}": earlier_minus_last(a, b) for a, b in ((1, 2), (2, 4))}
told = [name for name, each in bends.items() if each.better]
verdict = (
    f"The step {' and '.join(told)} differs from the last one: the rule is **false** here."
    if told
    else "Neither of the first two steps can be told apart from the last one: the rule "
    "**may** hold here, and it may not."
)
apart = "; ".join(
    f"{name} minus the last: {200 * each.difference:+.1f} points, 95% interval "
    "{:+.1f} to {:+.1f}".format(*200 * np.array(each.interval))
    for name, each in bends.items()
)
teaching.finding(
    f"The steps brought {min(gains):.0f} to {max(gains):.0f} points. {verdict} {apart}. "
    "The last step takes all images, whose classes differ in size. No curve rises like "
    "this for ever: it must end below 100%."
)

# %% [markdown]
# ## A forecast, and how far to trust it
#
# `tlkeras.learning_curve` measures such a curve on a grid of sizes, fits three families of curves to it, and says what
# more images of the *same kind* would bring. It also forecasts what you already know: the accuracy with all images, from
# half of them at most. That **hindcast** says how far to trust the forecast.

# %% [markdown]
# **Predict.** How far is the hindcast from what was measured, in percentage points: less than two, two to five, or more?

# %% tags=["solution"]
# One of the choices.
BANDS = ("less than two", "two to five", "more")
guess = "two to five"
teaching.predict("06.b", guess, choices=BANDS)

# %%
curve = tlkeras.learning_curve(images, image_size=96, repeats=1, verbose=False)
print(curve)

# %% [markdown]
# In this table "±" is one standard error, and the interval of a forecast should hold the truth eight times in ten. Those
# of `teaching.compare` are wider: they should hold it nineteen times in twenty.

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
    f"{100 * more.high:+.1f}), if new images are like these.",
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
assert beats <= 16, "transfer should need few images"
assert lead["low"] > 0, "transfer should lead random weights"
assert min(gains) > 0, "a doubling should bring something"
assert past.low - 0.05 < past.measured < past.high + 0.05, "the hindcast is off"

# %% [markdown]
# **Question.** Your probe is right for six images in ten, and its curve is flat at its right end. What helps?
#
# - (a) Twice as many images of the same kind.
# - (b) Something other than more images: for example, larger images.
# - (c) Training from scratch, because transfer has reached its limit.

# %% tags=["solution"]
teaching.quiz("06", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# You want **five** more points. How many *additional* images per class would you order? Give a number. The bet is right
# if the forecast for that many says that five points are possible, and not less than what to expect.
#
# <details><summary>Hint</summary>The table of the forecast says what twice and three times as many would bring. You need
# more images for the next point than you needed for the last one.</details>

# %% tags=["solution"]
# Additional images per class that should bring five points.
bet = 50

# %%
teaching.check("06.1", bet, curve)

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
rows = {"probe, 4 images per class": low[4], "probe, all images": low[mean]}
teaching.scoreboard("06", rows, images="drawings, 96 px")

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
# - **Draw**: features once, nested samples, the same test images, several splits. A pretrained network starts high, and
#   `tlkeras.trial` says whether that is worth it against random and shuffled weights.
# - **Forecast**: `tlkeras.learning_curve` says what more images of the same kind would bring, and hindcasts what you
#   know.
# - **Doubt**: "so many images per class" is a property of a task, not a law. Measure your own curve.
