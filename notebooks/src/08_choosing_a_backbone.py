# %% [markdown]
# # 08 · Choosing a backbone
#
# **Question.** Which of the networks on this machine should provide your features, and how would you choose among others?
#
# **You will be able to**
#
# - **Read** a catalog of backbones: accuracy, size, cost and, above all, pretraining.
# - **Rank** backbones and their blocks on your own images, ties included.
# - **Separate** what the layers give from what their trained weights give.
# - **Set** layer-wise learning rates on a vision transformer.
#
# **Before you start:** [Feature extraction](03_feature_extraction.ipynb) and
# [Fine-tuning well](05_fine_tuning_well.ipynb), for learning rates by layer.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 14 min | 1 to 2 min | 15 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras
from tlkeras.teaching import lab

# %% [markdown]
# ## What the catalog says
#
# `tlkeras` lists about two hundred pretrained backbones with figures and their sources. Nothing is downloaded to read
# them. Look at the column *learned from*:
#
# - `imagenet-1k`: photos with a thousand labels. `imagenet-21k`: ten times as many photos and twenty times as many labels.
# - `self-supervised` (DINO): photos without any label; the network learns that two crops of one photo belong together.
# - `image-text` (SigLIP): photos and their captions from the web.
#
# VGG16 computes forty times as much per image as EfficientNet-Lite0. Is it more accurate on ImageNet?

# %% tags=["solution"]
# One of the choices.
guess = "yes"
teaching.predict("08.a", guess, choices=("yes", "no"))

# %%
names = {
    "VGG16": "vgg16",
    "ResNet50": "resnet50",
    "ResNet50, newer training": "hub:resnet_50_imagenet",
    "MobileNetV3 small": "mobilenet_v3_small",
    "MobileNetV3 large": "mobilenet_v3_large",
    "EfficientNet-Lite0": "efficientnet_lite0",
    "EfficientNet-Lite2": "efficientnet_lite2",
    "ConvNeXt tiny": "convnext_tiny",
    "ViT base": "hub:vit_base_patch16_224_imagenet",
    "DINOv3 small": "hub:dinov3_vit_small_lvd1689m",
    "SigLIP base": "hub:siglip_base_patch16_224",
}
infos = {name: tlkeras.backbone_info(entry) for name, entry in names.items()}
teaching.table(
    {
        "backbone": name,
        "learned from": info.pretraining,
        "ImageNet": f"{info.top1:.1%}" if info.top1 else "",
        "million weights": f"{info.parameters / 1e6:.1f}",
        "billion multiply-adds": f"{info.multiply_adds / 1e9:.2f}",
    }
    for name, info in infos.items()
)

# %% tags=["hide"]
above = {"ResNet50", "ConvNeXt tiny", "EfficientNet-Lite2", "MobileNetV3 large"}
for name, info in infos.items():
    if info.top1:
        point = info.multiply_adds / 1e9, 100 * info.top1
        plt.plot(*point, "o", color="#0072b2")
        up = 6 if name in above else -12
        plt.annotate(name, point, (0, up), textcoords="offset points", ha="center")
plt.xscale("log")
plt.xlim(0.02, 50)
plt.xticks([0.1, 1, 10], ["0.1", "1", "10"])
plt.margins(y=0.15)
plt.title("A newer network beats one forty times as costly")
plt.xlabel("billion multiply-adds per image, logarithmic")
plt.ylabel("ImageNet accuracy (%)")
points = sorted((n, i) for n, i in infos.items() if i.top1)
said = ", ".join(f"{n} {i.top1:.1%} at {i.multiply_adds / 1e9:.2f}" for n, i in points)
teaching.show_figure(f"ImageNet accuracy by billion multiply-adds: {said}.")

# %% tags=["hide"]
vgg, lite = infos["VGG16"], infos["EfficientNet-Lite0"]
old, new = infos["ResNet50"], infos["ResNet50, newer training"]
teaching.outcome(
    "08.a",
    "yes" if vgg.top1 > lite.top1 else "no",
    f"VGG16 (2014) has {vgg.top1:.1%} and costs "
    f"{vgg.multiply_adds / lite.multiply_adds:.0f} "
    f"times as much; EfficientNet-Lite0 has {lite.top1:.1%}. These are published "
    "figures on "
    "50,000 images, so a point is more than chance. And nearly the same ResNet50 has "
    f"{old.top1:.1%} or {new.top1:.1%}: **a training recipe can matter as much as a "
    "newer architecture**. DINO and SigLIP have no ImageNet classifier to publish a "
    "figure for.",
)

# %% [markdown]
# ## What your images say
#
# ImageNet's figures are about photos. We measure on our drawings, with the backbones whose weights are on this machine.
# EfficientNet-Lite2 is the most accurate of them on ImageNet, and the most expensive. Is it better on drawings than the
# smallest, Lite0, if both are read at their output?

# %% tags=["solution"]
# One of the choices.
choices = ("Lite0", "Lite2", "cannot be told apart")
guess = "Lite2"
teaching.predict("08.b", guess, choices=choices)

# %%
drawings = lab.drawings()
splits = lab.splits(drawings)
backbones = {"Lite0": "efficientnet_lite0", "Lite2": "efficientnet_lite2"}
blocks = ["stem", *(f"block{number}" for number in range(1, 8)), "top"]


def probe(x, y):
    """Fit a linear probe by ridge regression, which needs no iterations."""
    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000)).fit(x, y)


def accuracies(features, images=drawings, splits=splits):
    """Measure the probe on 12 splits."""
    return lab.scores(probe, features, images, splits)


right = {}
for name, backbone in backbones.items():
    taps = lab.features(drawings, backbone, blocks)  # all blocks in one pass
    right[name] = accuracies(taps["top"])
    right[f"{name}, block7"] = accuracies(taps["block7"])
right["Lite0, random weights"] = accuracies(lab.features(drawings, weights=None))
tlkeras.dot_chart(
    {name: teaching.interval(scores, splits) for name, scores in right.items()},
    title="Four places to read from lie close; random weights are far behind",
    baselines={"majority": np.bincount(drawings.labels).max() / len(drawings)},
)

# %% tags=["hide"]
pairs = [("Lite2", "Lite0"), ("Lite0, block7", "Lite0"), ("Lite2, block7", "Lite0")]
compared = {p: teaching.compare({n: right[n] for n in p}, splits) for p in pairs}
sizes, depth = compared[pairs[0]], compared[pairs[1]]
truth = sizes.better or choices[2]
told = [f"{one} " for one in compared.values() if one.better]
teaching.outcome(
    "08.b",
    truth,
    f"{sizes}\n\nStopping one block before the output: {depth}\n\n"
    f"Of the {len(pairs)} pairs in the table below, {len(told)} can be told apart. "
    f"{''.join(told)}With {len(pairs)} comparisons at 95%, one of them may look clear "
    "by chance. Both saw the drawings at 160 pixels; each was trained at a larger "
    "size.",
)

# %% tags=["hide"]
teaching.table(
    {
        "pair": " − ".join(pair),
        "points": f"{100 * one.difference:+.1f}",
        "95% interval": " to ".join(f"{100 * end:+.1f}" for end in one.interval),
    }
    for pair, one in compared.items()
)

# %% [markdown]
# ## What the trained weights give
#
# The last row of the chart has the *architecture* of Lite0 without its pretraining: the same layers, random weights, the
# same probe.

# %%
gap = teaching.compare(
    {n: right[n] for n in ("Lite0", "Lite0, random weights")}, splits
)
teaching.finding(
    f"{gap} So ask first **whether a backbone has learned**. Which pretraining or which "
    "architecture is best was not measured here: the sizes share both."
)

# %% [markdown]
# ## Let the machine do it
#
# `tlkeras.rank` does all this in one call: every block of every backbone on this machine, each together with the two
# below it (*up to* names the last of the three), the same folds for all, and the cheapest among the ties. *vs best* says `tie` within one standard error and
# `behind` beyond it: a rule for choosing the cheaper one, not a proof that two are equal, or that one is better. The best
# was picked by these very numbers. *time* is for one image on the machine that built this page, in percent of the slowest.

# %%
ranking = tlkeras.rank(drawings, [*backbones.values()], image_size=160)
chosen, best = ranking.recommended, ranking.best
slowest = max(row.candidate.milliseconds for row in ranking.rows)
teaching.table(
    {
        "backbone": row.candidate.backbone,
        "up to": row.candidate.end,
        "accuracy": f"{row.accuracy:.1%}",
        "95% interval of this one cross-validation": f"{row.interval[0]:.0%} to "
        f"{row.interval[1]:.0%}",
        "vs best": "best" if row is best else "tie" if row.tied else "behind",
        "million multiply-adds": f"{row.candidate.multiply_adds / 1e6:.0f}",
        "time": f"{row.candidate.milliseconds / slowest:.0%}",
    }
    for row in ranking.rows
    if row.accuracy is not None
)

# %% tags=["hide"]
saved = 1 - chosen.candidate.multiply_adds / ranking.prior.candidate.multiply_adds
teaching.finding(
    f"Recommended: **{chosen.candidate.label}**. A list of ImageNet accuracies would "
    f"choose {ranking.prior.candidate.label}, read at its output. The recommendation stops "
    f"earlier and saves {saved:.0%} of its multiply-adds. *Behind* means more than one "
    "standard error; a 95% interval asks for about two. Of the "
    f"{len(pairs)} pairs compared on 12 splits above, {len(told)} could be told "
    "apart. And the best of several is slightly overrated, because it was chosen for being "
    "the best: `tlkeras.fit` measures again."
)

# %% [markdown]
# ## Vision transformers
#
# A ViT cuts the image into patches, makes a vector of each, and lets every patch look at all others, layer after layer.
# It needs more pretraining than a convolutional network, because nothing in it knows that neighbors belong together.
# Published weights are hundreds of megabytes, so here is a **toy with random weights**: it shows the handling and knows
# nothing. For a real one, write its name, such as `hub:vit_base_patch16_224_imagenet21k`.
#
# When a ViT is fine-tuned, each block usually trains at a fraction of the rate of the block above, here `0.65`, beginning
# below the head. There are a head, six blocks and a stem: what is the stem's share of the head's rate?

# %% tags=["solution"]
# One of the choices.
guess = "a third"
teaching.predict("08.c", guess, choices=("a third", "a tenth", "a twentieth"))

# %% tags=["hide"]
import warnings

with warnings.catch_warnings(action="ignore"):  # about widgets that it misses
    import keras_hub

# %% tags=["hide"]
toy = {
    "patch_size": 8,
    "num_layers": 6,
    "num_heads": 2,
    "hidden_dim": 32,
    "mlp_dim": 64,
}
folder = tempfile.mkdtemp()  # of a preset
keras_hub.models.ViTBackbone(image_shape=(32, 32, 3), **toy).save_to_preset(folder)
scaling = {"scale": [1 / 127.5] * 3, "offset": [-1.0] * 3}
converter = keras_hub.layers.ViTImageConverter(image_size=(32, 32), **scaling)
converter.save_to_preset(folder)

# %%
vit = tlkeras.image_classifier(f"hub:{folder}", classes=10, pooling="cls", dropout=0)
adam = keras.optimizers.Adam(1e-3)
optimizer = tlkeras.differential_optimizer(vit, adam, layer_decay=0.65)
tlkeras.learning_rate_table(vit, optimizer)

# %% [markdown]
# A table can be wrong. One training step shows whether the rates act: Adam's first step moves the weights of a layer by
# up to its rate.

# %%
before = {weight.path: keras.ops.copy(weight) for weight in vit.trainable_variables}
vit.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
vit.fit(lab.drawings(32).read()[:32], drawings.labels[:32], batch_size=32, verbose=0)
moved = {}
for block in tlkeras.blocks(vit):
    weights = [w for layer in block.layers for w in layer.trainable_variables]
    weights = [w for w in weights if "kernel" in w.path]
    moved[block.name] = max(
        float(abs(w - before[w.path]).numpy().max()) for w in weights
    )
plt.semilogy(list(moved), list(moved.values()), "o-", color="#0072b2")
plt.title("Each layer moved by its own rate")
plt.ylabel("largest change, logarithmic")
steps = ", ".join(f"{name} {size:.1e}" for name, size in moved.items())
teaching.show_figure(f"Largest change by block: {steps}.")

# %% tags=["hide"]
share = moved["stem"] / moved["head"]
teaching.outcome(
    "08.c",
    "a twentieth" if share < 0.07 else "a tenth" if share < 0.2 else "a third",
    f"The stem moved by {share:.3f} of what the head moved: seven factors of 0.65, "
    f"{0.65**7:.3f}. The same call works for every backbone of the catalog.",
)

# %% tags=["hide"]
assert gap.better == "Lite0" and vgg.top1 < lite.top1
assert sizes.better != "Lite2", "the larger backbone should not win here"
assert 0.9 < share / 0.65**7 < 1.1, "the rates do not act"
board = {
    "EfficientNet-Lite2": teaching.interval(right["Lite2"], splits),
    "EfficientNet-Lite0 up to block7": teaching.interval(
        right["Lite0, block7"], splits
    ),
    "EfficientNet-Lite0, random weights, ridge regression": teaching.interval(
        right["Lite0, random weights"], splits
    ),
}
teaching.scoreboard("08", board)

# %% tags=["nbval-check-output"]
print("Trained weights are better:", gap.better == "Lite0")
print("Blocks:", *moved)

# %% [markdown]
# ## Question
#
# Two backbones tie on your images, within one standard error. Which one do you take?
#
# - (a) The one with the higher accuracy in the table
# - (b) The larger one, because it has more capacity
# - (c) The cheaper one
# - (d) Both, and average them

# %% tags=["solution"]
teaching.quiz("08", "c")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# The emoji in the style `line` are black outlines on white, less like photos than our drawings. Compare a probe at
# `block6` of Lite0, two blocks before the output, with one at the output. Is `"block6"` better, or the `"output"`, or can
# they be `"not told apart"`?
#
# <details><summary>Hint</summary>
# The last blocks may have specialized in what distinguishes ImageNet's photos. Is that present in an outline? And how
# large must a difference be to be seen on 12 splits?
# </details>

# %% tags=["solution"]
# One of "block6", "output", "not told apart".
prediction = "not told apart"

# %%
outlines = lab.emoji("line", image_size=96)
splits_of_outlines = lab.splits(outlines)
taps = lab.features(outlines, block=["block6", "top"])
probes = {
    name: accuracies(taps[tap], outlines, splits_of_outlines)
    for name, tap in (("block6", "block6"), ("output", "top"))
}
earlier = teaching.compare(probes, splits_of_outlines)
print(earlier)

# %%
teaching.check("08.1", prediction, earlier)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `affordable(names, budget)`: of these backbones, return the name of the one with the highest ImageNet accuracy that
# needs at most `budget` multiply-adds, a number such as 500_000_000. Some have no published accuracy: leave them out.
#
# <details><summary>Hint</summary>
# <code>tlkeras.backbone_info(name)</code> has <code>top1</code>, which may be None, and <code>multiply_adds</code>.
# </details>


# %% tags=["solution"]
def affordable(names, budget):
    """Return the most accurate backbone within a budget of multiply-adds."""
    infos = [tlkeras.backbone_info(name) for name in names]
    infos = [one for one in infos if one.top1 and one.multiply_adds <= budget]
    return max(infos, key=lambda one: one.top1).name


# %%
teaching.check("08.2", affordable)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Rank two candidates or more on your own folder (here, four of our classes stand in). Create `my_ranking`, and `my_choice`,
# the row you would take: one that ties with the best.
#
# <details><summary>Hint</summary>
# <code>my_ranking.ties</code> has the candidates within one standard error, <code>my_ranking.recommended</code> the
# cheapest of them. <code>print(my_ranking)</code> shows everything.
# </details>

# %% tags=["solution"]
# A ranking on your images, and the row you choose.
my_classes = ["bird", "boat", "flower", "house"]
my_images = tlkeras.load_images(
    teaching.clipart10(), classes=my_classes, image_size=160
)
my_ranking = tlkeras.rank(my_images, ["efficientnet_lite0"], image_size=160)
my_choice = my_ranking.recommended

# %%
teaching.check("08.3", my_choice, my_ranking)

# %% [markdown]
# ## Read on
#
# - Simon Kornblith, Jonathon Shlens and Quoc Le, 2019, [Do Better ImageNet Models Transfer
#   Better?](https://arxiv.org/abs/1805.08974): often, with exceptions that matter.
# - Alexey Dosovitskiy and colleagues, 2021, [An Image is Worth 16x16 Words](https://arxiv.org/abs/2010.11929): the vision
#   transformer, and how much pretraining it needs.
# - Ross Wightman, Hugo Touvron and Hervé Jégou, 2021, [ResNet strikes back](https://arxiv.org/abs/2110.00476): the same
#   network, a newer training.

# %% [markdown]
# ## Recap
#
# - **Read**: a catalog says what a backbone has learned from. Only a comparison says whether it matters on your images.
# - **Rank**: on your images, with the same folds for all; take the cheapest of the ties.
# - **Separate**: the same layers with random weights show what the trained weights give.
# - **Set**: `layer_decay` gives each layer its share of the rate; check by one step that it acts.
