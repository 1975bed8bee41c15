# %% [markdown]
# # 0 · Check your setup
#
# **Question.** Can this machine run the notebooks, and how long will they take on it?
#
# **You will be able to**
#
# - **Check** that all that the notebooks need is installed and works.
# - **Mend** what does not, by the line that names it.
# - **Work** through a notebook: predict, run, compare, solve, check.
#
# **Before you start:** Python 3.11 to 3.13 and `pip install -e ".[notebooks]"` in a clone of
# the repository, which brings the weights too. From then on no network is needed.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 5 min | 1 min | 2 min | 1 GB | 0 |

# %% [markdown]
# ## The doctor
#
# Every notebook begins with the next cell: it quiets the logs and sets the seed of all that
# is random. The one below it is what `tlkeras doctor` does on the command line: it looks at
# Python, packages, memory, disk and weights, computes a batch, and trains for two steps.

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
from tlkeras.teaching import doctor

diagnosis = doctor.examine()
print(diagnosis)

# %% [markdown]
# Where a line says `FAIL`, the line below it says what to do. Minutes are what the notebooks
# took where they were built, scaled by how fast a batch was here. Your machine gives other
# numbers than this page.

# %% tags=["nbval-check-output"]
print("Ready for the notebooks:", diagnosis.ok)

# %% [markdown]
# ## A first figure
#
# Before each figure you are asked what it will show. Decide, then run the cell: what you got
# wrong is what you learn.
#
# **Predict.** Our drawings come in ten classes. Are there as many of each? What would
# someone get right who always names the commonest one?

# %%
import numpy as np

import tlkeras
from tlkeras import evaluation

images = tlkeras.load_images(teaching.clipart10(), seed=0, image_size=(96, 96))
counts = np.bincount(images.train.labels)
shares = {name: n / len(images.train) for name, n in zip(images.class_names, counts)}
evaluation.accuracy_bars(
    shares, {"chance": 1 / len(counts)}, xlabel="share of training images"
)

# %%
commonest = max(shares, key=shares.get)
rarest = min(shares, key=shares.get)
teaching.finding(
    f"{commonest} is the commonest class with a share of {shares[commonest]:.2f}, "
    f"{rarest} the rarest with {shares[rarest]:.2f}. Who always says {commonest} is "
    "right that often without looking: this is what any network has to beat."
)

# %% [markdown]
# ## Did it all hold?
#
# Notebooks end with what they claim, as assertions. If one fails, the page above is wrong.

# %%
assert diagnosis.ok, "see the line that says FAIL"
assert sum(map(len, (images.train, images.validation, images.test))) > len(images.train)
assert shares[commonest] > 1 / len(shares)

# %% [markdown]
# ## Exercises
#
# In `exercises/` you find each notebook with its solutions replaced by `...`. Write yours,
# run the check below it, and it says what is missing, or what your answer shows.
#
# How many images are kept for testing, in `images`?
#
# <details><summary>Hint</summary>
#
# A split knows its length: `len(images.train)`.
#
# </details>

# %% tags=["solution"]
# Number of test images.
test_images = len(images.test)

# %%
teaching.check("00.1", test_images, images)

# %% [markdown]
# ## Recap
#
# - **Check**: `tlkeras doctor`, or `doctor.examine()`, looks at all that is needed.
# - **Mend**: each line that fails says what to do.
# - **Work**: decide what you expect, run, compare with the finding, then solve the exercises.
#
# Next: [Feature extraction](01_feature_extraction.ipynb).
