# %% [markdown]
# # 0 · Check your setup
#
# **Question.** Can this machine run the notebooks, and how long will they take on it?
#
# **You will be able to**
#
# - **Check** that everything the notebooks need is installed and works.
# - **Fix** what does not work, guided by the line that names it.
# - **Work** through a notebook: predict, run, compare, solve, check.
#
# **Before you start:** Python 3.11 to 3.13 and `pip install -e ".[notebooks]"` in a clone of
# the repository, which also installs the weights. After that, no network is needed.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 5 min | 1 min | 2 min | 1 GB | 0 |

# %% [markdown]
# ## The doctor
#
# Every notebook begins with the next cell. It silences the logs and sets all random seeds.
# The cell below it does the same as `tlkeras doctor` on the command line: it checks Python,
# packages, memory, disk and weights, computes one batch, and trains for two steps.

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
from tlkeras.teaching import doctor

diagnosis = doctor.examine()
print(diagnosis)

# %% [markdown]
# If a line says `FAIL`, the line below it says what to do. The minutes are those measured where
# the notebooks were built, scaled by how fast a batch was computed here. Your numbers will
# differ from this page.

# %% tags=["nbval-check-output"]
print("Ready for the notebooks:", diagnosis.ok)

# %% [markdown]
# ## A first figure
#
# Before each figure you are asked what it will show. Decide first, then run the cell. You learn
# most where you were wrong.
#
# **Predict.** Our drawings come in ten classes. Are the classes equally large? What accuracy
# does someone reach who always answers the most common class?

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
    f"{commonest} is the most common class with a share of {shares[commonest]:.2f}, "
    f"{rarest} the rarest with {shares[rarest]:.2f}. Always answering {commonest} is "
    "right that often without looking. Any network has to beat this."
)

# %% [markdown]
# ## Did it all hold?
#
# Each notebook ends with its claims as assertions. If one fails, the page above is wrong.

# %%
assert diagnosis.ok, "see the line that says FAIL"
assert sum(map(len, (images.train, images.validation, images.test))) > len(images.train)
assert shares[commonest] > 1 / len(shares)

# %% [markdown]
# ## Exercises
#
# The folder `learn/` has each notebook with its solutions replaced by `...`. Write your own
# and run the check below it. The check says what is missing, or what your answer shows.
#
# How many images in `images` are reserved for testing?
#
# <details><summary>Hint</summary>
#
# A split has a length: `len(images.train)`.
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
# - **Check**: `tlkeras doctor`, or `doctor.examine()`, checks everything that is needed.
# - **Fix**: each line that fails says what to do.
# - **Work**: decide what you expect, run the cell, compare with the finding, then solve the
#   exercises.
#
# Next: [Feature extraction](01_feature_extraction.ipynb).
