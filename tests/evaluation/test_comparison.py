"""Two methods are told apart only where the evidence allows it."""

import numpy as np
import pytest
from scipy.stats import nct, norm, t, ttest_rel

import tlkeras
from tlkeras import InputError

A, B = np.array([0.70, 0.75, 0.72, 0.69, 0.74]), np.array([0.66, 0.70, 0.71, 0.64, 0.73])


def test_the_interval_is_the_closed_form():
    result = tlkeras.compare(A, B, train=80, test=20)
    error = np.sqrt((1 / 5 + 20 / 80) * np.var(A - B, ddof=1))
    assert result.interval == pytest.approx(t.interval(0.95, 4, loc=np.mean(A - B), scale=error))
    assert result.p_value == pytest.approx(2 * t.sf(np.mean(A - B) / error, 4))
    mean, low, high = tlkeras.resampled_interval(A, train=80, test=20, level=0.8)
    error = np.sqrt((1 / 5 + 20 / 80) * np.var(A, ddof=1))
    assert (low, high) == pytest.approx(t.interval(0.8, 4, loc=mean, scale=error))


def test_without_shared_images_it_is_the_paired_t_test():
    result = tlkeras.compare(A, B, train=10**9, test=100)
    assert result.p_value == pytest.approx(ttest_rel(A, B).pvalue, rel=1e-5)


@pytest.mark.parametrize("splits", [5, 12, 100])
def test_the_smallest_detectable_difference_is_found_four_times_in_five(splits):
    scores = np.random.default_rng(splits).uniform(0.5, 0.7, (2, splits))
    result = tlkeras.compare(*scores, train=300, test=100)
    critical = t.ppf(0.975, splits - 1)
    error = (result.interval[1] - result.difference) / critical
    assert nct.sf(critical, splits - 1, result.smallest_detectable / error) == pytest.approx(0.8, abs=0.025)


def _nearest_mean_accuracies(points, labels, train):
    """Return accuracies on the rest and true accuracies of nearest-mean classifiers of one and of all features."""
    measured, true = [], []
    for used in (slice(0, 1), slice(None)):
        x = points[:, used]
        means = [x[train][labels[train] == one].mean(axis=0) for one in (0, 1)]
        weights, middle = means[1] - means[0], (means[0] + means[1]) / 2
        test = ~train
        measured.append(np.mean(((x[test] - middle) @ weights > 0) == labels[test]))
        shift = np.full(x.shape[1], 0.5)  # class means lie at plus and minus this, with unit variance
        sides = [norm.cdf((shift @ weights + sign * -(middle @ weights)) / np.linalg.norm(weights)) for sign in (1, -1)]
        true.append(np.mean(sides))
    return measured, true


def test_intervals_cover_the_truth_where_the_plain_t_interval_does_not():
    """Simulate 150 data sets of 100 images, each split 12 times, and classifiers whose true accuracy is known."""
    random = np.random.default_rng(0)
    intervals, plain, truths = [], [], []
    for _ in range(150):
        labels = random.permutation(100) % 2
        points = random.normal(size=(100, 4)) + np.where(labels, 0.5, -0.5)[:, None]
        scores = []
        for _ in range(12):
            train = random.permutation(100) < 80
            measured, true = _nearest_mean_accuracies(points, labels, train)
            scores.append(measured)
            truths.append(true)
        a, b = np.transpose(scores)
        intervals.append(tlkeras.compare(a, b, train=80, test=20).interval)
        plain.append(t.interval(0.95, 11, loc=np.mean(a - b), scale=np.std(a - b, ddof=1) / np.sqrt(12)))
    truth = np.subtract(*np.mean(truths, axis=0))
    coverage = [np.mean([low <= truth <= high for low, high in those]) for those in (intervals, plain)]
    assert coverage[0] >= 0.92
    assert coverage[1] <= 0.8


@pytest.mark.parametrize("methods, better", [((A, A - 0.3), "frozen"), ((A - 0.3, A), "tuned"), ((A, A), None)])
def test_the_sentence_names_the_better_method_or_says_that_there_is_none(methods, better):
    result = tlkeras.compare(*methods, train=80, test=20, names=("frozen", "tuned"))
    assert result.better == better
    if better:
        assert result.verdict == f"{better} is better"
        assert str(result).startswith(f"{better} is better than ")
    else:
        assert result.verdict in str(result)
        assert f"a difference of {100 * result.smallest_detectable:.1f} points" in str(result)


def test_equal_differences_on_all_splits_are_no_proof():
    result = tlkeras.compare([0.6, 0.6], [0.5, 0.5], train=80, test=10)
    assert result.better is None
    assert result.interval[0] < 0 < result.interval[1]


@pytest.mark.parametrize(
    "a, b, settings",
    [
        ([70, 74], [60, 64], {}),
        ([0.7], [0.6], {}),
        ([0.7, np.nan], [0.6, 0.6], {}),
        ([0.7, 0.6], [0.6, 0.6, 0.5], {}),
        ([0.7, 0.6], [0.6, 0.6], {"test": 0}),
        ([0.7, 0.6], [0.6, 0.6], {"level": 95}),
        ([0.7, 0.6], [0.6, 0.6], {"names": ("A", "A")}),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(a, b, settings):
    with pytest.raises(InputError, match="Received"):
        tlkeras.compare(a, b, **{"train": 80, "test": 20, **settings})
