# %% [markdown]
# # 02 · What the network sees
#
# **Question.** What does a network that learned from photos see in our drawings?
#
# **You will be able to**
#
# - **Look** at the feature maps of a layer.
# - **Search** for similar images in feature space.
# - **Locate** the block that knows what you need.
# - **Explain** an answer with a class activation map.
#
# **Before you start:** [The whole game](01_the_whole_game.ipynb).
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 to 2 min | 20 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import tlkeras
from tlkeras.teaching import lab

drawings = lab.drawings()
labels, names = drawings.labels, drawings.class_names
network = tlkeras.backbone("efficientnet_lite0", image_size=160)

# %% [markdown]
# ## Feature maps
#
# A network is a chain of **blocks**. Each block turns a stack of pictures, its **feature maps**, into another stack:
# more maps, and coarser ones. Our drawings go in with 160 by 160 pixels. The stem, the first block, halves the width, and
# so do four of the blocks after it. How many places wide are the maps of the last block?

# %% tags=["solution"]
# A number.
guess = 20
teaching.predict("02.a", guess)

# %%
tapped = ("stem", "block2", "block4", "block7")
outputs = [tlkeras.blocks(network)[name].layers[-1].output for name in tapped]
one = drawings.take([np.flatnonzero(labels == names.index("bird"))[7]])
stacks = keras.Model(network.input, outputs).predict(one.read(), verbose=0)

# %%
pictures, captions = [], []
for name, stack in zip(tapped, stacks):
    pictures += [one.read()[0], *lab.strongest_maps(stack[0], 5)]
    captions += ["the drawing", f"{name}: {stack.shape[1]} x {stack.shape[2]}"] + [
        ""
    ] * 4
tlkeras.contact_sheet(pictures, captions=captions, columns=6, image_size=112)

# %%
width, depth = stacks[-1].shape[1], stacks[-1].shape[3]
teaching.outcome(
    "02.a",
    width,
    f"The last block sees {width} by {width} places, but {depth} numbers for each. The stem "
    "draws outlines: you still recognize the bird. In the last block you do not: "
    f"{width} by {width} places are too few to draw anything. That its maps say *what* is "
    "there instead is shown below.",
)

# %% [markdown]
# ## Similar images
#
# Behind block7, the **top** makes 1280 maps out of the 320. The mean of each of these maps is one number. Together they
# are the **features** of a drawing, a point in a space of 1280 dimensions. What lies nearby? For each drawing we look up
# its nearest neighbor, near-duplicates excluded. How many of a hundred neighbors show the same class?

# %% tags=["solution"]
# In percent, as a number. By chance it would be about 12, more than 10 because classes
# differ in size.
guess = 30
teaching.predict("02.b", guess)

# %%
every_block = lab.features(drawings, block=tlkeras.blocks(network).names)
features = every_block["top"]
queries = [
    np.flatnonzero(labels == names.index(n))[9] for n in ("bug", "music", "house")
]
tlkeras.nearest_neighbors(
    drawings.paths,
    features,
    queries,
    labels=labels,
    class_names=names,
    groups=drawings.groups,
    k=5,
)

# %%
same = lab.neighbors_agree(features, drawings)
teaching.outcome(
    "02.b",
    round(100 * same),
    "The nearest neighbor has the same label for "
    f"{teaching.percent(teaching.counted(same, len(labels)))} of the {len(labels)} drawings, "
    "with a 95% interval in parentheses, although the network has never been told our "
    "classes. ✗ marks other labels.",
)

# %% [markdown]
# Is that due to the features, or are drawings of one class simply similar? Let the nearest neighbor answer on test
# images, once by features and once by pixels, 16 by 16 of them.

# %%
pixels = drawings.read()[:, 5::10, 5::10].reshape(len(labels), -1) / 255
splits = lab.splits(drawings)


def nearest(x, y):
    """Fit a classifier that answers like the nearest training image, by angle."""
    return make_pipeline(Normalizer(), KNeighborsClassifier(1)).fit(x, y)


by_pixels = lab.scores(nearest, pixels, drawings, splits)
by_features = lab.scores(nearest, features, drawings, splits)

# %%
both = {"similarity of features": by_features, "similarity of pixels": by_pixels}
by = teaching.compare(both, splits)
alone = teaching.percent(teaching.interval(by_features, splits))
teaching.finding(f"On test images, {by} Features alone: {alone}.")

# %% [markdown]
# ## A map
#
# The 1280 dimensions cannot be drawn, but the two directions in which drawings differ most can.

# %%
tlkeras.feature_map(
    features,
    labels,
    names,
    images=drawings.paths,
    title="Mammals lie apart from vehicles; birds and bugs are everywhere",
)

# %%
teaching.finding(
    "Each drawing has a frame in the color of its class; frames are dashed for "
    f"*{names[8]}* and *{names[9]}*. Mammals lie to the right, most fruit and flowers at the "
    "top, vehicles at the bottom. Birds and bugs are everywhere: these two directions hold "
    "little of what differs, as the axes say. A classifier uses all 1280."
)

# %% [markdown]
# ## Which block knows what?
#
# We ask each block two questions with a **linear probe**: logistic regression on its features, the simplest classifier.
# What class is it? And is there much ink, that is, are more pixels dark than in half of the drawings? Which question does
# the stem, the first block, answer better than the top, the last one?

# %% tags=["solution"]
# What the stem answers better than the top.
choices = ("class", "ink", "both", "neither")
guess = "neither"
teaching.predict("02.c", guess, choices)


# %%
def probe(x, y):
    """Fit a linear probe with a fixed penalty, which is fast."""
    # C is the inverse of a penalty on large weights: a small C holds them back strongly
    return tlkeras.linear_probe(x, y, Cs=[0.01])


dark = lab.darkness(drawings)
inked = lab.relabeled(drawings, dark > np.median(dark))
classes = {b: lab.scores(probe, x, drawings, splits) for b, x in every_block.items()}
inks = {b: lab.scores(probe, x, inked, splits) for b, x in every_block.items()}

# %% tags=["hide"]
for name, answers in (("much ink?", inks), ("which class?", classes)):
    mean, low, high = np.transpose(
        [teaching.interval(s, splits) for s in answers.values()]
    )
    (line,) = plt.plot(list(answers), 100 * mean, "o-")
    plt.fill_between(
        list(answers), 100 * low, 100 * high, alpha=0.15, color=line.get_color()
    )
    plt.text(8.15, 100 * mean[-1], name, color=line.get_color(), va="center")
plt.title("Ink is read better from the stem, the class from the top")
plt.ylabel("right answers (%)")
plt.ylim(0, 100)
said = [
    f"{name} {100 * answers['stem'].mean():.0f}% at the stem, "
    f"{100 * answers['top'].mean():.0f}% at the top"
    for name, answers in (("ink", inks), ("class", classes))
]
teaching.show_figure(f"Right answers by block: {'; '.join(said)}.")

# %%
pair = ("stem", "top")
ink = teaching.compare({f"ink read from the {b}": inks[b] for b in pair}, splits)
kind = teaching.compare({f"class read from the {b}": classes[b] for b in pair}, splits)
found = ink.better == "ink read from the stem", kind.better == "class read from the top"
truth = "ink" if all(found) else "neither"
teaching.outcome("02.c", truth, f"In numbers: {ink} And {kind}")

# %%
late = teaching.compare({b: classes[b] for b in ("block6", "top")}, splits)
teaching.finding(
    f"Which of the late blocks is best for classes? One pair, as an example: {late} "
    + ("" if late.better else "These images choose between stem and top, but not here.")
)

# %% [markdown]
# ## Where does it look?
#
# The head adds up evidence from all places of the last map. So we can show each place's share: a **class activation
# map** (Zhou and others, 2016). Bright regions spoke for the answer.

# %%
train, test, _ = splits[0]
head = tlkeras.linear_probe(features[train], labels[train])
model = tlkeras.fold(make_pipeline(tlkeras.FeatureExtractor(network), *head))
shown = drawings.take(test[np.argsort(labels[test], kind="stable")][4::9][:10])
overlays = [
    tlkeras.activation_overlay(image, one)
    for image, one in zip(shown.read(), tlkeras.activation_maps(model, shown))
]
answers = model.predict(shown.read(), verbose=0).argmax(axis=1)
captions = [f"{names[a]} ({names[t]})" for a, t in zip(answers, shown.labels)]
tlkeras.contact_sheet(overlays, captions=captions, columns=5, image_size=136)

# %%
teaching.finding(
    "Answers, with labels in parentheses. In these ten drawings, bright regions lie on or "
    f"near the thing. The map has only {width} by {width} places, so it cannot tell a thing "
    "from the paper right beside it. It shows where evidence came from, and does not prove "
    "that the reason is sound."
)

# %% tags=["hide"]
assert by.better == "similarity of features" and truth == "ink" and same > 0.5
teaching.scoreboard(
    "02", {"nearest neighbor by features": teaching.interval(by_features, splits)}
)

# %% tags=["nbval-check-output"]
print("The last block sees", width, "by", width, "places")

# %% [markdown]
# ## Question
#
# You want to sort scans by how much ink they use. Which features do you try first?
#
# - (a) Those of the last block, because they are the best
# - (b) Those of an early block, compared on images that are not used for testing
# - (c) Those of the network's old head

# %% tags=["solution"]
teaching.quiz("02", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Give the network *random* weights. For how many of a hundred drawings will the nearest neighbor in feature space have
# the same label? By chance it would be about 12.
#
# <details><summary>Hint</summary>
# Random layers mix the pixels of each place and its neighbors. They do not know about classes, but they keep ink and
# color.
# </details>

# %% tags=["solution"]
# In percent, as a number.
prediction = 20

# %%
random = lab.neighbors_agree(lab.features(drawings, weights=None), drawings)

# %%
teaching.check("02.1", prediction, random)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `neighbors(features, query, k)`: return the numbers of the `k` images most similar to image `query` by cosine
# similarity, the most similar first, without the query itself.
#
# <details><summary>Hint</summary>
# Divide each row by its length; then <code>features @ features[query]</code> has all similarities.
# </details>


# %% tags=["solution"]
def neighbors(features, query, k):
    """Return the numbers of the k most similar images."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[query]))
    return [i for i in order if i != query][:k]


# %%
teaching.check("02.2", neighbors)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Load images of your own (here, emoji in one style stand in). Create `my_features`, one row per image, in which the
# nearest neighbor has the same label at least twice as often as by chance.
#
# <details><summary>Hint</summary>
# <code>tlkeras.FeatureExtractor(image_size=96).transform(my_images)</code> is enough for most images.
# </details>

# %% tags=["solution"]
# One `ImageSplit` of your images, and their features.
my_images = lab.emoji("noto", image_size=96).sample(per_class=8)
my_features = tlkeras.FeatureExtractor(image_size=96).transform(my_images)

# %%
teaching.check("02.3", my_features, my_images)

# %% [markdown]
# ## Read on
#
# - Matthew Zeiler and Rob Fergus, 2014, [Visualizing and Understanding Convolutional
#   Networks](https://arxiv.org/abs/1311.2901): what single features respond to.
# - Bolei Zhou, Aditya Khosla, Agata Lapedriza, Aude Oliva and Antonio Torralba, 2016, [Learning Deep Features for
#   Discriminative Localization](https://arxiv.org/abs/1512.04150): class activation maps.
# - Chris Olah, Alexander Mordvintsev and Ludwig Schubert, 2017, [Feature
#   Visualization](https://distill.pub/2017/feature-visualization/): the most beautiful pictures on this subject.

# %% [markdown]
# ## Recap
#
# - **Look**: maps become coarser and more numerous with depth; early ones draw outlines, late ones are too coarse for that.
# - **Search**: neighbors in feature space show the same kind of thing, though nobody told the network our classes.
# - **Locate**: the stem knows ink better than the top, the top knows classes better. Ask a probe.
# - **Explain**: a class activation map shows which places spoke for an answer.
