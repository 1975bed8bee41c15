"""Choose the C of a logistic regression by the loss on held-out images."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tlkeras.pipelines.logistic import regression_path
from tlkeras.pipelines.scaling import fitted_scaler

#: With a thousand standardized features, the best C for few images is far below scikit-learn's default of 1.
DEFAULT_CS = tuple(10.0 ** np.arange(-4, 1.1))

#: Standard errors by which a loss must have risen to be the last one. The loss as a function of C has one minimum
#: except for noise, so a clear rise is not followed by a lower loss.
CLEARLY = 3.0

#: Largest number of regressions at the same time; each copies the features of its images.
_THREADS = 4


def probability_paths(data, parts, Cs, class_weight=None, at_least=0):
    """Fit a regression for each C without the held-out images, then classify those images.

    The values of C are tried from the strongest penalty to the weakest, and each fit starts from the previous solution.
    The sequence stops after a value whose loss is clearly higher than the lowest (by more than `CLEARLY` standard
    errors of the difference), or after two values in a row without a lower loss, since fits with a weak penalty take
    longest and overfit. The stopping point for a part depends only on the loss on that part, so the choice of C
    for one part does not depend on the labels of another part.

    Args:
        data: `LabeledFeatures` of the images.
        parts: int arrays: the indices of the images to hold out, in parts that are evaluated separately.
        Cs: Values of C, ascending.
        class_weight: As in `tlkeras.linear_probe`.
        at_least: Index into `Cs`. The sequence does not stop before this index.

    Returns:
        List with one float64 array per part, of shape `(Cs, images of the part, classes)`; NaN for values of C after
        the sequence stopped.
    """
    held_out = np.concatenate(parts)
    train = np.setdiff1d(np.arange(len(data.labels)), held_out)
    scaler = fitted_scaler(data.features[train])
    seen, unseen = _fewer_columns(scaler.transform(data.features[train]), scaler.transform(data.features[held_out]))
    answers_along = _answers(data, train, seen, unseen, Cs, class_weight)
    paths = [np.full((len(Cs), len(rows), len(data.classes)), np.nan) for rows in parts]
    lowest, without_gain = [np.full(len(rows), np.inf) for rows in parts], np.zeros(len(parts), int)
    for position, answers in enumerate(answers_along):
        for part, answer in enumerate(np.split(answers, np.cumsum([len(rows) for rows in parts])[:-1])):
            if without_gain[part] < 2 or position <= at_least:
                paths[part][position] = answer
                losses = log_losses(answer, data, parts[part], class_weight)
                if losses.mean() < lowest[part].mean():
                    lowest[part], without_gain[part] = losses, 0
                else:
                    without_gain[part] += 2 if _clearly_higher(losses, lowest[part], data.groups[parts[part]]) else 1
        if (without_gain >= 2).all() and position >= at_least:
            break
    return paths


def _clearly_higher(losses, lowest, groups):
    """Return whether the mean loss is higher by more than `CLEARLY` standard errors of the paired difference."""
    rise = losses - lowest
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.bincount(numbers, rise - rise.mean())  # images of one group are dependent
    return rise.sum() > CLEARLY * np.sqrt((sums**2).sum())


def _answers(data, train, seen, unseen, Cs, class_weight):
    """Yield probabilities for each C, of shape `(images, classes)`; a class without training images gets 0."""
    targets, weights = data.numbers[train], data.weights(class_weight, train)
    if not data.multilabel:
        targets, weights = np.equal.outer(targets, np.arange(len(data.classes))), weights[:, None]
    targets = targets.astype("float64")
    varies = targets.min(axis=0) < targets.max(axis=0)
    two = not data.multilabel and varies.sum() == 2  # then there is one column of scores, as in scikit-learn
    learned = np.flatnonzero(varies)[1:] if two else np.flatnonzero(varies)
    weights = weights[:, learned] if data.multilabel else weights
    constant = np.repeat(np.where(varies, 0, targets[:1]), len(unseen), axis=0)
    if not len(learned):
        yield from [constant] * len(Cs)
        return
    for predict in regression_path(seen, targets[:, learned], weights, Cs, not (data.multilabel or two)):
        answers = constant.copy()
        answers[:, learned] = predict(unseen)
        if two:
            answers[:, np.flatnonzero(varies)[:1]] = 1 - answers[:, learned]
        yield answers


def log_losses(probabilities, data, rows, class_weight=None):
    """Compute the weighted log loss of each image.

    Args:
        probabilities: Array of shape `(..., rows, classes)`.
        data: `LabeledFeatures` of the images.
        rows: Indices of the images to which the probabilities belong.
        class_weight: As in `tlkeras.linear_probe`.

    Returns:
        float64 array of shape `(..., rows)`; infinite where the probabilities are NaN. Weights have a mean of 1. With
        several labels per image, losses are averaged over labels.
    """
    weights = data.weights(class_weight, rows)
    numbers = data.numbers[rows]
    if data.multilabel:
        right = np.where(numbers == 1, probabilities, 1 - probabilities)
    else:
        right = probabilities[..., np.arange(len(numbers)), numbers]
    losses = -np.log(np.clip(right, np.finfo("float64").eps, 1)) * weights / weights.mean(axis=0)
    losses = np.where(np.isnan(losses), np.inf, losses)
    return losses.mean(axis=-1) if data.multilabel else losses


def cross_validated_path(data, folds, Cs, class_weight=None, at_least=None, paths=probability_paths):
    """Classify every image with its fold held out, for each C.

    Args:
        data: `LabeledFeatures` of the images.
        folds: Folds returned by `LabeledFeatures.deal_folds`.
        Cs: Values of C, ascending.
        class_weight: As in `tlkeras.linear_probe`.
        at_least: One index into `Cs` per fold, before which the fold's sequence does not stop, or None.
        paths: Function that fits and predicts, like `probability_paths`.

    Returns:
        `(path, losses)`: float64 arrays of shapes `(Cs, images, classes)`, NaN for values of C after the sequence
        stopped, and `(Cs,)`, the mean of the folds' losses, infinite once the sequence has stopped for any fold.
    """
    path = np.full((len(Cs), len(data.labels), len(data.classes)), np.nan)
    losses = np.zeros(len(Cs))
    reaches = at_least or [0] * len(folds)
    along = in_threads(lambda held_out, reach: paths(data, [held_out], Cs, class_weight, reach), folds, reaches)
    for held_out, (answers,) in zip(folds, along, strict=True):
        path[:, held_out] = answers
        losses += log_losses(path[:, held_out], data, held_out, class_weight).mean(axis=1)
    return path, losses / len(folds)


def in_threads(function, *arguments):
    """Call a function for each tuple of arguments, in up to `_THREADS` threads, and return the results in order.

    Most of the time of a regression goes to products of matrices, during which other threads can run.
    """
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, *arguments))


def _fewer_columns(seen, unseen):
    """Project both arrays onto the principal axes of `seen`, if it has fewer rows than columns.

    A regression with an L2 penalty has the same solution in these coordinates: its weights are a linear combination of
    the rows, and rotating the axes does not change lengths. Fitting is many times faster with 200 columns than with
    1280.
    """
    if len(seen) >= seen.shape[1]:
        return seen, unseen
    values, vectors = np.linalg.eigh(seen @ seen.T)
    lengths = np.sqrt(np.maximum(values, values[-1] * 1e-12 + np.finfo("float64").tiny))  # one is 0: rows are centered
    return vectors * lengths, unseen @ seen.T @ (vectors / lengths)
