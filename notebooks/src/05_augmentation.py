# %% [markdown]
# # 5 · Augmentation
#
# **Question.** Which changes keep the label true, and do they help?
#
# **You will be able to**
#
# - **Reason** about a change before you use it: does the label survive?
# - **Test** a symmetry on data, and know what the test cannot see.
# - **Pick** layers by domain, from Keras and from KerasCV.
# - **Measure** what augmentation gains, and call noise noise.
#
# **Before you start:** [Feature extraction](01_feature_extraction.ipynb). You know what the features of a frozen
# network are, and why test images must not choose anything.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import dataclasses
import warnings

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

import tlkeras
from tlkeras import evaluation

# %% [markdown]
# ## The idea, on a glyph
#
# Augmentation tells a classifier: *this would have had the same label*. Here is a world in which that can be true or
# false. Its pictures are the letters b and d on nine by nine pixels, not always in the middle. Each letter is the mirror
# image of the other.

# %%
SHAPE = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1]])


def glyphs(count, rng):
    """Draw noisy letters, (count, 9, 9, 1), and say whether each is a d."""
    labels, pictures = np.arange(count) % 2, np.zeros((count, 9, 9, 1), "float32")
    for picture, is_d in zip(pictures, labels):
        top, left = rng.integers(0, 5), rng.integers(1, 6)
        picture[top : top + 5, left : left + 3, 0] = SHAPE[:, ::-1] if is_d else SHAPE
    return pictures + rng.normal(0, 0.2, pictures.shape).astype("float32"), labels


def paper(picture):
    """Turn a glyph into an image: dark on white, enlarged."""
    return np.kron(255 - 255 * np.clip(picture, 0, 1), np.ones((12, 12, 3)))


# %%
fill = {"fill_mode": "constant", "fill_value": 0.0, "interpolation": "nearest"}
shift = keras.layers.RandomTranslation(0.25, 0.25, seed=0, **fill)
flip = keras.layers.RandomFlip("horizontal", seed=0)


def glyph_accuracy(layer, seed, views=20):
    """Return accuracy on new glyphs after training on twelve, or on their views."""
    rng = np.random.default_rng(seed)
    x, y = glyphs(12, rng)
    test, truth = glyphs(400, rng)
    seen = [x]
    if layer is not None:
        made = (layer(x, training=True) for _ in range(views))
        seen = [keras.ops.convert_to_numpy(view) for view in made]
    rows = np.concatenate(seen).reshape(-1, 81)
    return SVC(C=10).fit(rows, np.tile(y, len(seen))).score(test.reshape(-1, 81), truth)


letters, _ = glyphs(2, np.random.default_rng(0))
shown = [*letters, letters[0][:, ::-1]]

# %% [markdown]
# **Predict.** Here are a b, a d, and a mirrored b. If we flip training pictures at random and keep their labels, what
# will the classifier learn?

# %%
tlkeras.contact_sheet(
    [paper(picture) for picture in shown], ["b", "d", "b, flipped"], columns=3
)

# %%
arms = {"no augmentation": None, "shifts": shift, "flips": flip}
on_glyphs = {
    name: np.array([glyph_accuracy(layer, seed) for seed in range(5)])
    for name, layer in arms.items()
}
teaching.finding(
    "A flipped b is a d that is labeled b. After training with flips, "
    f"{evaluation.with_error(on_glyphs['flips'])} "
    "of new letters are right: a coin toss."
)

# %% [markdown]
# **Predict.** A shifted letter is still the same letter. Twelve pictures cannot show every position. What will views at
# other positions gain?

# %%
evaluation.accuracy_bars(on_glyphs, {"majority class, chance": 0.5})

# %%
gained = on_glyphs["shifts"] - on_glyphs["no augmentation"]
teaching.finding(
    f"Shifts gain {evaluation.with_error(gained)} over the "
    f"{evaluation.with_error(on_glyphs['no augmentation'])} "
    "without augmentation. Flips "
    f"end at {evaluation.with_error(on_glyphs['flips'])}. A true symmetry replaces "
    "pictures that we lack. A false one destroys labels that we have."
)

# %% [markdown]
# ## Reasons, by domain
#
# Which symmetries are true is a question about the world, not about networks. `tlkeras.augmentation_policy` gives an
# answer for each domain, with the reason for each setting, so that you can disagree with it.

# %%
for domain in ("photo", "drawing", "digits", "xray", "aerial"):
    policy = tlkeras.augmentation_policy(domain)
    for setting in ("horizontal_flip", "vertical_flip"):
        allowed = "yes" if getattr(policy, setting) else "no"
        print(f"{domain:8} {setting:16} {allowed:4} {policy.why[setting]}")

# %%
print(tlkeras.augmentation_policy("drawing"))

# %%
SIZE = (96, 96)
folder = teaching.clipart10()
splits = [tlkeras.load_images(folder, seed=seed, image_size=SIZE) for seed in range(3)]
names = splits[0].class_names
labels = splits[0].train.labels
samples = splits[0].train.take([np.argmax(labels == k) for k in (0, 5)]).read()

# %% [markdown]
# Look at what a policy does to your images before you train with it. A mistake costs a glance now and a day later.
#
# **Predict.** The original drawing is on the left of each row. The policy for drawings changes colors and fills areas
# that moved in from outside with white. Would you still give each picture its label?

# %%
drawing = tlkeras.augmentation("drawing", seed=1)
tlkeras.preview(samples, drawing, columns=6, image_size=96)

# %%
flips = [layer for layer in drawing if isinstance(layer, keras.layers.RandomFlip)]
viewed = keras.ops.convert_to_numpy(drawing(samples.astype("float32"), training=True))
teaching.finding(
    f"Every view has shape {viewed.shape[1:]}, like the image, and gray levels from "
    f"{viewed.min():.0f} to {viewed.max():.0f}; flips are {flips[0].mode} only. The "
    f"layers: {', '.join(type(layer).__name__ for layer in drawing)}."
)

# %% [markdown]
# ## Testing a symmetry
#
# A reason can be wrong. `tlkeras.check_symmetry` fits a probe on unchanged images, then tests it on the same validation
# images, flipped. It calls a flip *safe* only if a loss beyond the tolerance is ruled out, *unsafe* if there is a loss,
# and otherwise *undecided*.
#
# We test scikit-learn's digits, with raw pixels as features, and then our drawings, with the features of the frozen
# network. Half of the drawings are used for validation, so that the test can decide.

# %%
digits = load_digits()
ink = (255 - 255 / 16 * digits.images[:600]).astype("uint8")
ink, numerals = np.repeat(ink[..., None], 3, axis=-1), digits.target[:600]
digit_splits = [
    tlkeras.load_images(ink, labels=numerals, seed=seed, image_size=(8, 8))
    for seed in range(3)
]
halves = [
    tlkeras.load_images(
        folder, seed=seed, image_size=SIZE, test_size=0, validation_size=0.5
    )
    for seed in range(3)
]
network = tlkeras.backbone("efficientnet_lite0", pooling="avg", image_size=SIZE)
known = {}

# %%
FLIPS = ("horizontal_flip", "vertical_flip")


def bare(pixels):
    """Return pixels as features."""
    return pixels.reshape(len(pixels), -1) / 255


def features(pixels):
    """Return the network's features, computing each picture only once."""
    keys = [picture.tobytes() for picture in pixels]
    new = {key: image for key, image in zip(keys, pixels) if key not in known}
    if new:
        rows = network.predict(np.stack([*new.values()]), batch_size=64, verbose=0)
        known.update(zip(new, rows))
    return np.stack([known[key] for key in keys])


def tests(splits, extract):
    """Test each flip, one row per seed."""
    return [
        tlkeras.check_symmetry(s.train, s.validation, extract, FLIPS) for s in splits
    ]


# %%
of_digits, of_drawings = tests(digit_splits, bare), tests(halves, features)
print("digits  ", *of_digits[0], sep="\n  ")
print("drawings", *of_drawings[0], sep="\n  ")

# %% [markdown]
# **Predict.** That was one seed. Over three seeds, which of the four bars of flipped images will be as high as the bar
# of the unchanged images?

# %%
bars, flipped = {}, {}
for kind, rows in (("digits", of_digits), ("drawings", of_drawings)):
    bars[f"{kind}, unchanged"] = [row[0].accuracy for row in rows]
    for k, name in enumerate(("mirrored", "upside down")):
        bars[f"{kind}, {name}"] = [row[k].accuracy_changed for row in rows]
        flipped[kind, name] = [
            row[k].accuracy_changed - row[k].accuracy for row in rows
        ]
halved = [(s.train.labels, s.validation.labels) for s in halves]
tenths = [(s.train.labels, s.validation.labels) for s in digit_splits]
majorities = {
    f"majority class, {kind}": [
        np.mean(held == np.bincount(seen).argmax()) for seen, held in of_kind
    ]
    for kind, of_kind in (("digits", tenths), ("drawings", halved))
}
evaluation.accuracy_bars(bars, majorities)

# %%
for (kind, name), change in flipped.items():
    of_kind = of_digits if kind == "digits" else of_drawings
    verdicts = [row[name == "upside down"].verdict for row in of_kind]
    teaching.finding(
        f"{kind}, {name}: {np.mean(change):+.2f} ± "
        f"{evaluation.standard_error(change):.2f}; the test says {', '.join(verdicts)}."
    )

# %% [markdown]
# ## What the test cannot see
#
# Now give the digits to the *network*, enlarged to its size. It was trained on photographs, whose mirror images are
# just as likely. Does the test notice the flip?

# %%
large = tlkeras.load_images(ink, labels=numerals, seed=0, image_size=SIZE)
network_says = tlkeras.check_symmetry(large.train, large.validation, features, FLIPS)
lost = {
    name: f"{one.accuracy_changed - one.accuracy:+.2f} ± {one.standard_error:.2f}"
    for name, one in (("pixels", of_digits[0][0]), ("network", network_says[0]))
}
teaching.finding(
    f"Mirroring changes the probe on pixels by {lost['pixels']}, and the probe on the "
    f"network's features by {lost['network']} ({network_says[0].verdict}). "
    "The features "
    "hardly show which way a picture faces. The test is about features. Whether the "
    "label survives, only reasoning can tell."
)

# %% [markdown]
# ## Keras and KerasCV, side by side
#
# Keras has most of the layers today. KerasCV is no longer developed and needs TensorFlow, but it has some layers that
# Keras lacks: `GridMask`, `ChannelShuffle`, `RandomChannelShift`. They also act at inference, so they belong in
# `batches(augment=...)`, not in a model. `tlkeras.GridMask` and `tlkeras.RandomChannelShuffle` act in training only.

# %%
RANGE = (0, 255)
try:
    with warnings.catch_warnings(
        action="ignore"
    ):  # about packages that it does not find
        import keras_cv
except ImportError:
    keras_cv = None
    print("KerasCV cannot be imported here, so its layers are left out below.")

# %%
side_by_side = {
    "RandAugment": keras.layers.RandAugment(RANGE, factor=0.5, seed=3),
    "AugMix": keras.layers.AugMix(RANGE, seed=3),
    "RandomErasing": keras.layers.RandomErasing((1, 1), value_range=RANGE, seed=3),
}
if keras_cv is not None:
    cv = keras_cv.layers
    side_by_side |= {
        "CV RandAugment": cv.RandAugment(RANGE, magnitude=0.5, seed=3),
        "CV AugMix": cv.AugMix(RANGE, seed=3),
        "CV RandomCutout": cv.RandomCutout((0.3, 0.4), (0.3, 0.4), seed=3),
        "CV GridMask": cv.GridMask(seed=3),
        "CV ChannelShuffle": cv.ChannelShuffle(seed=3),
        "CV ChannelShift": cv.RandomChannelShift(RANGE, 0.4, seed=3),
    }
pixels = samples.astype("float32")
looks = {
    name: np.clip(keras.ops.convert_to_numpy(layer(pixels, training=True)), *RANGE)
    for name, layer in side_by_side.items()
}

# %% [markdown]
# **Predict.** None of these layers knows our domain. Which one changes a drawing most, and which ones hide a part of
# it?

# %%
pictures = [pixels[1], *(look[1] for look in looks.values())]
tlkeras.contact_sheet(pictures, ["original", *looks], columns=5, image_size=120)

# %%
moved = {name: np.abs(look - pixels).mean() for name, look in looks.items()}
least, most = min(moved, key=moved.get), max(moved, key=moved.get)
hiding = [name for name in looks if name.endswith(("Mask", "Cutout", "Erasing"))]
teaching.finding(
    f"On average {most} changes a pixel by {moved[most]:.0f} of 255 gray levels, "
    f"{least} by {moved[least]:.0f}. Layers that hide ({', '.join(hiding)}) make the "
    "classifier recognize a thing by what is left of it."
)

# %% [markdown]
# ## Does it help?
#
# The network is frozen, so the features of a view are computed once. A logistic regression is trained on the training
# images alone, or together with three views of each. The validation images, never augmented, choose its penalty.
# (Cross-validation would not work here: views of one image would be on both sides of a fold.)
#
# Besides the policy for drawings we try it with an added setting that its reasons forbid: upside-down views.

# %%
VIEWS = 3
policy = tlkeras.augmentation_policy("drawing")
policies = {
    "policy for drawings": policy,
    "and upside down": dataclasses.replace(policy, vertical_flip=True),
}
parts = [part for s in splits[:1] for part in (s.train, s.validation, s.test)]
everything = np.concatenate([part.read() for part in parts])
paths = np.concatenate([part.paths for part in parts])
row_of = {path: row for row, path in enumerate(paths)}


def views_of(policy):
    """Return features of all images, unchanged and in several views."""
    layers, computed = tlkeras.augmentation(policy, seed=0), [features(everything)]
    for _ in range(VIEWS):
        view = layers(everything.astype("float32"), training=True)
        view = keras.ops.convert_to_numpy(view)
        computed.append(network.predict(view, batch_size=64, verbose=0))
    return computed


# %%
views = {"no augmentation": [features(everything)]}
views |= {name: views_of(policy) for name, policy in policies.items()}


def trained(computed, split):
    """Return test accuracy of a probe with a penalty chosen on validation images."""
    rows, held, test = (
        [row_of[path] for path in part.paths]
        for part in (split.train, split.validation, split.test)
    )
    x = np.concatenate([view[rows] for view in computed]).astype("float64")
    y, scored = np.tile(split.train.labels, len(computed)), []
    for strength in (1e-3, 1e-2, 1e-1):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
        with threadpool_limits(1):  # faster for matrices this small
            probe.fit(x, y)
        validation = probe.score(computed[0][held], split.validation.labels)
        scored.append((validation, probe.score(computed[0][test], split.test.labels)))
    return max(scored, key=lambda pair: pair[0])[1]


# %%
results = {
    name: np.array([trained(computed, split) for split in splits])
    for name, computed in views.items()
}
scratch = teaching.measured("from_scratch")[str(SIZE[0])]
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]

# %% [markdown]
# **Predict.** The network has seen a million photographs, mirrored and cropped. Will views of some 250 drawings teach
# its classifier anything new? And do upside-down views do harm?

# %%
evaluation.accuracy_bars(
    {**results, "same network, from scratch": scratch["test"]},
    {"majority class": majority, "chance": 1 / len(names)},
)


# %%
def judged(runs, plain):
    """Compare two arms: the mean difference, and is it beyond two standard errors?"""
    mean, error = np.mean(runs - plain), evaluation.standard_error(runs - plain)
    verdict = "within noise" if abs(mean) < 2 * error else "beyond noise"
    return f"{mean:+.2f} ± {error:.2f}, {verdict}"


plain = results["no augmentation"]
teaching.finding(
    f"Test accuracy without augmentation: {evaluation.with_error(plain)}. "
    + "; ".join(f"{name}: {judged(results[name], plain)}" for name in policies)
    + f". The network from scratch, after {scratch['epochs']} epochs: "
    f"{evaluation.with_error(scratch['test'])}; "
    f"majority class: {np.mean(majority):.2f}."
)

# %% [markdown]
# Why so little? Views of a picture are not new pictures. How far is a view from its image in feature space?


# %%
def spread(computed):
    """Return the distance of views from their image, relative to two images."""
    centered = computed[0] - computed[0].mean(axis=0)
    apart = np.sqrt(2 * np.mean(centered**2))
    away = [np.sqrt(np.mean((view - computed[0]) ** 2)) for view in computed[1:]]
    return np.mean(away) / apart


nearness = spread(views["policy for drawings"])
teaching.finding(
    f"At {nearness:.2f} of the distance between two images. This network is frozen and "
    "its classifier is small, so it can memorize only a few images. Where a network "
    "itself trains for long, views may gain more. Measure that in the same way: paired "
    "by split, with a standard error."
)

# %% tags=["nbval-check-output"]
safe = tlkeras.augmentation("digits")
print(
    "Layers for digits flip:",
    any(isinstance(one, keras.layers.RandomFlip) for one in safe),
)

# %% [markdown]
# ## Did it all hold?

# %%
for split in splits:
    kept = [set(part.groups) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, kept)) == len(set.union(*kept)), "near-duplicates straddle"
assert on_glyphs["shifts"].mean() > on_glyphs["no augmentation"].mean() + 0.05
assert abs(on_glyphs["flips"].mean() - 0.5) < 0.1, "flips should leave a coin toss"
assert all(row[0].verdict == "unsafe" for row in of_digits)
assert all(row[0].verdict != "unsafe" for row in of_drawings)
assert nearness < 0.9, "views are as far away as other images"
assert plain.mean() > np.mean(majority) + 0.2, "no better than one class"
assert plain.mean() > np.mean(scratch["test"]) + 0.1, "no better than scratch"

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# We train logistic regression on the pixels of five digits per class, and then again with their mirror images added
# under the same labels. Will the accuracy on test images be `"worse"`, `"level"` or `"better"`? Decide before you run
# the cell below yours.
#
# <details><summary>Hint</summary>
#
# Which digits look the same in a mirror? What becomes of a 2? And how many of the test images are mirrored?
#
# </details>

# %% tags=["solution"]
# One of "worse", "level", "better".
prediction = "worse"

# %%
mirrored = []
for split in digit_splits:
    sample = split.train.sample(5, seed=0)
    x, y = sample.read(), sample.labels
    twice = np.concatenate([x, x[:, :, ::-1]])
    scores = []
    for pictures, their in ((x, y), (twice, np.tile(y, 2))):
        probe = LogisticRegression(max_iter=1000)
        with threadpool_limits(1):
            probe.fit(bare(pictures), their)
        scores.append(probe.score(bare(split.test.read()), split.test.labels))
    mirrored.append(scores[1] - scores[0])
print(f"{np.mean(mirrored):+.2f} ± {evaluation.standard_error(mirrored):.2f}")

# %%
teaching.check("05.1", prediction, mirrored)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `my_policy` for traffic signs seen from a car. Some point left and others right; they are upright or nearly so,
# at any distance, in sun and rain. Give a reason (`why`) for each setting that is on, and for `horizontal_flip`. Then
# look at a preview.
#
# <details><summary>Hint</summary>
#
# `dataclasses.replace(tlkeras.augmentation_policy("document"), ...)` starts from a policy without flips. You can also
# write `tlkeras.AugmentationPolicy(why={...}, light=0.3, ...)`.
#
# </details>

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
teaching.check("05.2", my_policy)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load a folder of your own images (here, four of our classes stand in). Create `my_symmetries`, the result of
# `tlkeras.check_symmetry` for them, and `my_augmentation`, layers without any flip that it calls unsafe.
#
# <details><summary>Hint</summary>
#
# `tlkeras.check_symmetry(my_images.train, my_images.validation)` loads a network of its own. It needs many images in
# `validation` to decide (`validation_size=0.5`).
#
# </details>

# %% tags=["solution"]
# Splits of your images, the verdicts of the test, and layers to train with.
my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=SIZE)
my_symmetries = tlkeras.check_symmetry(my_images.train, my_images.validation, features)
my_augmentation = tlkeras.augmentation("drawing", strength=0.7)

# %%
teaching.check("05.3", my_augmentation, my_symmetries, my_images)

# %% [markdown]
# ## Recap
#
# - **Reason**: a change is allowed if it keeps the label true. Shifts replaced glyphs that we lacked; flips turned
#   labels into coin tosses.
# - **Test**: a probe on flipped images shows what the features depend on. A network that ignores mirroring cannot warn
#   you.
# - **Pick**: policies hold the reasons of a domain. Keras has most layers, KerasCV a few more. Look at a preview first.
# - **Measure**: paired by split, with a standard error. A difference within noise is no gain.
