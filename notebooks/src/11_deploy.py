# %% [markdown]
# # 11 · Deploy
#
# **Question.** How does a model become a small file that gives the same answers on a phone as in the notebook?
#
# **You will be able to**
#
# - **Export** a run to LiteRT and ONNX with preprocessing inside.
# - **Verify** that the file answers like Keras, on images that the model has not seen.
# - **Explain** what rounding to few bits does to weights that differ by large factors, and what helps.
# - **Decide** between formats by measuring instead of guessing.
#
# **Before you start:** [The whole game](01_the_whole_game.ipynb).
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 12 min | 1 to 2 min | 15 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import tempfile
import zipfile
from pathlib import Path

import numpy as np

import tlkeras
from tlkeras.teaching import lab

# %% [markdown]
# ## From a run to a file
#
# `tlkeras.fit` trains and measures; what it returns and stores is a *run*. With `refit=False` it leaves out a part of the images for good: we need images that
# the model has never seen to check the file. `tlkeras.export` writes it, in several **quantizations**: float32, weights
# in 16 bits, weights and activations in 8 bits. Every file is opened by its own runtime, in a process without Keras.
#
# The same network in 8 bits takes less than a third of the space. For how many of a hundred images will it give the same answer?

# %% tags=["solution"]
# A number from 0 to 100.
guess = 99
teaching.predict("11.a", guess)

# %%
work = Path(tempfile.mkdtemp())
run = tlkeras.fit(
    teaching.clipart10(), work / "run", image_size=96, refit=False, verbose=False
)
phone = tlkeras.export(run, work / "phone", format="litert")

# %%
candidates = {row["quantization"]: row for row in phone.report["candidates"]}
float32 = candidates["none"]


def described(row):
    """Describe a file beside float32: timings differ by machine, so only as a ratio."""
    return {
        "file": row["quantization"].replace("none", "float32"),
        "size": f"{row['bytes'] / 1e6:.1f} MB",
        "share of float32": f"{row['bytes'] / float32['bytes']:.0%}",
        "same answer": f"{row['agreement']:.1%}",
        "accuracy": f"{row['accuracy']:.1%}",
        "points lost": f"{100 * row['drop']:+.1f}",
    }


rows = [described(row) for row in candidates.values()]
teaching.table(rows, f"LiteRT files on {phone.report['images']['count']} unseen images")

# %% tags=["hide"]
int8, count = candidates["int8"], phone.report["images"]["count"]
changed = round((1 - int8["agreement"]) * count)
teaching.outcome(
    "11.a",
    round(100 * int8["agreement"]),
    f"With 8 bits, {changed} of {count} answers change ({int8['lost']} right ones are lost "
    f"and {int8['gained']} won), and the file is "
    f"{int8['bytes'] / float32['bytes']:.0%} as large. With 16-bit weights, "
    f"{candidates['float16']['agreement']:.1%} stay, at "
    f"{candidates['float16']['bytes'] / float32['bytes']:.0%} of the size. "
    f"Export chose **{phone.report['quantization']}**. (These accuracies are those of one "
    "split, and of a run that has learned from fewer images than the probes of the "
    "scoreboard.)",
)

# %% [markdown]
# ## Is the drop real?
#
# Accuracy on few images is a noisy number. But all files answered the *same* images, so the report compares them image by
# image: the images on which both are right, or both wrong, do not blur the difference. The quantization was chosen on these
# same images, which could flatter it if the files differed by a few answers only.

# %%
verified = {"chosen": phone.report["verified"], "int8": candidates["int8"]}

# %% tags=["hide"]
said = []
for name, one in verified.items():
    low, high = (100 * end for end in one["drop_interval"])
    changed = round((1 - one["agreement"]) * count)
    parts = (
        f" Of the {changed} that change, {one['lost']} were right and are wrong now, "
        f"{one['gained']} the other way round; the others are wrong both times."
    )
    said.append(
        f"The {name} file answers {one['agreement']:.1%} of the images as Keras does."
        f"{parts * bool(changed)} Its accuracy drops by {100 * one['drop']:+.1f} points, "
        f"with a 95% interval from {low:+.1f} to {high:+.1f}: "
        + ("a real loss." if low > 0 else "it cannot be told apart from none.")
    )
teaching.finding("\n\n".join(said))

# %% [markdown]
# ## What rounding does
#
# Eight bits are a ruler with 255 marks. If one weight is large, all others share the few marks near zero. Is our head such
# a case? It contains the scaling of 1280 features, so its weights differ by large factors. We round *only the head*,
# first with one ruler for all its weights, then with one per class, then with the few largest weights clipped.
#
# With how many bits does the simplest way, one ruler for all, lose more than one answer in ten?

# %% tags=["solution"]
# One of the choices.
choices = ("7 or 8 bits", "5 or 6 bits", "4 bits or fewer")
guess = "7 or 8 bits"
teaching.predict("11.b", guess, choices)

# %%
kernel, bias = (np.asarray(w, "float64") for w in run.model.layers[-1].get_weights())
features = lab.features(lab.drawings(image_size=96))
answers = (features @ kernel + bias).argmax(axis=1)


def rounded(weights, bits, largest):
    """Round weights to multiples of one step, so that `largest` fits into the bits."""
    steps = 2 ** (bits - 1) - 1
    return np.clip(np.round(weights / largest * steps), -steps, steps) * largest / steps


size = abs(kernel)
rulers = {
    "one ruler": size.max(),
    "one per class": size.max(axis=0),
    "largest 0.5% clipped": np.quantile(size, 0.995),
}
bits = (8, 7, 6, 5, 4, 3)
same = np.zeros((len(rulers), len(bits)))
for row, largest in enumerate(rulers.values()):
    for column, number in enumerate(bits):
        coarse = rounded(kernel, number, largest)
        shift = features.mean(axis=0) @ (kernel - coarse)  # keep the mean logits
        logits = features @ coarse + bias + shift
        same[row, column] = np.mean(logits.argmax(axis=1) == answers)
title = "At 3 bits, clipping keeps the most answers"
names = [f"{number} bits" for number in bits]
tlkeras.heat_map(same, list(rulers), names, title=title)

# %% tags=["hide"]
broken = next((n for n, share in zip(bits, same[0]) if share < 0.9), bits[-1])
truth = choices[0] if broken >= 7 else choices[1] if broken >= 5 else choices[2]
three = [teaching.percent(teaching.counted(one, len(answers))) for one in same[:, 5]]
teaching.outcome(
    "11.b",
    truth,
    f"First with {broken} bits. The largest weight is "
    f"{size.max() / np.median(size):.0f} times the median. On these "
    f"{len(answers)} images, 3 bits keep {three[0]} of the answers with one ruler, "
    f"{three[1]} with one per class and {three[2]} with clipping: the same number of bits, "
    "better used. (In parentheses, 95% intervals. The head has learned from most of these "
    "images; unseen ones may keep fewer.) With 8 bits one ruler keeps "
    f"{same[0, 0]:.1%}, so the head is not why answers changed above. Which layer is, "
    "we did not measure. `tlkeras` still keeps the head in float: that costs "
    f"{4 * kernel.size / 1e3:.0f} kB and takes one risk away.",
)

# %% [markdown]
# ## The other format, the same answers
#
# ONNX opens in ONNX Runtime on servers, in browsers and in Node. Nothing but `format` changes. Which of the two files
# agrees with Keras?

# %% tags=["solution"]
# One of the choices.
guess = "both"
teaching.predict("11.c", guess, choices=("LiteRT", "ONNX", "both", "neither"))

# %%
server = tlkeras.export(run, work / "server", format="onnx", quantize="none")
paths = lab.drawings().paths[::10]
sources = {
    "Keras": run,
    "LiteRT": tlkeras.load_export(work / "phone"),
    "ONNX": tlkeras.load_export(work / "server"),
}
answered = {
    name: [one["class"] for one in source.predict(paths)]
    for name, source in sources.items()
}

# %%
agree = {
    name: sum(a == b for a, b in zip(answered[name], answered["Keras"]))
    for name in ("LiteRT", "ONNX")
}
equal = [name for name, number in agree.items() if number == len(paths)]
teaching.outcome(
    "11.c",
    "both" if len(equal) == 2 else equal[0] if equal else "neither",
    f"Of {len(paths)} images, LiteRT answers {agree['LiteRT']} like Keras, ONNX "
    f"{agree['ONNX']}. Both take raw pixels: **resizing aside, preprocessing is inside "
    "the file**, so an app cannot forget it. See below what happens if it does it twice.",
)

# %% [markdown]
# ## Preprocessing inside
#
# What would happen if an app scaled pixels to [0, 1] first, as many networks expect, although ours does it inside?

# %%
pixels = tlkeras.read_images(paths, image_size=96)
as_it_should = run.model.predict(pixels, verbose=0).argmax(axis=1)
scaled_twice = run.model.predict(pixels / 255.0, verbose=0).argmax(axis=1)
called = [run.class_names[k] for k in np.unique(scaled_twice)]

# %%
teaching.finding(
    f"Pixels scaled twice: {np.sum(scaled_twice == as_it_should)} of {len(paths)} "
    f"answers stay, and of {len(run.class_names)} classes the model ever answers "
    f"{len(called)}: *{', '.join(called)}*. No error is raised. So let the file take what "
    "a camera gives."
)

# %% [markdown]
# ## Which is the fastest?
#
# That depends on the processor: some multiply 8-bit numbers faster, others have no instruction for it. So `export`
# measures each file on *this* machine, alternating between them. The table is one such measurement without an interval: do
# not read small differences. It would differ on yours; measure where the model will run.

# %%
times = {name: row["ms_1"] / float32["ms_1"] for name, row in candidates.items()}
times["float32"] = times.pop("none")
rows = [{"file": name, "time of float32": f"{t:.1f}×"} for name, t in times.items()]
teaching.table(rows, "One image on one thread, on the machine that built this page")

# %% tags=["hide"]
assert verified["chosen"]["agreement"] > 0.97 and set(agree.values()) == {len(paths)}
assert int8["bytes"] < 0.4 * float32["bytes"] and int8["agreement"] > 0.8
assert same[2, 5] == same[:, 5].max() > same[0, 5], "clipping should help at 3 bits"
assert same[0, 0] > 0.97, "8 bits should not hurt this head"
assert np.mean(scaled_twice == as_it_should) < 0.5
right = teaching.counted(verified["chosen"]["accuracy"], count)
teaching.scoreboard(
    "11", {"the file on the phone": right}, images="drawings, 96 px", splits=1
)

# %% tags=["nbval-check-output"]
print("Files:", sorted(path.name for path in (work / "phone").iterdir()))
with zipfile.ZipFile(phone.path) as inside:
    print("Labels in the file itself:", *inside.read("labels.txt").decode().split())
print("Both formats answer like Keras:", len(equal) == 2)

# %% [markdown]
# ## Question
#
# Your app gets one class for every image, and the notebook does not. What do you look at first?
#
# - (a) The number of epochs
# - (b) Whether pixels are scaled twice, or in another order of colors
# - (c) Whether the phone is fast enough
# - (d) The learning rate

# %% tags=["solution"]
teaching.quiz("11", "b")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Round the head's *input* instead: the features, which are never negative, to 4 bits (16 levels) with one ruler for all.
# Do `"more than 90"`, `"50 to 90"` or `"less than 50"` of a hundred answers stay the same?
#
# <details><summary>Hint</summary>
# An answer is a sum over 1280 features. What happens to many small errors that point in all directions?
# </details>

# %% tags=["solution"]
# One of "more than 90", "50 to 90", "less than 50".
prediction = "more than 90"

# %%
step = features.max() / 15
coarse = np.round(features / step) * step
stays = np.mean((coarse @ kernel + bias).argmax(axis=1) == answers)
print(f"{stays:.1%} of {len(answers)} answers stay the same")

# %%
teaching.check("11.1", prediction, stays)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write `quantize(weights)`: return `(integers, scales)`, int8 weights with one scale per *column*, so that
# `integers * scales` is as near to the weights as 8 bits allow.
#
# <details><summary>Hint</summary>
# The largest absolute value of a column becomes 127. A column of zeros needs a scale other than zero.
# </details>


# %% tags=["solution"]
def quantize(weights):
    """Return int8 weights, and a scale for each column."""
    largest = abs(weights).max(axis=0)
    scales = np.where(largest > 0, largest, 1) / 127
    return np.round(weights / scales).astype("int8"), scales


# %%
teaching.check("11.2", quantize)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# Train a run on your own images and export it (here, the run above stands in). Create `my_run` and `my_export`; the file
# must be at most 60 percent of float32 and give at least 95 of 100 answers like Keras.
#
# <details><summary>Hint</summary>
# <code>tlkeras.fit("my folder", refit=False)</code> keeps images to verify with. In <code>tlkeras.export</code>,
# <code>quantize="float16"</code> halves the file.
# </details>

# %% tags=["solution"]
# A run on your images, and its file.
my_run = run  # with a folder of yours: tlkeras.fit("my folder", refit=False)
my_export = phone  # tlkeras.export(my_run, "my phone", quantize="float16")

# %%
teaching.check("11.3", my_export, my_run)

# %% [markdown]
# ## Read on
#
# - Benoit Jacob, Skirmantas Kligys, Bo Chen, Menglong Zhu, Matthew Tang, Andrew Howard, Hartwig Adam and Dmitry
#   Kalenichenko, 2018, [Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
#   Inference](https://arxiv.org/abs/1712.05877): how int8 computes.
# - Google, [LiteRT](https://ai.google.dev/edge/litert): the runtime of phones.
# - [ONNX Runtime](https://onnxruntime.ai/docs/): servers, browsers, Node.

# %% [markdown]
# ## Recap
#
# - **Export**: one call, raw pixels in, probabilities out, labels in the file and beside it.
# - **Verify**: the same images, image by image, in the file's own runtime.
# - **Explain**: at 3 or 4 bits, rounding hurts where weights differ by large factors: clip the largest, or keep such a
#   layer in float. At 8 bits our head lost next to nothing.
# - **Decide**: size and answers are the network's; speed is the processor's. Measure there.
