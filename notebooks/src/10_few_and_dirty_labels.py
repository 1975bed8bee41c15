# %% [markdown]
# # 10 · Few and dirty labels
#
# **Question.** Which labels and predictions should you doubt, and is checking them worth the effort?
#
# **You will be able to**
#
# - **Find** labels that are probably wrong, and say what they cost.
# - **Choose** which images to label next.
# - **Test** whether unlabeled images help.
# - **Distrust** probabilities, and answers to images of no known class.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb) and
# [How much data](06_how_much_data.ipynb).
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 15 min | 1 to 2 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np

import tlkeras
from tlkeras.teaching import lab

# %% [markdown]
# Every section is the same step: take a claim (a label in a folder, an answer of a probe, a probability), check it against
# labels that are known, and see whether acting on the doubt gains anything.
#
# ## What wrong labels cost
#
# We change labels of training images at random, and test on images whose labels we leave alone. If one training label in
# ten is wrong, how much accuracy is lost?

# %% tags=["solution"]
# One of the choices.
choices = ("none that we can tell", "less than 10 points", "10 points or more")
guess = "10 points or more"
teaching.predict("10.a", guess, choices)

# %%
drawings = lab.drawings()
features, labels, classes = lab.features(drawings), drawings.labels, 10
splits = lab.splits(drawings)


def spoiled(true, share, rng):
    """Replace a share of the labels by other classes, at random."""
    wrong = true.copy()
    rows = rng.choice(len(true), round(share * len(true)), replace=False)
    wrong[rows] = (true[rows] + rng.integers(1, classes, len(rows))) % classes
    return wrong


def accuracies(change):
    """Learn from changed labels and test on the original ones, on every split."""
    scores = []
    for number, (train, test, _) in enumerate(splits):
        known = change(labels[train], np.random.default_rng(number))
        probe = tlkeras.linear_probe(features[train], known, Cs=[0.01])
        scores.append(probe.score(features[test], labels[test]))
    return np.array(scores)


# %%
noise = {
    share: accuracies(lambda true, rng, share=share: spoiled(true, share, rng))
    for share in (0, 0.1, 0.2, 0.4)
}
tenth, fifths = (
    teaching.compare({f"{share:.0%} wrong": noise[share], "0% wrong": noise[0]}, splits)
    for share in (0.1, 0.4)
)

# %% tags=["hide"]
lost = [-100 * one.difference for one in (tenth, fifths)]
costs = [
    f"{points:.0f} points lost" if one.better == "0% wrong" else "no loss we can tell"
    for one, points in zip((tenth, fifths), lost)
]
tlkeras.dot_chart(
    {f"{share:.0%} wrong": teaching.interval(a, splits) for share, a in noise.items()},
    title=f"10% wrong labels: {costs[0]}; 40% wrong: {costs[1]}",
    baselines={"majority": np.bincount(labels).max() / len(labels)},
)

# %% tags=["hide"]
truth = choices[0 if not tenth.better else 1 if lost[0] < 10 else 2]
at_most = -100 * tenth.interval[0]
teaching.outcome(
    "10.a",
    truth,
    f"{tenth} So a tenth of wrong labels may cost up to {at_most:.0f} points here.\n\n"
    f"{fifths}\n\nA probe averages over many images, which may be why a few *random* "
    "errors do not show. Wrong labels among the **test** images are another matter: "
    "they make the number itself wrong.",
)

# %% [markdown]
# ## Find them
#
# `tlkeras.check_images` looks for such labels: a probe that has not seen an image is sure of another class. We copy the
# drawings and put one in ten into a wrong folder. A caption such as *flower? house* names the label first, then the
# probe's answer and its probability. Of every ten labels that we spoiled, how many will it find?

# %% tags=["solution"]
# A number from 0 to 10.
guess = 5
teaching.predict("10.b", guess)

# %%
folder = Path(tempfile.mkdtemp()) / "drawings"
given = spoiled(labels, 0.1, np.random.default_rng(0))
ours = {}
for path, label, true in zip(map(Path, drawings.paths), given, labels):
    target = folder / drawings.class_names[label] / f"{path.parent.name}-{path.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
    ours[f"{target.parent.name}/{target.name}"] = label != true
suspects = tlkeras.check_images(folder, image_size=160).of("suspect_label")
first = [one.paths[0] for one in suspects[:15]]
marks = ["spoiled by us" if ours[key] else "" for key in first]
captions = [f"{one.detail}\n{mark}" for one, mark in zip(suspects, marks)]
tlkeras.contact_sheet([folder / key for key in first], captions, columns=5)

# %% tags=["hide"]
from scipy.stats import binomtest, t

hits = [ours[one.paths[0]] for one in suspects]
with (teaching.clipart10() / "LABEL_NOISE.csv").open() as file:
    doubted = {row["file"].replace("/", "-") for row in csv.DictReader(file)}
others = [one.paths[0] for one in suspects if not ours[one.paths[0]]]
known = sum(key.split("/")[1] in doubted for key in others)
recall = binomtest(sum(hits), sum(ours.values())).proportion_ci(method="wilson")
precision = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
teaching.outcome(
    "10.b",
    round(10 * sum(hits) / sum(ours.values())),
    f"{sum(hits)} of {sum(ours.values())} spoiled labels (95% interval {recall.low:.0%} "
    f"to {recall.high:.0%}; one draw) are among {len(suspects)} suspects. The price: "
    f"{len(suspects) / len(labels):.0%} of all images are to be looked at, and "
    f"{sum(hits) / len(hits):.0%} of those ({precision.low:.0%} to {precision.high:.0%}) are "
    f"spoiled by us. Of the other {len(others)}, {known} were doubtful before we touched "
    f"anything (`LABEL_NOISE.csv`), so up to {len(others) - known} of {len(suspects)} "
    "alarms are false. It is a list to **look at**, not to delete; "
    "looking takes minutes.",
)

# %% [markdown]
# ## Few labels: two remedies on trial
#
# Two methods promise more from few labels: choose *which* images to label, or let the probe label the rest *itself*. Both
# are tested like everything else, on the same splits.
#
# First, the choice. Suppose nothing is labeled and you can afford 20 labels. Random images show the common classes often
# and may miss the rare ones. `tlkeras.label_order` clusters the features and asks for the most typical image of each
# cluster.

# %%
order = tlkeras.label_order(drawings, features, count=20)
order.contact_sheet(20)

# %%
covered, right = {"chosen": [], "random": []}, {"chosen": [], "random": []}
for number, (train, test, _) in enumerate(splits[:6]):  # clustering takes its time
    pool = drawings.take(train)
    rows = {
        "chosen": train[tlkeras.label_order(pool, features[train], count=20).order],
        "random": np.random.default_rng(number).choice(train, 20, replace=False),
    }
    for name, some in rows.items():
        probe = tlkeras.linear_probe(features[some], labels[some], Cs=[0.01])
        covered[name].append(len(set(labels[some])))
        right[name].append(probe.score(features[test], labels[test]))

# %% tags=["hide"]
shares = {name: np.array(counts) / classes for name, counts in covered.items()}
shown, gained = (teaching.compare(pair, splits[:6]) for pair in (shares, right))
teaching.finding(
    "How many of the ten classes do 20 images show, chosen or random, over six draws? "
    f"{shown} What counts is the accuracy: {gained}"
)

# %% [markdown]
# Second, **self-training** lets a probe label the other images itself, and learns again from its own answers. We give it five
# labels per class. Is it better than the probe that uses these fifty labels alone?

# %% tags=["solution"]
# One of the choices.
guess = "better"
teaching.predict("10.c", guess, choices=("better", "worse", "cannot be told apart"))

# %%
trained = {"self-trained": [], "labeled only": []}
advised = 0
for number, (train, test, _) in enumerate(splits):
    rng = np.random.default_rng(number)
    few = [rng.choice(train[labels[train] == c], 5, False) for c in range(classes)]
    few = np.concatenate(few)
    result = tlkeras.self_train(
        features[few], labels[few], features[np.setdiff1d(train, few)], folds=2
    )
    for name, probe in zip(trained, (result.probe, result.labeled_only)):
        trained[name].append(probe.score(features[test], labels[test]))
    advised += result.better

# %% tags=["hide"]
helped = teaching.compare(trained, splits)
truth = {"self-trained": "better", "labeled only": "worse"}.get(helped.better)
teaching.outcome(
    "10.c",
    truth or "cannot be told apart",
    f"{helped} The function compares the two itself, on the labeled images alone, and "
    f"recommended the self-trained probe in {advised} of {len(splits)} cases.",
)

# %% [markdown]
# ## Answers to doubt: none of these
#
# A classifier for ten classes answers a picture of a teapot with one of the ten. A **rejector** calls an image unknown if
# its features lie farther from all known ones than those of most known images. Its limit is set so that it wrongly calls
# five of a hundred *known* images unknown. How well does it work? Leave out one class at a time, and count how many of its
# images are called unknown.

# %%
rejector = tlkeras.fit_rejection(
    features, labels, groups=drawings.groups, class_names=drawings.class_names
)
report = rejector.report
caught = {
    one.name: one.caught for one in sorted(report.classes, key=lambda c: -c.caught)
}
tlkeras.dot_chart(
    caught,
    title="Most images of an unknown class get a known class",
    xlabel="called unknown",
    baselines={"false alarms allowed": report.false_alarms},
)

# %% tags=["hide"]
half = t.ppf(0.975, len(caught) - 1) * report.standard_error
teaching.finding(
    f"On average {report.caught:.0%} of the images of an unknown class are caught, "
    "with a "
    f"95% interval over classes of {report.caught - half:.0%} to "
    f"{report.caught + half:.0%}, where {report.false_alarms:.0%} of false alarms are "
    "allowed (a setting, not a measurement): far from reliable. Do not promise *none of "
    "these* without measuring it."
)

# %% [markdown]
# ## Answers to doubt: how sure is sure?
#
# If a model says *ninety percent* a hundred times, ninety answers should be right. A Keras head that is trained until it
# knows its training images by heart is too sure. A **temperature** divides its logits, the numbers that softmax turns into
# probabilities, so that confidence fits again. `tlkeras.calibrate` measures each image with a temperature that was set on
# others.

# %%
train, test, _ = lab.splits(drawings, 1, test_size=0.4)[0]
head, history = lab.train_head(
    features[train],
    labels[train],
    (features[test], labels[test]),
    epochs=20,
    learning_rate=1e-2,
)
by_epoch = {"training": history["accuracy"], "new images": history["val_accuracy"]}
teaching.line_chart(
    {"images right": by_epoch},
    range(1, 21),
    xlabel="epochs",
    title="The head soon knows its training images by heart",
)

# %% tags=["hide"]
new = teaching.percent(teaching.counted(history["val_accuracy"][-1], len(test)))
teaching.finding(
    f"After 20 epochs {history['accuracy'][-1]:.0%} of the training images are answered "
    f"correctly, and {new} of the new ones (in parentheses, the 95% interval)."
)

# %%
said = head.predict(features[test], verbose=0).astype("float64")
result = tlkeras.calibrate(head, features[test], labels[test])
tlkeras.reliability_figure(
    {"as trained": result.before, "calibrated": result.after},
    title="Trained for long, the head claims more than it knows; one number lowers it",
)

# %% tags=["hide"]
before, after = result.before, result.after
error = "expected_calibration_error"
cooled = said ** (1 / result.temperature)
cooled /= cooled.sum(axis=1, keepdims=True)
rng, gains = np.random.default_rng(0), []
for _ in range(500):  # the same images drawn for both errors
    rows = rng.choice(len(test), len(test))
    drawn = labels[test][rows]
    both = (tlkeras.expected_calibration_error(drawn, p[rows]) for p in (said, cooled))
    gains.append(100 * np.subtract(*both))
low, high = np.quantile(gains, (0.025, 0.975))
own = np.arange(len(test)), labels[test]
saved = np.log(cooled[own]) - np.log(np.maximum(said[own], 1e-12))
spread = 1.96 * saved.std() / np.sqrt(len(saved))
teaching.finding(
    f"Stated and true confidence differ by {getattr(before, error):.0%} on average "
    f"(95% interval {before.interval[0]:.0%} to {before.interval[1]:.0%}) as trained, "
    "and by "
    f"{getattr(after, error):.0%} ({after.interval[0]:.0%} to {after.interval[1]:.0%}) "
    f"with a temperature of {result.temperature:.1f}. Chance alone gives "
    f"{after.noise:.0%}. Both errors are of the same images, so the gain has an interval "
    f"of its own: {low:+.1f} to {high:+.1f} points"
    f"{'.' if low > 0 else ', so these images alone cannot prove it.'} The log loss, which "
    f"punishes being sure and wrong, is lower by {saved.mean():.1f} "
    f"({saved.mean() - spread:.1f} to {saved.mean() + spread:.1f}). No answer changes, only "
    "how sure it claims to be."
)

# %% tags=["hide"]
assert fifths.better == "0% wrong", "many wrong labels should cost accuracy"
assert sum(hits) > 0.6 * sum(ours.values()), "too few spoiled labels were found"
assert report.caught - half > 0, "the rejector catches nothing"
assert result.temperature > 1.2, "the head should be overconfident"
assert getattr(after, error) < getattr(before, error) and saved.mean() > spread
board = {
    "clean labels": teaching.interval(noise[0], splits),
    "a tenth of the labels wrong": teaching.interval(noise[0.1], splits),
    "five labels per class": teaching.interval(trained["labeled only"], splits),
}
teaching.scoreboard("10", board)

# %% tags=["nbval-check-output"]
print("Many wrong labels cost accuracy:", fifths.better == "0% wrong")
print("Most spoiled labels are found:", sum(hits) > 0.6 * sum(ours.values()))

# %% [markdown]
# ## Question
#
# You divide the logits of a classifier by a temperature of 2. What changes?
#
# - (a) The accuracy
# - (b) The order of the classes for an image
# - (c) How sure the answers claim to be
# - (d) The features

# %% tags=["solution"]
teaching.quiz("10", "c")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# One kind of error is not random: somebody filed thirty-two *mammals* as *birds*, a tenth of the 320 training images.
# Compared with thirty-two random errors, will the accuracy on new images be `"lower"`, `"higher"` or `"about equal"`?
#
# <details><summary>Hint</summary>
# Random errors point in all directions. Where do these point? How many mammals are left?
# </details>

# %% tags=["solution"]
# One of "lower", "higher", "about equal".
prediction = "lower"

# %%
bird, mammal = (drawings.class_names.index(name) for name in ("bird", "mammal"))


def misfiled(true, rng):
    """File as many mammals as birds as there are errors in one in ten."""
    wrong = true.copy()
    rows = np.flatnonzero(true == mammal)
    wrong[rng.choice(rows, round(0.1 * len(true)), replace=False)] = bird
    return wrong


systematic = accuracies(misfiled)
print(teaching.compare({"systematic": systematic, "random": noise[0.1]}, splits))

# %%
teaching.check("10.1", prediction, systematic, noise[0.1])

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `doubtful(labels, probabilities)`: return the numbers of the images whose most probable class is not their label,
# first those where the label has the *lowest* probability.
#
# <details><summary>Hint</summary>
# <code>probabilities[range(len(labels)), labels]</code> is the probability of each image's own label.
# </details>


# %% tags=["solution"]
def doubtful(labels, probabilities):
    """Return the numbers of doubtful images, the most doubtful first."""
    own = probabilities[np.arange(len(labels)), labels]
    rows = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return rows[np.argsort(own[rows])]


# %%
teaching.check("10.2", doubtful)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Take at least 30 of your own images without labels (here, emoji). Create `my_order`, the ten to label first, and look at
# them.
#
# <details><summary>Hint</summary>
# <code>tlkeras.label_order(folder, count=10)</code> takes a folder; its subfolders do not matter.
# </details>

# %% tags=["solution"]
# The ten of your images to label first.
my_images = lab.emoji("noto", image_size=96)
my_order = tlkeras.label_order(my_images, lab.features(my_images), count=10)

# %%
teaching.check("10.3", my_order)

# %% [markdown]
# ## Read on
#
# - Curtis Northcutt, Anish Athalye and Jonas Mueller, 2021, [Pervasive Label Errors in Test Sets Destabilize Machine
#   Learning Benchmarks](https://arxiv.org/abs/2103.14749): even famous test sets have wrong labels.
# - Chuan Guo, Geoff Pleiss, Yu Sun and Kilian Weinberger, 2017, [On Calibration of Modern Neural
#   Networks](https://arxiv.org/abs/1706.04599): temperature scaling.
# - Yiyou Sun, Yifei Ming, Xiaojin Zhu and Yixuan Li, 2022, [Out-of-Distribution Detection with Deep Nearest
#   Neighbors](https://arxiv.org/abs/2204.06507): the idea behind the rejector.

# %% [markdown]
# ## Recap
#
# - **Find**: look at the labels that a probe finds improbable. A tenth of wrong ones costs less than we can measure here
#   (at most about 7 points); many cost a lot.
# - **Choose**: ask for typical images, and compare with random ones before you trust the order: here, no gain was told.
# - **Test**: compare self-training with the labels alone, on the same splits.
# - **Distrust**: measure calibration, and measure *none of these* with classes left out.
