# %% [markdown]
# # 1 · Feature extraction
#
# **Question.** How far can we get with a network that has never seen our pictures, without training it?
#
# **You will be able to**
#
# - **Extract** the features of a frozen, pretrained network.
# - **Choose** the block to take them from, without looking at test images.
# - **Compare** classifiers on features fairly: baselines, seeds, standard errors.
# - **Fold** network and classifier into one Keras model.
#
# **Before you start:** [Check your setup](00_check_your_setup.ipynb). You know Python and what it means to
# train a classifier.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import tlkeras
from tlkeras import evaluation

# %% [markdown]
# ## The idea, on three units
#
# The points lie on two rings. No straight line separates them, so a linear classifier on the two coordinates fails.
#
# Now borrow a layer that somebody else made: three ReLU units that look in three directions. We do not train it. We
# only let the same linear classifier read its three outputs instead of the two coordinates.

# %%
rng = np.random.default_rng(0)
ring = np.repeat([0, 1], 80)
angle = rng.uniform(0, 2 * np.pi, 160)
radius = np.where(ring == 0, 1.0, 2.0) + rng.normal(0, 0.12, 160)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

# %%
borrowed = keras.layers.Dense(3, activation="relu")
borrowed.build((None, 2))
look = np.deg2rad([90, 210, 330])
borrowed.set_weights([np.stack([np.cos(look), np.sin(look)]), np.zeros(3)])


# %%
def units(x):
    """Return the outputs of the borrowed layer as a NumPy array."""
    return keras.ops.convert_to_numpy(borrowed(x))


on_points = LogisticRegression().fit(points, ring)
on_features = LogisticRegression().fit(units(points), ring)

# %% [markdown]
# **Predict.** What share of the points does a linear classifier get right on the coordinates, and what share on the
# three outputs? What shape does its decision boundary have then?

# %%
evaluation.decision_regions(
    {
        "coordinates": on_points.predict,
        "three borrowed units": lambda x: on_features.predict(units(x)),
    },
    points,
    ring,
)

# %%
plain = on_points.score(points, ring)
lifted = on_features.score(units(points), ring)
teaching.finding(
    f"On the coordinates {plain:.2f} are right, on the borrowed features {lifted:.2f}. "
    "The layer was not trained. A straight boundary between its outputs is a closed "
    "curve around the points."
)

# %% [markdown]
# ## The same with a real network
#
# Our pictures are drawings in ten classes. The network, EfficientNet-Lite0, was trained on photographs in ImageNet's
# thousand classes, which are not ours.
#
# We split the drawings into training, validation and test images three times, with three seeds. Near-duplicates stay
# together, so no test image has a twin in training. Images are 96 pixels wide here, for speed. Exercise 2 is about
# that choice.

# %%
SIZE = (96, 96)
folder = teaching.clipart10()
splits = [tlkeras.load_images(folder, seed=seed, image_size=SIZE) for seed in range(3)]
names = splits[0].class_names
print(splits[0])

# %% [markdown]
# **Predict.** Here is one training image per class. What do they have that photographs rarely have?

# %%
labels = splits[0].train.labels
examples = splits[0].train.take([np.argmax(labels == k) for k in range(len(names))])
tlkeras.contact_sheet(examples.read(), captions=names, columns=5, image_size=96)

# %%
paper = (splits[0].train.read() >= 250).all(axis=-1).mean()
teaching.finding(
    f"White paper: {paper:.2f} of all pixels of the {len(splits[0].train)} training "
    "images are white."
)

# %% [markdown]
# ## Features from every block
#
# A network is a chain of blocks. Each block passes a stack of feature maps to the next. The
# average of one map over the picture is one number. We tap the chain after every block, so
# one pass yields a row of such numbers per picture, block by block.

# %%
network = tlkeras.backbone("efficientnet_lite0", image_size=SIZE)
before = [np.array(weight) for weight in network.get_weights()]
order = tlkeras.blocks(network).names
parts = (splits[0].train, splits[0].validation, splits[0].test)
paths = np.concatenate([part.paths for part in parts])

# %%
taps = {block: tlkeras.FeatureExtractor(network, block=block) for block in order}
widths = [len(tap.get_feature_names_out()) for tap in taps.values()]
at_once = tlkeras.FeatureExtractor(network, block=order).transform(paths)

computed = dict(zip(order, np.split(at_once, np.cumsum(widths)[:-1], axis=1)))
rows = {path: row for row, path in enumerate(paths)}
print({block: values.shape[1] for block, values in computed.items()})


# %%
def features(part, block):
    """Return the features of the images of a split, of shape (images, features)."""
    return computed[block][[rows[path] for path in part.paths]]


# %% [markdown]
# ## Which block?
#
# On the features of each block we train a **linear probe**: logistic regression, with a penalty chosen by
# cross-validation within the training images. The block is chosen on the *validation* images. Test images choose
# nothing, because a measurement on data that chose something is too optimistic.
#
# **Predict.** Early blocks respond to edges and colors, late ones to what ImageNet's classes need. Our pictures are
# drawings, ImageNet's are photographs. Where along the chain is the probe best?


# %%
def probe(split, block):
    """Fit a linear probe on training images and score it on validation images."""
    part, Cs = split.validation, (1e-3, 1e-2, 1e-1)
    fitted = tlkeras.linear_probe(
        features(split.train, block), split.train.labels, Cs=Cs, folds=3
    )
    return fitted, fitted.score(features(part, block), part.labels)


# %%
probes = [{block: probe(split, block) for block in order} for split in splits]
by_block = np.array([[probed[block][1] for block in order] for probed in probes])

# %%
commonest = [np.bincount(split.train.labels).argmax() for split in splits]
majority = [np.mean(s.test.labels == most) for s, most in zip(splits, commonest)]
baselines = {"majority class": majority, "chance": 1 / len(names)}
evaluation.curves(
    {"linear probe": by_block},
    order,
    xlabel="block that features are taken from",
    ylabel="validation accuracy",
    baselines=baselines,
)

# %%
chosen = [order[number] for number in by_block.argmax(axis=1)]
best = by_block.mean(axis=0).argmax()
first, highest, last = (evaluation.with_error(by_block[:, k]) for k in (0, best, -1))
teaching.finding(
    f"Accuracy climbs from {first} at {order[0]} to {highest} at {order[best]} (mean "
    f"of {len(splits)} seeds ± standard error); the last block gives {last}. Chosen "
    f"in the {len(splits)} splits: {', '.join(chosen)}."
)

# %% [markdown]
# ## Which classifier?
#
# Features are just numbers, so any scikit-learn classifier can read them. A support vector machine with a Gaussian
# kernel can bend its decision boundaries; logistic regression cannot.
#
# Two baselines keep us honest. Always answering the most common class needs no network. Training *the same
# architecture* from random weights needs no ImageNet. That takes too long for this page, so
# `benchmarks/from_scratch.py` did it, on these splits and sizes, with its learning rate tuned on validation images.


# %%
def support_vectors(x, y):
    """Fit a support vector machine, with C chosen by cross-validation."""
    machine = make_pipeline(StandardScaler(), SVC())
    return GridSearchCV(machine, {"svc__C": [0.1, 1, 10, 100]}, cv=5).fit(x, y)


# %%
results = {"logistic regression": [], "support vectors": []}
for split, block, probed in zip(splits, chosen, probes):
    test, labels = features(split.test, block), split.test.labels
    machine = support_vectors(features(split.train, block), split.train.labels)
    results["logistic regression"].append(probed[block][0].score(test, labels))
    results["support vectors"].append(machine.score(test, labels))
scratch = teaching.measured("from_scratch")[str(SIZE[0])]

# %% [markdown]
# **Predict.** There are some 250 training images. Is the classifier that can bend its boundaries better? And how well
# does the same network do if it is trained on our images alone?

# %%
evaluation.accuracy_bars(
    {**results, "same network, from scratch": scratch["test"]}, baselines
)

# %%
logistic, vectors = map(np.array, results.values())
teaching.finding(
    f"Test accuracy: logistic regression {evaluation.with_error(logistic)}, "
    f"support vectors {evaluation.with_error(vectors)}, a difference of "
    f"{evaluation.with_error(logistic - vectors)}. The same network from scratch after "
    f"{scratch['epochs']} epochs: {evaluation.with_error(scratch['test'])}; majority "
    f"class: {np.mean(majority):.2f}."
)

# %% [markdown]
# ## One model out of two
#
# A scaler and a logistic regression amount to one matrix and one vector. `tlkeras.fold` makes them the last layer of
# the network. You ship one Keras model: raw pixels in, probabilities out, no scikit-learn.

# %%
split, block = splits[0], chosen[0]
head, _ = probes[0][block]
pipeline = make_pipeline(taps[block], *(step for _, step in head.steps))
folded = tlkeras.fold(pipeline)
pixels = split.test.read()
answers = folded.predict(pixels, verbose=0)
difference = np.abs(answers - pipeline.predict_proba(pixels)).max()

# %% tags=["nbval-check-output"]
print("The folded model gives the same answers:", bool(difference < 1e-4))

# %% [markdown]
# ## Did it all hold?

# %%
for split in splits:
    kept = [set(part.groups) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, kept)) == len(set.union(*kept)), "near-duplicates straddle"
for then, now in zip(before, network.get_weights()):
    assert np.array_equal(then, now), "the frozen network has changed"
assert lifted > 0.9 > 0.7 > plain
assert logistic.mean() > np.mean(majority) + 0.2, "no better than one class"
assert logistic.mean() > np.mean(scratch["test"]) + 0.1, "no better than scratch"

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Give the network *random* weights instead of ImageNet's, and train a support vector machine on its
# last block. How accurate will it be: like the `"majority"` class, `"between"` majority and the pretrained network,
# or like the `"pretrained"` one? Decide before you run the cell below yours.
#
# <details><summary>Hint</summary>
#
# The directions of the three borrowed units suited the rings. Who chose them?
#
# </details>

# %% tags=["solution"]
# One of "majority", "between", "pretrained".
prediction = "majority"

# %%
untrained = tlkeras.FeatureExtractor(weights=None, image_size=SIZE)
random = dict(zip(paths, untrained.transform(paths)))
random_accuracy = []
for split in splits:
    x, test = (
        np.stack([random[p] for p in s.paths]) for s in (split.train, split.test)
    )
    machine = support_vectors(x, split.train.labels)
    random_accuracy.append(machine.score(test, split.test.labels))
print("random weights:", evaluation.with_error(random_accuracy))

# %%
teaching.check("01.1", prediction, random_accuracy, majority, vectors)

# %% [markdown]
# ### Exercise 2 · Change
#
# Larger images show more and cost more. Write `probe_at(side)`: load the drawings at `(side, side)` with seed 0,
# extract features of `"efficientnet_lite0"` at that size, fit a linear probe on the training images, and return its accuracy
# on the *validation* images. The check calls it with a small size. Then try 128, 160 and 224 yourself.
#
# <details><summary>Hint</summary>
#
# `tlkeras.FeatureExtractor("efficientnet_lite0", image_size=(side, side))` transforms a split directly.
#
# </details>


# %% tags=["solution"]
def probe_at(side):
    """Return the validation accuracy of a linear probe at this image size."""
    at_size = tlkeras.load_images(teaching.clipart10(), seed=0, image_size=(side, side))
    extract = tlkeras.FeatureExtractor(
        "efficientnet_lite0", image_size=(side, side)
    ).transform
    head = tlkeras.linear_probe(extract(at_size.train), at_size.train.labels)
    return head.score(extract(at_size.validation), at_size.validation.labels)


# %%
teaching.check("01.2", probe_at)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Point `my_folder` to a folder of your own images, one folder per class (here, four of our classes stand in). Create
# `my_images`, the splits, and `my_pipeline`, a fitted scikit-learn pipeline from images to labels that beats the
# majority class on the test images.
#
# <details><summary>Hint</summary>
#
# `make_pipeline(extractor, StandardScaler(), LogisticRegression(C=0.01))` takes `my_images.train.paths`.
#
# </details>

# %% tags=["solution"]
# Splits of your images, and a pipeline fitted on the training images.
my_folder = teaching.clipart10()
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(my_folder, classes=my_classes, image_size=SIZE)
my_pipeline = make_pipeline(
    tlkeras.FeatureExtractor(image_size=SIZE),
    StandardScaler(),
    LogisticRegression(C=0.01, max_iter=1000),
).fit(my_images.train.paths, my_images.train.labels)

# %%
teaching.check("01.3", my_pipeline, my_images)

# %% [markdown]
# ## Recap
#
# - **Extract**: a frozen network turns an image into numbers that make classes easier to separate, without training.
# - **Choose**: probe every block and let validation images decide. Late blocks won here, but not always the last.
# - **Compare**: show the spread over seeds and the baselines, among them the same architecture from scratch.
# - **Fold**: scaler and logistic regression become the last layer, and one plain Keras model gives the same answers.
