# %% [markdown]
# # 12 · Decisions
#
# **Question.** You have a folder of your own images: what do you do, in what order, and which rules can you trust?
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
# | 15 min | 1 to 2 min | 30 min | 2 GB | 0 |

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
# classes, pictures that show nothing. Without a backbone, this takes seconds; labels that look wrong need one, as in
# [notebook 10](10_few_and_dirty_labels.ipynb).

# %%
found = tlkeras.check_images(folder, backbone=None)
kinds = {one.kind for one in found.findings}
rows = [{"finding": kind, "number": len(found.of(kind))} for kind in sorted(kinds)]
teaching.table(rows, "What to look at before training")

# %%
teaching.finding(
    f"{len(found.of('near_duplicate'))} near-duplicates may stay, but each pair belongs "
    "on one side of a split: `load_images` sees to that."
)

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

# %% [markdown]
# *Clear* means: your images decide, by more than one standard error in a quick look. That is less than this course asks
# for: in [notebook 8](08_choosing_a_backbone.ipynb), block7 and the output could not be told apart on 12 splits. *Tie*: your
# images do not decide, and the cheaper one was taken. *Default*: your images were not used.

# %%
best = plan.ranking.recommended
strategy = plan.choice("strategy")
agrees = "disagrees" if plan.disagrees else "agrees"
teaching.outcome(
    "12.a",
    plan.strategy,
    f"{strategy.reason} (± is one standard error; the 95% interval is "
    f"{best.interval[0]:.0%} to {best.interval[1]:.0%}.) In [notebook 6]"
    "(06_how_much_data.ipynb) no gain of fine-tuning could be told on 3 splits, and a "
    "gain of 10 points could not be excluded. The rule of thumb by the number of images "
    f"alone ({plan.rule_of_thumb}) {agrees}.",
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
right = teaching.counted(scores["accuracy"], scores["images"])
teaching.finding(
    f"{right[0]:.1%} of {scores['images']} unseen images are right (95% interval "
    f"{right[1]:.1%} to {right[2]:.1%}); always "
    f"giving the majority class is right for {scores['majority_accuracy']:.1%}. This is "
    "one draw of test images; the course's 12 splits are in the scoreboard below. The "
    "file is "
    f"{export.report['bytes'] / 1e6:.1f} MB and gives {verified['agreement']:.1%} of "
    "the "
    "answers as Keras does. Look at the mistakes before you look for a better network."
)

# %% [markdown]
# ## The rules of thumb
#
# What does the field say, and what did we see? Verdicts hold for the images of this course, and give what was measured:
# differences in points with their interval. *Not told* means that the interval includes zero. Does one of these four
# rules hold without an *if*?

# %% tags=["solution"]
# One of the choices.
rules = (
    "augment always",
    "bigger is better",
    "freeze BatchNorm",
    "adapt always",
    "none of them",
)
guess = "augment always"
teaching.predict("12.b", guess, choices=rules)

# %% [markdown]
# ### Data and numbers
#
# | rule | verdict | measured | in |
# |---|---|---|---|
# | You need thousands of images | **false for transfer** | 4 per class: 39 of 100 right (30 to 48); 257 from scratch: 27 (17 to 36) | [06](06_how_much_data.ipynb) |
# | More images always help | **depends** on your curve | 16 per class to all: +6 (−1 to +12) | [06](06_how_much_data.ipynb) |
# | One test split is enough | **false** | 17 points between splits | [03](03_feature_extraction.ipynb) |
# | Wrong labels ruin a model | **depends** on how many | one in ten: −2 (−7 to +2); four in ten: −20 (−31 to −10) | [10](10_few_and_dirty_labels.ipynb) |
# | Label typical images first | **not told** | +6 (−5 to +17) | [10](10_few_and_dirty_labels.ipynb) |
# | Unlabeled images help | **not told** | +2 (−4 to +8) | [10](10_few_and_dirty_labels.ipynb) |

# %%
teaching.finding("Check the data, state an interval, and look at your own curve.")

# %% [markdown]
# ### Freezing and training
#
# | rule | verdict | measured | in |
# |---|---|---|---|
# | Under 1,000 images: features only | **not told** | fine-tuned: +4 (−1 to +10) | [05](05_fine_tuning_well.ipynb) |
# | 1,000 to 100,000: later layers; more: all | **not measured** | we have hundreds | |
# | Freeze BatchNorm | **depends** | moving it erases old answers ([04](04_freezing_and_forgetting.ipynb)), repairs a new domain: +27 (+23 to +32) | [09](09_domain_shift.ipynb) |
# | `base(x, training=False)` is enough | **false** in Keras 3 | moving means moved | [04](04_freezing_and_forgetting.ipynb) |
# | Rates 10 to 100 times smaller | **depends** | too low learns nothing, high forgets | [04](04_freezing_and_forgetting.ipynb) |
# | Train the head first | **not told** | +5 (−5 to +15) | [05](05_fine_tuning_well.ipynb) |
# | Stop early | **depends** | within six epochs: −7 (−12 to −1) | [05](05_fine_tuning_well.ipynb) |
# | Use dropout and weight decay | **not told** | 0 (−5 to +5); 0 (−1 to +1) | [05](05_fine_tuning_well.ipynb) |
# | The last layer has the best features | **not told** | block7: 0 (−5 to +5) | [08](08_choosing_a_backbone.ipynb) |

# %%
teaching.finding("Start with frozen features. They are the number to beat.")

# %% [markdown]
# ### Augmentation, backbones, new domains
#
# | rule | verdict | measured | in |
# |---|---|---|---|
# | Augment always | **false** | a flip that changes the label: −14 (−17 to −10) | [07](07_augmentation.ipynb) |
# | Bigger backbones are better | **not told** | Lite2 − Lite0: +1 (−5 to +6) | [08](08_choosing_a_backbone.ipynb) |
# | The best on ImageNet is best for you | **not told** | the same pair | [08](08_choosing_a_backbone.ipynb) |
# | Pretraining matters more than architecture | **not measured** | weights against none: +44 (+34 to +54) | [08](08_choosing_a_backbone.ipynb) |
# | Transformers beat convolutions | **not measured** | | |
# | Images that differ are answered worse | **depends** | outlines: −39 (−46 to −32); dark ones: −3 (−7 to +1) | [09](09_domain_shift.ipynb) |
# | Adapt always | **false** | one class only: −10 (−16 to −4) | [09](09_domain_shift.ipynb) |

# %%
teaching.finding("Ask what must stay the same when an image changes. Then measure.")

# %% [markdown]
# ### Trust and deployment
#
# | rule | verdict | measured | in |
# |---|---|---|---|
# | Probabilities are confidence | **depends** | a head trained for long is off by 20 (14 to 26) | [10](10_few_and_dirty_labels.ipynb) |
# | A classifier notices what it does not know | **false** | a rejector catches 17 of 100 (11 to 23) | [10](10_few_and_dirty_labels.ipynb) |
# | 8 bits cost nothing | **depends** | 7 of 170 answers change; loss not told | [11](11_deploy.ipynb) |
# | 8 bits are faster | **depends** | on the processor | [11](11_deploy.ipynb) |
# | Preprocessing belongs into the app | **false** | done twice: nearly all answers wrong, no error | [11](11_deploy.ipynb) |

# %%
teaching.outcome(
    "12.b",
    "none of them",
    "Each holds only *if*: if the label survives the change, if a comparison on your "
    "images tells the larger one apart, if you want to keep what the statistics know, if "
    "there are enough new images. Accuracy on the new task with BatchNorm frozen and not "
    "was not compared here. **A rule of thumb is a guess with a reputation: good to "
    "start with, cheap to test.**",
)

# %% [markdown]
# ## What the course measured

# %%
teaching.scoreboard("12", {"your folder, in a few lines": right}, splits=1)

# %% [markdown]
# ## The checklist
#
# 1. **Check** the folder. Look at duplicates, leaks and suspect labels.
# 2. **Split** by what must be new: person, place, camera. Keep test images out of every choice.
# 3. **Probe** frozen features, with an interval, beside the majority class.
# 4. **Look** at the most confident mistakes. Fix labels before the network.
# 5. **Rank** blocks and backbones; take the cheapest of those that cannot be told apart.
# 6. **Ask the curve**: would more images help? Label more, and compare typical with random ones.
# 7. **Fine-tune** with small rates below and BatchNorm frozen; keep it only if it beats the probe on paired splits.
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
# Thirty times 427 is 12,810. The rule takes two rows of the table *Freezing and training*, where <i>features only</i>
# trains the head. The table also says whether it was measured.
# </details>

# %% tags=["solution"]
# A pair: one of "head", "last", "all"; and whether the course measured it, True or False.
# For example ("all", True).
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
