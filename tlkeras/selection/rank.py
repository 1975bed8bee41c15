"""The public function `rank`: compare backbones and blocks on the user's own images, with standard errors."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.selection.candidates import Tapped
from tlkeras.selection.checks import check_choosing, within_budgets
from tlkeras.selection.comparison import lead, probe_scores, quick_scores
from tlkeras.selection.images import images_to_choose_on
from tlkeras.selection.ranking import Ranked, Ranking

#: Number of candidates that are cross-validated for their accuracy, plus the static prior and the cheapest within
#: reach.
FINALISTS = 3

#: A candidate is within reach if its quick score is at most this many standard errors behind the best.
REACH = 2


def rank(
    images: Any,
    backbones: Sequence[str | keras.Model] | str | None = None,
    blocks: Sequence[str] | str | None = "all",
    *,
    max_params: float | None = None,
    max_madds: float | None = None,
    max_ms: float | None = None,
    max_file_size: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    cache: bool | str | os.PathLike = True,
    seed: int = 0,
    verbose: bool = False,
) -> Ranking:
    """Rank backbones and their blocks by the accuracy of a linear probe on the features that they compute.

    One pass per backbone computes the features of all blocks. A block is read together with the two below it, since
    these features cost nothing extra and made the probe more accurate in our tests (docs/performance.md). Then all
    candidates get a quick score: the exact leave-one-out accuracy of ridge regression, in closed form. Candidates near
    the best are cross-validated with logistic regression and with shrunk discriminant analysis, and the better result
    counts. All candidates use the same folds, so differences are paired, and images that are hard for all candidates
    add no noise to the differences. Candidates within one standard error of the best are considered tied, and the
    cheapest one is recommended. Near-duplicates are held out together.

    The accuracy of the best candidate is slightly too high, since it was selected for its accuracy; `tlkeras.fit`
    measures the accuracy again.

    Args:
        images: A folder with one subfolder per class, or another source for `tlkeras.load_images`; the result of
            `load_images`; or one `ImageSplit`. Test images are not used, unless an `ImageSplit` contains them. If there
            are more than 5,000 images, a random 5,000 are used.
        backbones: Names of backbones, or Keras models that take raw pixels. Defaults to the backbones whose weights are
            on this machine.
        blocks: `"all"` for every block of each backbone, read together with the two below it; names of blocks, which
            are read one at a time; or None for the outputs only. Earlier blocks are cheaper, and often better for
            images that do not resemble those of ImageNet. Defaults to `"all"`, which costs little.
        max_params: Maximum number of parameters, not counting the head, such as `5e6`. This and the other budgets
            default to None, which means no limit.
        max_madds: Maximum number of multiply-adds per image, such as `400e6`.
        max_ms: Maximum time per image on this machine, in milliseconds.
        max_file_size: Maximum size, in bytes, of a classifier's float32 weights.
        image_size: Side length in pixels, or `(height, width)`. Defaults to the size that each backbone was trained at.
        cache: As in `tlkeras.FeatureExtractor`.
        seed: Seed for the folds. Defaults to 0.
        verbose: Whether to show progress on stderr.

    Returns:
        `Ranking`, which prints as a table.

    Raises:
        InputError: The images cannot be used, a class has fewer than two distinct images, a backbone or block does not
            exist, weights cannot be downloaded, or no candidate meets the budgets.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", per_class=8)
    >>> ranking = tlkeras.rank(images, ["efficientnet_lite0"], ["block3", "block5"], image_size=96)
    >>> sorted(row.candidate.end for row in ranking.rows)
    ['block3', 'block5', 'output']

    References: Allen, 1974, https://doi.org/10.1080/00401706.1974.10489157, on leave-one-out in closed form;
    Evci et al., 2022, https://arxiv.org/abs/2201.03529, on features of several blocks;
    https://arxiv.org/abs/2510.06448 (2025) on static lists, which rank backbones better than transferability scores.
    """
    budgets = {"max_params": max_params, "max_madds": max_madds, "max_ms": max_ms, "max_file_size": max_file_size}
    settings = {"image_size": image_size, "cache": cache, "seed": seed, "verbose": verbose}
    return compare(*gather(images, backbones, blocks, budgets, **settings), seed=seed)


def gather(images, backbones, blocks, budgets, *, image_size=None, cache=True, seed=0, verbose=False):
    """Find the candidates that meet the budgets, and compute their features.

    Args:
        images: As in `rank`.
        backbones: As in `rank`.
        blocks: As in `rank`.
        budgets: Dict of the budgets of `rank`.
        image_size: As in `rank`.
        cache: As in `rank`.
        seed: As in `rank`.
        verbose: As in `rank`.

    Returns:
        `(candidates, tables, split, skipped)`: list of `Candidate`; list of the features of each candidate, arrays of
        shape `(images, width)`; the `ImageSplit` of the images; and the unreadable files.
    """
    backbones = check_choosing(images, backbones, blocks, budgets, image_size, seed)
    split, skipped = images_to_choose_on(images, seed)
    options = {"image_size": image_size, "resize": split.resize, "cache": cache, "verbose": verbose}
    tapped = [Tapped(backbone, blocks, **options) for backbone in backbones]
    return *timed_with_features(tapped, split, budgets), split, skipped


def timed_with_features(tapped, split, budgets=None):
    """Time the candidates of several backbones, and compute the features of those that meet the budgets.

    Args:
        tapped: List of `Tapped`, one per backbone.
        split: `ImageSplit` of the images.
        budgets: Dict of the budgets of `rank`. Defaults to None, which means no limit.

    Returns:
        `(candidates, tables)`: list of `Candidate`, and list of the features of each, arrays of shape `(images,
        width)`.
    """
    timed = [_timed(each, len(split.class_names)) for each in tapped]
    kept = within_budgets([one for each in timed for one in each], budgets or {})
    candidates, tables = [], []
    for each, listed in zip(tapped, timed, strict=True):
        if any(one in kept for one in listed):
            for one, table in zip(listed, each.features(split), strict=True):
                if one in kept:
                    candidates.append(one)
                    tables.append(table)
    return candidates, tables


def compare(candidates, tables, split, skipped=(), seed=0) -> Ranking:
    """Rank candidates by their precomputed features.

    Args:
        candidates: List of `Candidate` to rank.
        tables: Features of each candidate, arrays of shape `(images, width)`.
        split: `ImageSplit` of the images.
        skipped: Unreadable files.
        seed: Seed for the folds.

    Returns:
        `Ranking`.
    """
    groups = split.groups
    quick = quick_scores(tables, split)
    wholes = [number for number, one in enumerate(candidates) if one.block is None]
    prior = _prior(candidates, wholes)
    finalists = _finalists(candidates, quick, prior, groups)
    both = dict(zip(finalists, probe_scores([tables[number] for number in finalists], split, seed), strict=True))
    probes = {number: max(each, key=lambda name: each[name].mean()) for number, each in both.items()}
    scores = {number: each[probes[number]] for number, each in both.items()}
    best = max(finalists, key=lambda number: (scores[number].mean(), -candidates[number].multiply_adds))
    rows = {}
    for number, one in enumerate(candidates):
        output = next((whole for whole in wholes if candidates[whole].backbone == one.backbone), None)
        over = None if output is None else lead(quick[number], quick[output], groups)
        rows[number] = Ranked(one, len(split), float(quick[number].mean()), over)
        if number in scores:
            accuracy, error = mean_with_error(scores[number], groups)
            behind = lead(scores[best], scores[number], groups)
            measured = (probes[number], accuracy, error, *behind)
            rows[number] = Ranked(one, len(split), rows[number].quick_accuracy, over, *measured)
    tied = [number for number in finalists if rows[number].tied]
    recommended = min(tied, key=lambda number: (candidates[number].multiply_adds, -scores[number].mean()))
    order = sorted(rows, key=lambda number: (number not in scores, -(rows[number].accuracy or quick[number].mean())))
    return Ranking(
        tuple(rows[number] for number in order),
        rows[best],
        rows[recommended],
        rows[prior],
        *lead(scores[recommended], scores[prior], groups),
        len(split),
        len(split.class_names),
        tuple(skipped),
    )


def _prior(candidates, wholes):
    """Choose as a static list would: the whole backbone, or the part within budget, with the best ImageNet accuracy."""
    numbers, sign = (wholes, -1) if wholes else (range(len(candidates)), 1)
    return max(numbers, key=lambda number: (candidates[number].top1 or 0, sign * candidates[number].multiply_adds))


def _timed(tapped, classes):
    """List the candidates of a backbone with their times."""
    candidates, whole = tapped.candidates(classes), tapped.milliseconds()
    most = max(1, candidates[-1].multiply_adds)
    return [replace(one, milliseconds=whole * one.multiply_adds / most) for one in candidates]


def _finalists(candidates, quick, prior, groups):
    """Choose the candidates to cross-validate; return their indices in order of quick accuracy."""
    accuracies = quick.mean(axis=1)
    top = int(accuracies.argmax())
    leads = [lead(quick[top], scores, groups) for scores in quick]
    reach = [number for number, (behind, error) in enumerate(leads) if behind <= REACH * error]
    reach = sorted(reach, key=lambda number: -accuracies[number])
    ties = [number for number, (behind, error) in enumerate(leads) if behind <= error]
    cheapest = min(ties, key=lambda number: candidates[number].multiply_adds)
    return list(np.unique([top, *reach[:FINALISTS], prior, cheapest]))
