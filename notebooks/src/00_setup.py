# %% [markdown]
# # 00 · Setup
#
# **Question.** Can this machine run the course, and how long will that take?
#
# **You will be able to**
#
# - **Check** that everything the notebooks need is installed and works.
# - **Fix** what does not work, guided by the line that names it.
# - **Work** through a notebook: guess, run, compare, solve, check.
#
# **Before you start:** Python 3.11 to 3.13 and `pip install -e ".[notebooks]"` in a clone of the repository, which also
# installs the network's weights. From then on, you can work offline.
#
# | read | run | exercises | memory | downloads |
# |---|---|---|---|---|
# | 5 min | 1 to 2 min | 2 min | 1 GB | 0 |

# %% [markdown]
# ## Is this machine ready?
#
# Every notebook begins with the next cell. It silences logs and sets all random seeds. The cell after it does the same
# as `tlkeras doctor` on the command line: it checks Python, packages, memory, disk and weights, computes one batch, and
# trains for two steps. If a line says `FAIL`, the line below it says what to do.

# %%
from tlkeras import teaching

teaching.start(seed=0)

# %%
diagnosis = teaching.doctor.examine()
print(diagnosis)

# %% [markdown]
# Minutes per notebook, if they are listed, were measured on two CPU cores and are scaled by how fast a batch was computed
# here. Yours will differ from those on this page.

# %% tags=["nbval-check-output"]
print("Ready for the notebooks:", diagnosis.ok)

# %% [markdown]
# ## The project
#
# The whole course is one project: teach a computer to sort drawings into ten classes, with 427 examples. That is very
# little. It is also typical: most people who want an image classifier have hundreds of images, not millions.

# %%
import numpy as np

import tlkeras

images = teaching.lab.drawings()
# the first drawing of each class
chosen = [np.flatnonzero(images.labels == k)[0] for k in range(10)]
tlkeras.contact_sheet(
    images.take(chosen).read(), captions=images.class_names, columns=5, image_size=128
)

# %%
teaching.finding(
    f"One drawing of each class, out of {len(images)}. Authors and styles differ, and most "
    "lie on white."
)

# %% [markdown]
# People looked at all of them and noted which labels are wrong. Here are four of those.

# %%
wrong = np.flatnonzero(teaching.lab.label_notes(images) == "wrong")
some = wrong[[0, 3, 9, 12]]
labeled = [f"labeled {images.class_names[k]}" for k in images.labels[some]]
tlkeras.contact_sheet(
    images.take(some).read(), captions=labeled, columns=4, image_size=128
)

# %%
teaching.finding(
    f"**{len(wrong)} labels are wrong.** They were left as they are, because real data "
    "are like this."
)

# %% [markdown]
# ## A first guess
#
# Before an important result, you are asked what it will be. Decide first, then run the cell. You learn most where you
# were wrong. There are ten classes, not equally large. Someone never looks at the drawing and always answers with the
# largest class. How often is that right?

# %% tags=["solution"]
# In percent, as a number.
guess = 10
teaching.predict("00.a", guess)

# %%
counts = dict(zip(images.class_names, images.counts() / len(images)))
shares = dict(sorted(counts.items(), key=lambda entry: -entry[1]))
largest = next(iter(shares))
tlkeras.dot_chart(
    shares,
    title=f"The largest class, {largest}, has {shares[largest]:.0%} of the images",
    xlabel="share of all images",
    baselines={"equal shares": 0.1},
)

# %%
_, low, high = teaching.counted(shares[largest], 85)
teaching.outcome(
    "00.a",
    round(100 * shares[largest]),
    f"Classes are rarely equally large. Always answering *{largest}* is right for "
    f"{shares[largest]:.1%} of the images, so an accuracy near that shows nothing learned. "
    f"Near means: with 85 test images, as in the next notebook, from {low:.0%} to {high:.0%}.",
)

# %% [markdown]
# That number opens the **scoreboard** of the course. Each notebook adds what it achieves.

# %% tags=["hide"]
assert diagnosis.ok, "see the line that says FAIL"
assert shares[largest] > 1 / len(shares)
board = {f"always {largest}, without looking": shares[largest]}
teaching.scoreboard("00", board, images="all drawings", splits="")

# %% [markdown]
# ## Exercise
#
# The folder `learn/` has each notebook with `...` in place of its solutions. Write your own and run the check below it.
# The check says what is missing, or what your answer shows.
#
# How many drawings are labeled `"bug"`?
#
# <details><summary>Hint</summary>
# <code>images.counts()</code> has one number per class, in the order of <code>images.class_names</code>.
# </details>

# %% tags=["solution"]
# Number of drawings with the label "bug".
bugs = images.counts()[images.class_names.index("bug")]

# %%
teaching.check("00.1", bugs, images)

# %% [markdown]
# ## Recap
#
# - **Check**: `tlkeras doctor`, or `teaching.doctor.examine()`, checks everything that is needed.
# - **Fix**: each line that fails says what to do.
# - **Work**: decide what you expect, run the cell, compare, then solve the exercises.
