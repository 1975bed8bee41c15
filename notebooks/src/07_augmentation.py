# %% [markdown]
# # 07 · Augmentation
#
# **Question.** Which changes preserve the label, and do they help?
#
# **You will be able to**
#
# - **Reason** about a change before you use it: does the label survive?
# - **Test** whether features notice a change, and know what that test cannot see.
# - **Pick** layers by domain, from Keras and from KerasCV.
# - **Measure** what augmentation gains, with an interval.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb). You know what the features of a frozen
# network are, and why test images must not choose anything.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 to 2 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

lab = teaching.lab
teaching.start(seed=0)

# %%
import warnings

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import tlkeras

# %% [markdown]
# ## The idea, on two letters
#
# Augmentation tells a classifier: *this would have had the same label*. Here is a world in which that can be true or
# false. Its pictures are the letters b and d on nine by nine pixels, anywhere in the picture. Each letter is the mirror
# image of the other.

# %% tags=["hide"]
SHAPE = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1]])


def letters(count, rng):
    """Draw noisy letters; label 0 is b, label 1 is d."""
    pictures, labels = np.zeros((count, 9, 9, 1), "float32"), rng.integers(0, 2, count)
    labels[:2] = 0, 1
    for picture, is_d in zip(pictures, labels):
        top, left = rng.integers(0, 5), rng.integers(1, 6)
        picture[top : top + 5, left : left + 3, 0] = SHAPE[:, ::-1] if is_d else SHAPE
    return pictures + rng.normal(0, 0.2, pictures.shape).astype("float32"), labels


# %%
fill = {"fill_mode": "constant", "fill_value": 0.0, "interpolation": "nearest"}
LAYERS = {
    "no augmentation": None,
    "shifts": keras.layers.RandomTranslation(0.25, 0.25, seed=0, **fill),
    "flips": keras.layers.RandomFlip("horizontal", seed=0),
}


def accuracy_on_letters(layer, seed):
    """Train on twelve letters, and on twenty views of each; test on 400 new ones."""
    rng = np.random.default_rng(seed)
    x, y = letters(12, rng)
    test, truth = letters(400, rng)
    made = [layer(x, training=True) for _ in range(20)] if layer else []
    seen = [x, *map(keras.ops.convert_to_numpy, made)]
    model = SVC(C=10).fit(np.concatenate(seen).reshape(-1, 81), np.tile(y, len(seen)))
    return model.score(test.reshape(-1, 81), truth)


# %% [markdown]
# Here are a b, a d, and a mirrored b.

# %% tags=["hide"]
two, _ = letters(2, np.random.default_rng(0))
glyphs = [np.clip(letter, 0, 1) for letter in (*two, two[0][:, ::-1])]
paper = [np.kron(255 - 255 * glyph, np.ones((12, 12, 3))) for glyph in glyphs]
tlkeras.contact_sheet(paper, ["b", "d", "b, flipped"], columns=3, image_size=108)

# %% tags=["hide"]
teaching.finding("A mirrored b cannot be told from a d.")

# %% [markdown]
# **Predict.** We flip training letters at random and keep their labels. What will the classifier get right on new
# letters: more than without, about as much, or half of them, like a coin?

# %% tags=["solution"]
# One of the choices.
guess = "half"
teaching.predict("07.a", guess, choices=("more", "as much", "half"))

# %% tags=["hide"]
WORLDS = 10
on_letters = {
    name: np.array([accuracy_on_letters(layer, seed) for seed in range(WORLDS)])
    for name, layer in LAYERS.items()
}

# %% tags=["hide"]
from scipy import stats


def t_interval(results):
    """Compute the usual 95% t interval of a mean, for results that share no images."""
    half = stats.t.ppf(0.975, len(results) - 1) * stats.sem(results)
    return np.mean(results), np.mean(results) - half, np.mean(results) + half


tlkeras.dot_chart(
    {name: t_interval(scores) for name, scores in on_letters.items()},
    title="Shifts replace pictures that we lack; flips destroy labels that we have",
    xlabel="new letters right, mean of ten worlds",
    baselines={"coin": 0.5},
)

# %% tags=["hide"]
plain, shifted, flipped = on_letters.values()
wins = np.sum(shifted > plain)
gain, low, high = (100 * value for value in t_interval(shifted - plain))
came = (
    "half"
    if flipped.mean() < 0.6
    else "more"
    if flipped.mean() > plain.mean()
    else "as much"
)
teaching.outcome(
    "07.a",
    came,
    "A flipped b is a d that is labeled b: with flips, "
    f"{teaching.percent(t_interval(flipped))} of new letters are right, like a coin. A "
    f"shifted letter is still the same letter: shifts raise {plain.mean():.0%} to "
    f"**{shifted.mean():.0%}**, by {gain:.0f} points (95% interval {low:.0f} to {high:.0f}), "
    f"and were better in {wins} of {WORLDS} worlds. The worlds share no pictures, so these "
    "intervals are the usual ones and need no correction.",
)

# %% [markdown]
# ## One flip, two labels
#
# Whether a change is allowed is a question about the *label*, not about the picture. Take our drawings and turn them
# upside down. For the label "bird" it is still a bird. For a program that finds out which pages were scanned upside
# down, the label is the opposite.
#
# We train both on the same features: with drawings as they are, and with upside-down views added under the same label.
# A linear classifier is fitted many times below, so we take ridge regression, which needs no iterations.

# %%
images = lab.drawings(image_size=96)
splits = lab.splits(images)
network = tlkeras.backbone("efficientnet_lite0", pooling="avg", image_size=96)
pixels, labels = images.read(), images.labels


def features(pixels):
    """Compute the features of a frozen network."""
    return network.predict(pixels, batch_size=64, verbose=0)


upright, flipped = features(pixels), features(pixels[:, ::-1])
mirrored = features(pixels[:, :, ::-1])


# %%
def fitted(views, y):
    """Fit a linear classifier on several views of the same images."""
    ridge = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000))
    return ridge.fit(np.concatenate(views), np.tile(y, len(views)))


def accuracies(views, *tests, parts=splits):
    """Train on views in every split, and test on one or more others."""
    scores = np.zeros((len(tests), len(parts)))
    for column, s in enumerate(parts):
        model = fitted([view[s.train] for view in views], labels[s.train])
        for row, test in enumerate(tests):
            scores[row, column] = model.score(test[s.test], labels[s.test])
    return scores


# %% tags=["hide"]
def upside_down_found(swap):
    """Learn which drawings are upside down, perhaps with flips that keep the label."""
    scores = []
    for s in splits:
        known, held = ([upright[rows], flipped[rows]] for rows in (s.train, s.test))
        y, truth = (np.repeat([0, 1], len(rows)) for rows in (s.train, s.test))
        views = [np.concatenate(known)] + [np.concatenate(known[::-1])] * swap
        scores.append(fitted(views, y).score(np.concatenate(held), truth))
    return np.array(scores)


# %%
# the second and the third row are for the question after the next
plain_drawings = accuracies([upright], upright, mirrored, flipped)
what = plain_drawings[0], accuracies([upright, flipped], upright)[0]
way_up = upside_down_found(swap=False), upside_down_found(swap=True)

# %% tags=["hide"]
interval = teaching.interval
tlkeras.dot_chart(
    {
        "which of ten things?": interval(what[0], splits),
        "which of ten things? flips added": interval(what[1], splits),
        "upside down? flips added": interval(way_up[1], splits),
        "upside down?": interval(way_up[0], splits),
    },
    title="The same flip leaves one label alone and destroys the other",
    baselines={"coin": 0.5},
)

# %% tags=["hide"]
same = teaching.compare({"flips added": what[1], "as they are": what[0]}, splits)
lost = teaching.compare({"flips added": way_up[1], "as they are": way_up[0]}, splits)
teaching.finding(
    f"Which thing: {same} Upside down: {lost} With the flips every picture has been "
    "seen under both labels, so nothing is left to learn. **No accuracy can tell you "
    "which case you are in before you know what the label means.**"
)

# %% [markdown]
# ## Reasons, by domain
#
# Which symmetries are true is a question about the world. `tlkeras.augmentation_policy` has an answer for each domain
# with the reason for each setting, so that you can disagree with it.

# %% tags=["hide"]
rows = []
for domain in ("photo", "drawing", "digits", "xray", "aerial"):
    policy = tlkeras.augmentation_policy(domain)
    for setting in ("horizontal_flip", "vertical_flip"):
        used = "on" if getattr(policy, setting) else "off"
        reason = policy.why[setting].removeprefix("Off: ")
        rows.append({"domain": domain, "setting": setting, "used": used, "why": reason})
teaching.table(rows)

# %% [markdown]
# Look at what a policy does to your images before you train with it. A mistake costs a glance now and a day later. The
# original is on the left of each row. Each column after it shows what one layer does alone, as far as it went in 24 tries,
# and the last one what all layers do together. Would you still give each picture its label?

# %%
samples = pixels[[np.argmax(labels == number) for number in (0, 5)]]
drawing = tlkeras.augmentation("drawing", seed=1)
tlkeras.preview(samples, drawing, image_size=88, by_layer=True)

# %% tags=["hide"]
kinds = ", ".join(type(layer).__name__ for layer in drawing)
teaching.finding(
    "Flips are horizontal only, and what moves in from outside is white, like paper. "
    f"The layers: {kinds}. Each column still shows a bird and an apple. The strongest of 24 "
    "tries is at the limit: a stronger policy would soon hide what the label says."
)

# %% [markdown]
# ## Do the features notice?
#
# A second question is whether a network's features *change* under a flip. Fit a classifier on unchanged images, test it
# on flipped ones: a loss shows that features depend on the direction. `tlkeras.check_symmetry` does this for a data
# set. Here it tests scikit-learn's digits, once with raw pixels as features and once with those of our network.

# %%
digits = load_digits()
ink = (255 - 255 / 16 * digits.images[:600]).astype("uint8")
ink = np.repeat(ink[..., None], 3, axis=-1)
FEATURES = {
    "pixels": (8, lambda x: x.reshape(len(x), -1) / 255),
    "network": (96, features),
}
mirror = {}
for name, (size, extract) in FEATURES.items():
    data = tlkeras.load_images(
        ink,
        labels=digits.target[:600],
        image_size=size,
        test_size=0,
        validation_size=0.4,
    )
    mirror[name] = tlkeras.check_symmetry(
        data.train, data.validation, extract, ("horizontal_flip",)
    )[0]
    print(f"{name:8}", mirror[name])

# %% tags=["hide"]
costs = {}
for name, each in mirror.items():
    lost_points = 100 * (each.accuracy - each.accuracy_changed)
    margin = 196 * each.standard_error
    costs[name] = (
        f"{lost_points:.0f} points (95% interval {lost_points - margin:+.0f} to "
        f"{lost_points + margin:+.0f})"
    )
teaching.finding(
    f"Mirroring costs the classifier on pixels {costs['pixels']}, and the one on the "
    f"network's features {costs['network']}. After `+-` stands one standard error. "
    "**safe** means that a loss of more than 5 points is ruled out at two standard "
    "errors, **unsafe** that there is a loss, and **undecided** that there are too few "
    "images to tell. They speak about features. A mirrored 3 is no 3, even if the "
    "features do not notice."
)

# %% [markdown]
# **Predict.** And our drawings, with the network's features? Which flip costs more: left to right, or upside down?

# %% tags=["solution"]
# One of the choices.
flips = ("left to right", "upside down", "cannot be told apart")
guess = "upside down"
teaching.predict("07.b", guess, choices=flips)

# %% tags=["hide"]
noticed = dict(zip(("unchanged", "mirrored", "upside down"), plain_drawings))
pairs = {
    pair: teaching.compare({name: noticed[name] for name in pair}, splits)
    for pair in (
        ("unchanged", "upside down"),
        ("unchanged", "mirrored"),
        ("mirrored", "upside down"),
    )
}
down, across, between = pairs.values()
seen = [flip for (_, flip), each in list(pairs.items())[:2] if each.better]
tlkeras.dot_chart(
    {name: interval(scores, splits) for name, scores in noticed.items()},
    title=f"A loss can be told for: {', '.join(seen) or 'no flip'}",
    xlabel="test images right, trained on unchanged drawings",
)

# %% tags=["hide"]
costlier = {
    "mirrored": "upside down",
    "upside down": "left to right",
    None: "cannot be told apart",
}
teaching.outcome(
    "07.b",
    costlier[between.better],
    f"{between} Each flip against none: {down} {across} **Invariance is a property of "
    "features; truth is one of labels.**",
)

# %% [markdown]
# ## Does it help?
#
# Only now the third question. Each training image is joined by two views of the policy for drawings, or by its
# upside-down view, which the policy forbids. Test images are never augmented. We measure it with five images per class
# and with all of them.

# %%
drawing = tlkeras.augmentation("drawing", seed=0)
views = [drawing(pixels.astype("float32"), training=True) for _ in range(2)]
views = [features(keras.ops.convert_to_numpy(view)) for view in views]
ARMS = {
    "no augmentation": [upright],
    "policy for drawings": [upright, *views],
    "upside down": [upright, flipped],
}

# %% tags=["hide"]
rng = np.random.default_rng(0)


def first(split, count):
    """Keep `count` training images per class, drawn at random."""
    mixed = rng.permutation(split.train)
    rows = [mixed[labels[mixed] == number][:count] for number in range(10)]
    return split._replace(train=np.concatenate(rows))


# %%
small = [first(split, 5) for split in splits]
few = {name: accuracies(arm, upright, parts=small)[0] for name, arm in ARMS.items()}
policy = accuracies(ARMS["policy for drawings"], upright)[0]
all_of_them = dict(zip(ARMS, (what[0], policy, what[1])))  # two were measured above
results = {"5 per class": few, "all": all_of_them}

# %% [markdown]
# **Predict.** Where will the policy gain more: with few images or with all of them?

# %% tags=["solution"]
# One of the choices; "neither" means that no gain can be told.
guess = "few"
teaching.predict("07.c", guess, choices=("few", "all", "neither"))

# %% tags=["hide"]
majority = np.mean(
    [np.mean(labels[s.test] == np.bincount(labels[s.train]).argmax()) for s in splits]
)
gains = {
    size: teaching.compare(
        {key: arms[key] for key in ("policy for drawings", "no augmentation")}, splits
    )
    for size, arms in results.items()
}
better = [size for size, gain in gains.items() if gain.better == "policy for drawings"]
tlkeras.dot_chart(
    {
        f"{size}: {name}": interval(scores, splits)
        for size, arms in results.items()
        for name, scores in arms.items()
    },
    title=f"Views of the same images help with: {', '.join(better)}"
    if better
    else "Views of the same images gain nothing that we can tell",
    baselines={"majority class": majority},
)

# %% tags=["hide"]
forbidden = teaching.compare(
    {key: results["all"][key] for key in ("upside down", "no augmentation")}, splits
)
tempting = teaching.compare(
    {
        key: results["5 per class"][key]
        for key in ("upside down", "policy for drawings")
    },
    splits,
)
came = (
    {"all": "all", "5 per class": "few"}[better[0]] if len(better) == 1 else "neither"
)
why = (
    "Views are not new pictures. Perhaps a frozen network has learned much of what "
    "they could teach; that was not measured here. "
    if not better
    else ""
)
teaching.outcome(
    "07.c",
    came,
    f"Five per class: {gains['5 per class']} All: {gains['all']} The forbidden flip: "
    f"{forbidden} And with five per class: {tempting} {why}A change may help by accident "
    "and still be wrong; reasons decide what is allowed, measurements decide what is used.",
)

# %% tags=["nbval-check-output"]
safe = tlkeras.augmentation("digits")
flips = any(isinstance(layer, keras.layers.RandomFlip) for layer in safe)
print("Layers for digits flip:", flips)

# %% [markdown]
# ## Did it all hold?

# %%
assert shifted.mean() > plain.mean() + 0.05
assert abs(on_letters["flips"].mean() - 0.5) < 0.1, "flips should leave a coin toss"
assert lost.better == "as they are" and abs(way_up[1].mean() - 0.5) < 0.05
assert same.better != "as they are", "the classes should survive"
assert down.better == "unchanged" and mirror["pixels"].verdict == "unsafe"
assert results["all"]["no augmentation"].mean() > majority + 0.2, (
    "no better than one class"
)

# %% [markdown]
# **Question.** A flip raises validation accuracy by two points. May you use it?
#
# - (a) Yes. Accuracy decides.
# - (b) Only if the label stays true, which the accuracy does not show.
# - (c) No. Flips are for photographs.

# %% tags=["solution"]
teaching.quiz("07", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# We train logistic regression on the pixels of five digits per class, and then again with their mirror images added
# under the same labels. Will the accuracy on test images be `"worse"`, `"the same"` or `"better"`? Decide before you run
# the cell below yours.
#
# <details><summary>Hint</summary>Which digits look the same in a mirror? What becomes of a 2? And how many of the test
# images are mirrored?</details>

# %% tags=["solution"]
# One of "worse", "the same", "better".
prediction = "worse"

# %% tags=["hide"]
# Eight sets of digits that share no images, so that the eight results are independent.
mixed = np.random.default_rng(0).permutation(len(digits.target))
difference = []
for rows in np.array_split(mixed, 8):
    x, y = digits.images[rows] / 16, digits.target[rows]
    known = np.concatenate([np.flatnonzero(y == digit)[:5] for digit in range(10)])
    test = np.setdiff1d(np.arange(len(y)), known)
    twice = np.concatenate([x[known], x[known][:, :, ::-1]]), np.tile(y[known], 2)
    right = [
        LogisticRegression(max_iter=1000)
        .fit(pictures.reshape(-1, 64), truth)
        .score(x[test].reshape(-1, 64), y[test])
        for pictures, truth in ((x[known], y[known]), twice)
    ]
    difference.append(right[1] - right[0])
print("change in each of eight sets:", *(f"{each:+.0%}" for each in difference))

# %%
teaching.check("07.1", prediction, difference)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `my_policy` for traffic signs seen from a car. Some point left and others right; they are upright or nearly so,
# at any distance, in sun and rain. Give a reason (`why`) for each setting that is on, and for `horizontal_flip`. Then
# look at a preview.
#
# <details><summary>Hint</summary>Begin with <code>tlkeras.AugmentationPolicy(why={"horizontal_flip": "Off: ..."},
# light=0.3)</code>, and go on. Fields that can be on: <code>horizontal_flip</code>, <code>vertical_flip</code>,
# <code>any_direction</code>, <code>small_rotation</code> (degrees), <code>scale</code>, <code>crop</code>,
# <code>light</code>, <code>color</code>, <code>gray</code>, <code>blur</code>, <code>noise</code>,
# <code>erase</code>.</details>

# %% tags=["solution"]
# A tlkeras.AugmentationPolicy for traffic signs.
my_policy = tlkeras.AugmentationPolicy(
    small_rotation=8,
    scale=0.3,
    light=0.3,
    blur=0.2,
    why={
        "horizontal_flip": "Off: an arrow to the left is not one to the right.",
        "small_rotation": "Poles lean.",
        "scale": "Distance varies.",
        "light": "Sun and rain.",
        "blur": "Cars move.",
    },
)

# %%
teaching.check("07.2", my_policy)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a folder of your own images (here, four of our classes stand in). Create `my_symmetries`, the result of
# `tlkeras.check_symmetry` for them, and `my_augmentation`, layers without any flip that it calls unsafe.
#
# <details><summary>Hint</summary><code>tlkeras.check_symmetry(my_images.train, my_images.validation)</code> loads a
# network of its own. With few images in <code>validation</code> its verdict is "undecided"
# (<code>validation_size=0.5</code> gives it more).</details>

# %% tags=["solution"]
# Splits of your images, the verdicts of the test, and layers to train with.
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(
    teaching.clipart10(), classes=my_classes, image_size=96, validation_size=0.5
)
my_symmetries = tlkeras.check_symmetry(my_images.train, my_images.validation, features)
my_augmentation = tlkeras.augmentation("drawing", strength=0.7)

# %%
teaching.check("07.3", my_augmentation, my_symmetries, my_images)

# %% tags=["hide"]
teaching.scoreboard(
    "07",
    {
        "probe, with views of the policy": interval(
            results["all"]["policy for drawings"], splits
        )
    },
    images="drawings, 96 px",
)

# %% [markdown]
# ## Appendix · Keras and KerasCV, side by side
#
# This section is about tools and not about the question of the page.
#
# Keras has most of the layers today. KerasCV is no longer developed and needs TensorFlow, but it has some layers that
# Keras lacks. KerasCV's layers change images even when a model predicts. So do not put them into a model, and use them
# on training images only: `images.train.batches(augment=layer)`. `tlkeras.GridMask` and `tlkeras.RandomChannelShuffle`
# act in training only.

# %%
RANGE = (0, 255)
looks = {
    "RandAugment": keras.layers.RandAugment(RANGE, factor=0.5, seed=3),
    "AugMix": keras.layers.AugMix(RANGE, seed=3),
    "RandomErasing": keras.layers.RandomErasing((1, 1), value_range=RANGE, seed=3),
}
try:
    # It warns about packages that it does not find.
    with warnings.catch_warnings(action="ignore"):
        from keras_cv import layers as cv
    looks |= {
        "CV RandAugment": cv.RandAugment(RANGE, magnitude=0.5, seed=3),
        "CV GridMask": cv.GridMask(seed=3),
        "CV ChannelShuffle": cv.ChannelShuffle(seed=3),
        "CV ChannelShift": cv.RandomChannelShift(RANGE, 0.4, seed=3),
    }
except ImportError:
    print("KerasCV cannot be imported here, so its layers are left out.")

# %% tags=["hide"]
view = {"original": samples.astype("float32")}
for name, layer in looks.items():
    seen = keras.ops.convert_to_numpy(layer(view["original"], training=True))
    view[name] = np.clip(seen, *RANGE)
tlkeras.contact_sheet(
    [x[1] for x in view.values()], list(view), columns=4, image_size=120
)

# %% tags=["hide"]
change = {
    name: np.abs(x - view["original"]).mean()
    for name, x in view.items()
    if name != "original"
}
most, least = max(change, key=change.get), min(change, key=change.get)
teaching.finding(
    f"None of these layers knows our domain. In these pictures {most} changes a pixel by "
    f"{change[most]:.0f} of 255 gray levels on average, {least} by {change[least]:.0f}. Layers "
    "that hide a part make the classifier recognize a thing by what is left of it."
)

# %% [markdown]
# ## Read on
#
# - Connor Shorten and Taghi Khoshgoftaar, 2019, [A survey on image data augmentation for deep
#   learning](https://doi.org/10.1186/s40537-019-0197-0). What there is.
# - Ekin Cubuk, Barret Zoph, Jonathon Shlens and Quoc Le, 2020, [RandAugment](https://arxiv.org/abs/1909.13719). One
#   strength for many changes.
# - Dan Hendrycks and others, 2020, [AugMix](https://arxiv.org/abs/1912.02781). Views that make networks robust.

# %% [markdown]
# ## Recap
#
# - **Reason**: a change is allowed if it keeps the label true. The same flip left one label alone and turned another
#   into a coin toss.
# - **Test**: a classifier on flipped images shows what features depend on. A network that ignores mirroring cannot warn
#   you.
# - **Pick**: policies hold the reasons of a domain. Keras has most layers, KerasCV a few more. Look at a preview first.
# - **Measure**: on the same splits, with an interval. "Cannot be told apart" is a result.
