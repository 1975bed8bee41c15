"""Compare candidates on the same images: quick scores for all, then cross-validation for candidates near the best."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.pipelines.discriminant import discriminant_paths
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.regularization import log_losses, probability_paths
from tlkeras.selection.leave_one_out import leave_one_out

#: Folds of the cross-validation; fewer if the rarest class has fewer distinct images.
FOLDS = 5

#: Rounds of cross-validation, each with different folds. With one round, the folds alone changed a quarter of the
#: recommendations for clipart10. With three, `rank` would take 1.3 times as long as the features (docs/performance.md).
ROUNDS = 2

#: Values of C for the cross-validation. `linear_probe` also tries weaker penalties, which take longest and rarely win.
CS = (1e-3, 1e-2, 1e-1)


def quick_scores(tables, split):
    """Score each candidate by leave-one-out ridge regression.

    Args:
        tables: Features of each candidate, arrays of shape `(images, features)`.
        split: `ImageSplit` of the images.

    Returns:
        float64 array of shape `(candidates, images)`: 1 for each correct prediction and 0 for each wrong one; with
        several labels per image, the fraction of labels predicted correctly.
    """
    classes = np.arange(len(split.class_names))
    present = split.labels > 0 if split.multilabel else split.labels[:, None] == classes
    targets = np.where(present, 1.0, -1.0)

    def score(table):
        predicted = leave_one_out(table, targets, split.groups)
        if split.multilabel:
            return ((predicted > 0) == present).mean(axis=1)
        return (predicted.argmax(axis=1) == split.labels).astype("float64")

    return np.array(_in_threads(score, tables))


def probe_scores(tables, split, seed=0, rounds=ROUNDS):
    """Score each candidate by cross-validating both kinds of linear probe, all on the same folds.

    For each fold, the logistic regression uses the C with the lowest loss on the other folds, so no image influences
    the choice of the regression that classifies it. The discriminant analysis has no hyperparameter to choose.

    Args:
        tables: Features of each candidate, arrays of shape `(images, features)`.
        split: `ImageSplit` of the images.
        seed: Seed for the folds.
        rounds: Number of rounds, whose scores are averaged.

    Returns:
        A list of dicts, one per candidate, that map `"logistic"` and, with one label per image, `"lda"` to float64
        arrays of shape `(images,)`: scores like those of `quick_scores`.
    """
    labels = split.labels.astype(int) if split.multilabel else split.labels
    first = labeled_features(tables[0], labels, split.groups)
    count = min(FOLDS, first.rarest)
    dealt = [first.deal_folds(count, rounds * seed + number) for number in range(rounds)]

    def score(table):
        data = labeled_features(table, labels, split.groups)
        each = [score_once(data, parts) for parts in dealt]
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    def score_once(data, parts):
        answers = _held_out(data, parts)
        if data.multilabel:
            return {"logistic": ((answers >= 0.5) == data.numbers).mean(axis=1)}
        discriminant = np.empty_like(answers)
        for rows in parts:
            ((discriminant[rows],),) = discriminant_paths(data, [rows], (1.0,))
        both = {"logistic": answers, "lda": discriminant}
        return {name: (one.argmax(axis=1) == data.numbers).astype("float64") for name, one in both.items()}

    return _in_threads(score, tables)


def lead(first, second, groups):
    """Compare two candidates on the same images.

    Args:
        first: Scores of one candidate, of shape `(images,)`.
        second: Scores of the other candidate.
        groups: Group of each image; images in the same group are treated as dependent.

    Returns:
        `(lead, standard_error)`: the mean of `first - second` and its standard error. This error is far smaller than it
        would be if the accuracies were measured on different images, since most images are easy or hard for both
        candidates.
    """
    return mean_with_error(np.subtract(first, second), groups)


def _held_out(data, parts):
    """Classify every image with its fold held out; float64 of shape `(images, classes)`."""
    paths = [probability_paths(data, [rows], CS)[0] for rows in parts]
    losses = [log_losses(path, data, rows).mean(axis=1) for path, rows in zip(paths, parts, strict=True)]
    answers = np.empty((len(data.labels), len(data.classes)))
    for fold, (path, rows) in enumerate(zip(paths, parts, strict=True)):
        others = [loss for number, loss in enumerate(losses) if number != fold]
        reached = int(np.isfinite(losses[fold]).sum()) - 1  # a path ends once weaker penalties stop helping
        answers[rows] = path[min(int(np.mean(others, axis=0).argmin()), reached)]
    return answers


def _in_threads(function, tables):
    """Apply a function to each table with one thread per core; each thread multiplies matrices single-threaded."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, tables))
