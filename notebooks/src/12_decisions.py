# %% [markdown]
# # 12 · Decisions
#
# **Question.** You have a folder of your own images: what do you do, in which order, and which rules can you trust?
#
# **You will be able to**
#
# - **Run** your own project in a few lines: check, advise, fit, report, export.
# - **Decide** by a checklist instead of by habit.
# - **Recognize** rules of thumb that were never measured.
#
# **Before you start:** the notebooks before this one, or the curiosity to look things up in them.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 15 min | 1 min | 30 min | 2 GB | 0 |

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
import tempfile
from pathlib import Path

import tlkeras

folder = teaching.clipart10()  # put the path of your own folder here
work = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Check
#
# Most projects that fail do so in their data. Before anything is trained: unreadable files, near-duplicates, small
# classes, pictures that show nothing, and labels that look wrong. Without a backbone, this takes seconds.

# %%
found = tlkeras.check_images(folder, backbone=None)
kinds = {one.kind for one in found.findings}
rows = [{"finding": kind, "number": len(found.of(kind))} for kind in sorted(kinds)]
teaching.table(rows, "What to look at before training")

# %% [markdown]
# ## Advise
#
# Now ask the images: which block of the backbone, a probe or fine-tuning? Each answer comes with its reason and with how
# sure it is. This folder has 427 drawings. Will the plan be a probe on frozen features, or fine-tuning?

# %% tags=["solution"]
# One of the choices.
guess = "finetune"
teaching.predict("12.a", guess, choices=("features", "finetune"))

# %%
plan = tlkeras.advise(folder, ["efficientnet_lite0"], image_size=160)
teaching.table(
    {"choice": one.name, "plan": one.value, "how sure": one.certainty}
    for one in plan.choices
)

# %%
strategy = plan.choice("strategy")
agrees = "disagrees" if plan.disagrees else "agrees"
teaching.outcome(
    "12.a",
    plan.strategy,
    f"{strategy.reason} The rule of thumb by the number of images alone "
    f"({plan.rule_of_thumb}) {agrees}.",
)

# %% [markdown]
# ## Fit, report, export
#
# Three lines. `fit` measures on images that the model has not seen, `report.html` is a page for those who were not there,
# and the file answers on a phone as the model does here.

# %%
run = tlkeras.fit(folder, work / "run", image_size=160, refit=False, verbose=False)
export = tlkeras.export(run, work / "phone", quantize="float16")
print(run.report.name, "·", export.path.name)

# %%
images = tlkeras.load_images(folder, image_size=160).test
answers = run.predict(images.paths, probabilities=True)
shares = [[one["probabilities"][c] for c in run.class_names] for one in answers]
tlkeras.answered_images(images.paths, images.labels, shares, run.class_names)

# %%
scores, verified = run.metrics["scores"], export.report["verified"]
error = 1.96 * scores["standard_error"]
teaching.finding(
    f"{scores['accuracy']:.1%} of unseen images are right (95% interval "
    f"{scores['accuracy'] - error:.1%} to {scores['accuracy'] + error:.1%}); always "
    f"giving the majority class is right for {scores['majority_accuracy']:.1%}. The "
    "file is "
    f"{export.report['bytes'] / 1e6:.1f} MB and gives {verified['agreement']:.1%} of "
    "the "
    "answers as Keras does. Look at the mistakes before you look for a better network."
)

# %% [markdown]
# ## The rules of thumb
#
# What does the field say, and what did we see? *True*, *false* and *depends* mean: on the images of this course. Where we
# have not measured, it says so. Which is the only one of these rules that held without an *if*?

# %% tags=["solution"]
# One of the choices.
guess = "augment always"
rules = ("augment always", "bigger is better", "freeze BatchNorm", "adapt always")
teaching.predict("12.b", guess, choices=rules)

# %% [markdown]
# ### Data and numbers
#
# | rule | verdict | seen in |
# |---|---|---|
# | You need thousands of images | **false**: a few per class beat training from scratch | [06](06_how_much_data.ipynb) |
# | More images always help | **depends** on where your curve is | [06](06_how_much_data.ipynb) |
# | One test split is enough | **false**: single splits differ by more than most tricks gain | [01](01_the_whole_game.ipynb) |
# | Wrong labels ruin a model | **depends**: few random ones cost little, many a lot | [10](10_few_and_dirty_labels.ipynb) |
# | Label typical images first | **depends**: ahead of random ones, but not told apart | [10](10_few_and_dirty_labels.ipynb) |
# | Unlabeled images help | **depends**: compare, each time | [10](10_few_and_dirty_labels.ipynb) |

# %%
teaching.finding("Check the data, state an interval, and look at your own curve.")

# %% [markdown]
# ### Freezing and training
#
# | rule | verdict | seen in |
# |---|---|---|
# | Under 1,000 images: features only | **depends**: the right start; measure whether more pays | [05](05_fine_tuning_well.ipynb) |
# | 1,000 to 100,000: later layers; more: all | **not measured here**: we have hundreds | |
# | Freeze BatchNorm | **true** for small data: its statistics move even at a rate of zero | [04](04_freezing_and_forgetting.ipynb) |
# | `base(x, training=False)` is enough | **false** in Keras 3 | [04](04_freezing_and_forgetting.ipynb) |
# | Rates 10 to 100 times smaller | **depends**: too high forgets, too low does not learn | [04](04_freezing_and_forgetting.ipynb) |
# | Train the head first | **depends**: compare with and without | [05](05_fine_tuning_well.ipynb) |
# | The last layer has the best features | **depends**: one block earlier is cheaper and often as good | [08](08_choosing_a_backbone.ipynb) |

# %%
teaching.finding("Start with frozen features. They are the number to beat.")

# %% [markdown]
# ### Augmentation, backbones, new domains
#
# | rule | verdict | seen in |
# |---|---|---|
# | Augment always | **false**: a flip may change the label | [07](07_augmentation.ipynb) |
# | Bigger backbones are better | **false** here: three sizes were level | [08](08_choosing_a_backbone.ipynb) |
# | The best on ImageNet is the best for you | **depends**: a good first guess | [08](08_choosing_a_backbone.ipynb) |
# | Pretraining matters more than architecture | **true** here | [08](08_choosing_a_backbone.ipynb) |
# | Transformers beat convolutions | **not measured here** | |
# | Images that differ are answered worse | **depends**: dark ones were not | [09](09_domain_shift.ipynb) |
# | Adapt always | **false**: few images or a skewed mix do harm | [09](09_domain_shift.ipynb) |

# %%
teaching.finding("Ask what must stay the same when an image changes. Then measure.")

# %% [markdown]
# ### Trust and deployment
#
# | rule | verdict | seen in |
# |---|---|---|
# | Probabilities are confidence | **depends**: a head trained for long is too sure | [10](10_few_and_dirty_labels.ipynb) |
# | A classifier notices what it does not know | **false**: most unknown images get a class | [10](10_few_and_dirty_labels.ipynb) |
# | 8 bits cost nothing | **depends** on the layers: some answers change | [11](11_deploy.ipynb) |
# | 8 bits are faster | **depends** on the processor | [11](11_deploy.ipynb) |
# | Preprocessing belongs into the app | **false**: it belongs into the file | [11](11_deploy.ipynb) |

# %%
teaching.outcome(
    "12.b",
    "freeze BatchNorm",
    "With few images, its statistics do more harm than good when they move, at any "
    "rate. "
    "The others held only *if*: if the label survives the change, if your images are "
    "like ImageNet's, if there are enough new images. **A rule of thumb is a guess "
    "with a "
    "reputation: good to start with, cheap to test.**",
)

# %% [markdown]
# ## What the course measured

# %%
teaching.scoreboard("12", {"your folder, in a few lines": scores["accuracy"]})

# %% [markdown]
# ## The checklist
#
# 1. **Check** the folder. Look at duplicates, leaks and suspect labels.
# 2. **Split** by what must be new: person, place, camera. Keep test images out of every choice.
# 3. **Probe** frozen features, with an interval, beside the majority class.
# 4. **Look** at the most confident mistakes. Fix labels before the network.
# 5. **Rank** blocks and backbones; take the cheapest of the ties.
# 6. **Ask the curve**: would more images help? Label typical ones next.
# 7. **Fine-tune** with frozen BatchNorm and small rates below, only if it beats the probe on paired splits.
# 8. **Test the new domain** with a hundred labels. Adapt if it is far away and there are many images.
# 9. **Calibrate** if anybody will read the probabilities.
# 10. **Export**, verify image by image, and measure speed where it will run.

# %% tags=["hide"]
assert found.ok, "the drawings should have no errors"
assert scores["accuracy"] > scores["majority_accuracy"] + 0.2
assert verified["agreement"] > 0.97
assert {one.certainty for one in plan.choices} <= {"clear", "tie", "default"}

# %% tags=["nbval-check-output"]
print("Strategy:", plan.strategy, "· rule of thumb:", plan.rule_of_thumb)
print("Written:", *sorted(path.name for path in (work / "phone").iterdir()))

# %% [markdown]
# ## Question
#
# You are given 300 labeled images and an afternoon. What is the first thing you do?
#
# - (a) Fine-tune all layers for fifty epochs
# - (b) Download the largest vision transformer
# - (c) Check the folder and cross-validate a probe on frozen features
# - (d) Collect 10,000 more images

# %% tags=["solution"]
teaching.quiz("12", "c")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1 · Predict
#
# Suppose the folder had *thirty times* as many drawings of the same kind. What would the rule of thumb by the number of
# images train: the `"head"`, the `"last"` blocks, or `"all"`? And is that measured in this course?
#
# <details><summary>Hint</summary>
# Thirty times 427 is 12,810. The rule stands above the tables; whether it was measured stands in them.
# </details>

# %% tags=["solution"]
# A pair: one of "head", "last", "all"; and whether the course measured it.
prediction = ("last", False)

# %%
teaching.check("12.1", prediction)

# %% [markdown]
# ### Exercise 2 · Change
#
# Write the decision down: `strategy(images, smallest_class, probe)` returns `"finetune"` from 1,000 images on, if the best
# probe answers fewer than 95 of 100 correctly (`probe` is a share) and the smallest class has ten images or more. Else it
# returns `"features"`. This is the rule of `tlkeras.advise`.
#
# <details><summary>Hint</summary>
# Three conditions, joined by <code>and</code>. Mind the borders: 1,000 images are enough, and so are ten.
# </details>


# %% tags=["solution"]
def strategy(images, smallest_class, probe):
    """Return "finetune" or "features"."""
    enough = images >= 1000 and smallest_class >= 10
    return "finetune" if enough and probe < 95 / 100 else "features"


# %%
teaching.check("12.2", strategy)

# %% [markdown]
# ### Exercise 3 · Your own data
#
# The capstone. Put your own folder at the top and run this page again, or do it here in a few lines (four of our classes
# stand in). Create `my_run`, which must beat the majority class, and `my_export`, a file of it.
#
# <details><summary>Hint</summary>
# Two lines are enough: <code>tlkeras.fit(folder, ...)</code> and <code>tlkeras.export(my_run, output)</code>. If the run
# does not beat the majority class, go back to the first point of the checklist.
# </details>

# %% tags=["solution"]
# A run on your images, and its file.
my_run = tlkeras.fit(
    folder,
    classes=["bird", "boat", "flower", "house"],
    image_size=160,
    refit=False,
    verbose=False,
)
my_export = tlkeras.export(my_run, work / "mine", quantize="float16")

# %%
teaching.check("12.3", my_run, my_export)

# %% [markdown]
# ## Read on
#
# - Andrej Karpathy, 2019, [A Recipe for Training Neural Networks](https://karpathy.github.io/2019/04/25/recipe/): become
#   one with the data.
# - Xiaohua Zhai and colleagues, 2019, [A Large-scale Study of Representation Learning with the Visual Task Adaptation
#   Benchmark](https://arxiv.org/abs/1910.04867): what transfers, over nineteen tasks.
# - Claude Nadeau and Yoshua Bengio, 2003, [Inference for the Generalization
#   Error](https://doi.org/10.1023/A:1024068626366): the interval that this course uses.

# %% [markdown]
# ## Recap
#
# - **Run**: check, advise, fit, report, export. A few lines, and each of them says what it found.
# - **Decide**: go through the checklist from the top; most projects end before its last point.
# - **Recognize**: ask of every rule on which images it was measured.
