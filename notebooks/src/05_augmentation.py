# %% [markdown]
# # 5 · Augmentation
#
# **Question.** Which changes leave true what an image shows, and do they help the classifier?
#
# **You will be able to**
#
# - **Reason** about a change before using it: does the label survive it?
# - **Test** a symmetry on data, and know what the test cannot see.
# - **Pick** layers by domain, from Keras and from KerasCV.
# - **Measure** what augmentation brings, and call noise noise.
#
# **Before you start:** [Feature extraction](01_feature_extraction.ipynb). You know what a frozen network's features
# are, and why test images choose nothing.
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
# Augmentation tells a classifier: *this, too, would have had the same label*. Here is a world in which that can be
# true or false. Its pictures are the letters b and d, drawn on nine by nine pixels, not always in the middle. One
# letter is the mirror image of the other.

# %%
SHAPE = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1]])


def glyphs(count, rng):
    """Noisy letters, (count, 9, 9, 1), and whether each is a d."""
    labels, pictures = np.arange(count) % 2, np.zeros((count, 9, 9, 1), "float32")
    for picture, is_d in zip(pictures, labels):
        top, left = rng.integers(0, 5), rng.integers(1, 6)
        picture[top : top + 5, left : left + 3, 0] = SHAPE[:, ::-1] if is_d else SHAPE
    return pictures + rng.normal(0, 0.2, pictures.shape).astype("float32"), labels


def paper(picture):
    """A glyph as an image: dark on white, enlarged."""
    return np.kron(255 - 255 * np.clip(picture, 0, 1), np.ones((12, 12, 3)))


# %%
fill = {"fill_mode": "constant", "fill_value": 0.0, "interpolation": "nearest"}
shift = keras.layers.RandomTranslation(0.25, 0.25, seed=0, **fill)
flip = keras.layers.RandomFlip("horizontal", seed=0)


def glyph_accuracy(layer, seed, views=20):
    """Accuracy on new glyphs after training on twelve, or on views of these."""
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
# **Predict.** A b, a d, and the b in a mirror. If we flip training pictures at random and keep their labels, what will
# the classifier learn?

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
    "a flipped b is a d that is called b. Of new letters, with flips in training, "
    f"{evaluation.with_error(on_glyphs['flips'])} are right: half of two classes."
)

# %% [markdown]
# **Predict.** Shifting moves a letter and leaves it the same letter. Twelve pictures cannot show every place: what will
# views of them at other places bring?

# %%
evaluation.accuracy_bars(on_glyphs, {"majority class, chance": 0.5})

# %%
gained = on_glyphs["shifts"] - on_glyphs["no augmentation"]
teaching.finding(
    f"shifts bring {evaluation.with_error(gained)} more than the "
    f"{evaluation.with_error(on_glyphs['no augmentation'])} without augmentation; flips "
    f"end at {evaluation.with_error(on_glyphs['flips'])}. A true symmetry replaces "
    "pictures that we lack; a false one destroys the labels that we have."
)

# %% [markdown]
# ## Reasons, by domain
#
# Which symmetries are true is a question about the world, not about networks. `tlkeras.augmentation_policy` writes an
# answer down for each domain, with the reason for each setting, so that you can disagree with it.

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
# Look at what a policy makes of your images before you train on it: an error here costs a glance, later it costs a day.
#
# **Predict.** Left of each row stands the drawing as it is. The policy for drawings fills with white what moved in from
# outside, and changes colors. Would you still give each picture its label?

# %%
drawing = tlkeras.augmentation("drawing", seed=1)
tlkeras.preview(samples, drawing, columns=6, image_size=96)

# %%
flips = [layer for layer in drawing if isinstance(layer, keras.layers.RandomFlip)]
viewed = keras.ops.convert_to_numpy(drawing(samples.astype("float32"), training=True))
teaching.finding(
    f"every view has shape {viewed.shape[1:]}, like the image, and gray levels from "
    f"{viewed.min():.0f} to {viewed.max():.0f}; flips are {flips[0].mode} only. The "
    f"layers: {', '.join(type(layer).__name__ for layer in drawing)}."
)

# %% [markdown]
# ## Testing a symmetry
#
# A reason can be wrong. `tlkeras.check_symmetry` fits a probe on images as they are, then asks it about the same
# validation images flipped. It calls a flip *safe* only where a loss of more than the tolerance is ruled out, *unsafe*
# where there is a loss, and otherwise *undecided*.
#
# First, scikit-learn's digits, with bare pixels as features. Then our drawings, with the frozen network's features;
# half of them validate, so that the test can decide.

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
    """Pixels as features."""
    return pixels.reshape(len(pixels), -1) / 255


def features(pixels):
    """The network's features; it looks at each picture once."""
    keys = [picture.tobytes() for picture in pixels]
    new = {key: image for key, image in zip(keys, pixels) if key not in known}
    if new:
        found = network.predict(np.stack([*new.values()]), batch_size=64, verbose=0)
        known.update(zip(new, found))
    return np.stack([known[key] for key in keys])


def tests(splits, extract):
    """What the test says of each flip, one row a seed."""
    return [
        tlkeras.check_symmetry(s.train, s.validation, extract, FLIPS) for s in splits
    ]


# %%
of_digits, of_drawings = tests(digit_splits, bare), tests(halves, features)
print("digits  ", *of_digits[0], sep="\n  ")
print("drawings", *of_drawings[0], sep="\n  ")

# %% [markdown]
# **Predict.** That was one seed. Over three: which of the four bars of flipped images will stand as high as the bar of
# the images as they are?

# %%
bars, flipped = {}, {}
for kind, found in (("digits", of_digits), ("drawings", of_drawings)):
    bars[f"{kind} as they are"] = [row[0].accuracy for row in found]
    for k, name in enumerate(("mirrored", "upside down")):
        bars[f"{kind}, {name}"] = [row[k].accuracy_changed for row in found]
        flipped[kind, name] = [
            row[k].accuracy_changed - row[k].accuracy for row in found
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
# Now give the digits to the *network*, enlarged to its size. It was trained on photographs, whose mirror images are as
# likely as they are. Is the test warned?

# %%
large = tlkeras.load_images(ink, labels=numerals, seed=0, image_size=SIZE)
network_says = tlkeras.check_symmetry(large.train, large.validation, features, FLIPS)
lost = {
    name: f"{one.accuracy_changed - one.accuracy:+.2f} ± {one.standard_error:.2f}"
    for name, one in (("pixels", of_digits[0][0]), ("network", network_says[0]))
}
teaching.finding(
    f"a mirror costs the probe on pixels {lost['pixels']}, the probe on the network's "
    f"features {lost['network']} ({network_says[0].verdict}): these hardly show which "
    "way a picture faces. The test asks about features; whether the label survives, "
    "only the reason tells."
)

# %% [markdown]
# ## Keras and KerasCV, side by side
#
# Keras has most layers today. KerasCV is no longer developed and needs TensorFlow, but has some that Keras lacks:
# `GridMask`, `ChannelShuffle`, `RandomChannelShift`. They act at inference too, so they belong into
# `batches(augment=...)`, not into a model. `tlkeras.GridMask`, `tlkeras.RandomChannelShuffle` act in training only.

# %%
RANGE = (0, 255)
try:
    with warnings.catch_warnings(action="ignore"):  # of packages that it does not find
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
# **Predict.** None of these layers knows our domain. Which of them changes a drawing most, and which hides a part of
# what it shows?

# %%
pictures = [pixels[1], *(look[1] for look in looks.values())]
tlkeras.contact_sheet(pictures, ["as it is", *looks], columns=5, image_size=120)

# %%
moved = {name: np.abs(look - pixels).mean() for name, look in looks.items()}
least, most = min(moved, key=moved.get), max(moved, key=moved.get)
hiding = [name for name in looks if name.endswith(("Mask", "Cutout", "Erasing"))]
teaching.finding(
    f"on average {most} changes a pixel by {moved[most]:.0f} of 255 gray levels, "
    f"{least} by {moved[least]:.0f}. Layers that hide ({', '.join(hiding)}) ask the "
    "classifier to know a thing by what is left of it."
)

# %% [markdown]
# ## Does it help?
#
# The network is frozen, so the features of a view are computed once. A logistic regression is trained on the training
# images alone, or on them and three views of each; the validation images, never augmented, choose its penalty.
# (Cross-validation would not do: views of one image would lie on both sides of a fold.)
#
# Besides the policy for drawings we try one with a setting added that its reasons forbid: upside down.

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
    """Features of all images as they are, and of views of them."""
    layers, found = tlkeras.augmentation(policy, seed=0), [features(everything)]
    for _ in range(VIEWS):
        view = layers(everything.astype("float32"), training=True)
        view = keras.ops.convert_to_numpy(view)
        found.append(network.predict(view, batch_size=64, verbose=0))
    return found


# %%
views = {"no augmentation": [features(everything)]}
views |= {name: views_of(policy) for name, policy in policies.items()}


def trained(found, split):
    """Test accuracy of a probe whose penalty the validation images chose."""
    rows, held, test = (
        [row_of[path] for path in part.paths]
        for part in (split.train, split.validation, split.test)
    )
    x = np.concatenate([view[rows] for view in found]).astype("float64")
    y, scored = np.tile(split.train.labels, len(found)), []
    for strength in (1e-3, 1e-2, 1e-1):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
        with threadpool_limits(1):  # faster for matrices this small
            probe.fit(x, y)
        validation = probe.score(found[0][held], split.validation.labels)
        scored.append((validation, probe.score(found[0][test], split.test.labels)))
    return max(scored, key=lambda pair: pair[0])[1]


# %%
results = {
    name: np.array([trained(found, split) for split in splits])
    for name, found in views.items()
}
scratch = teaching.measured("from_scratch")[str(SIZE[0])]
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]

# %% [markdown]
# **Predict.** The network has seen a million photographs, mirrored and cropped. Will views of some 250 drawings teach
# its classifier more? And do views that stand on their heads do harm?

# %%
evaluation.accuracy_bars(
    {**results, "same network, from scratch": scratch["test"]},
    {"majority class": majority, "chance": 1 / len(names)},
)


# %%
def judged(runs, plain):
    """The mean difference, and whether it is more than two standard errors."""
    mean, error = np.mean(runs - plain), evaluation.standard_error(runs - plain)
    verdict = "within noise" if abs(mean) < 2 * error else "beyond noise"
    return f"{mean:+.2f} ± {error:.2f}, {verdict}"


plain = results["no augmentation"]
teaching.finding(
    f"without augmentation {evaluation.with_error(plain)} of the test images are right. "
    + "; ".join(f"{name}: {judged(results[name], plain)}" for name in policies)
    + f". The network from scratch, after {scratch['epochs']} epochs: "
    f"{evaluation.with_error(scratch['test'])}; majority class: {np.mean(majority):.2f}."
)

# %% [markdown]
# Why so little? Views of a picture are no new pictures. How far does a view lie from its image, among the features?


# %%
def spread(found):
    """Distance of views from their image, over the distance between two images."""
    centered = found[0] - found[0].mean(axis=0)
    apart = np.sqrt(2 * np.mean(centered**2))
    away = [np.sqrt(np.mean((view - found[0]) ** 2)) for view in found[1:]]
    return np.mean(away) / apart


nearness = spread(views["policy for drawings"])
teaching.finding(
    f"at {nearness:.2f} of the distance between two images. This network is frozen and "
    "its classifier small, so it can learn few images by heart; where a network itself "
    "trains for long, views may bring more. Measure it there as here: paired by split, "
    "with a standard error."
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
assert abs(on_glyphs["flips"].mean() - 0.5) < 0.1, "flips leave a coin toss"
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
# We train logistic regression on the pixels of five digits of each class, and then once more with their mirror images
# added under the same labels. Will the accuracy on test images be `"worse"`, `"level"` or `"better"`? Decide before you
# run the cell below yours.
#
# <details><summary>Hint</summary>
#
# Which digits does a mirror leave as they are? What does it make of a 2, and how many of the test images stand in a
# mirror?
#
# </details>

# %% tags=["solution"]
# One of "worse", "level", "better".
prediction = "worse"

# %%
mirrored = []
for split in digit_splits:
    few = split.train.sample(5, seed=0)
    x, y = few.read(), few.labels
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
# Write `my_policy` for traffic signs seen from a car: some point left and others right, they stand upright or nearly,
# at any distance, in sun and rain. Give the reason (`why`) for each setting that is on, and for `horizontal_flip`. Then
# look at a preview.
#
# <details><summary>Hint</summary>
#
# `dataclasses.replace(tlkeras.augmentation_policy("document"), ...)` starts from a policy without flips; or write
# `tlkeras.AugmentationPolicy(why={...}, light=0.3, ...)`.
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
# Load a folder of your own images (here, four of our classes stand in). Give `my_symmetries`, what
# `tlkeras.check_symmetry` says of them, and `my_augmentation`, layers that use no flip that it calls unsafe.
#
# <details><summary>Hint</summary>
#
# `tlkeras.check_symmetry(my_images.train, my_images.validation)` loads a network of its own. Many images in
# `validation` (`validation_size=0.5`) let it decide.
#
# </details>

# %% tags=["solution"]
# Splits of your images, what the test says, and layers to train with.
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
# - **Reason**: a change is allowed where it leaves the label true; shifts replaced glyphs that we lacked, flips turned
#   labels into coin tosses.
# - **Test**: a probe on flipped images shows what features depend on; a network that overlooks mirrors cannot warn you.
# - **Pick**: policies hold a domain's reasons; Keras has most layers, KerasCV some more; look at a preview first.
# - **Measure**: paired by split, with the standard error; a difference within noise is no gain.
