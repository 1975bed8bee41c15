"""Every image is predicted by a probe that has not seen it, nor had its C chosen by it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import tlkeras
from tlkeras.pipelines import regularization
from tlkeras.pipelines.cross_validation import _chosen_without, mean_with_error, predict_each_fold
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import check_probe_options

CS = (0.001, 0.01, 0.1, 1.0)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def table():
    return make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)


@pytest.mark.parametrize(("folds", "blocks"), [(4, [0, 1, 2, 3]), (7, [0, 0, 1, 1, 2, 3, 4])])
def test_equals_a_grid_search_without_the_block_of_each_fold(table, folds, blocks):
    X, y = table
    measured = tlkeras.cross_validate_probe(X, y, Cs=CS, folds=folds, seed=1)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    block_of = np.array(blocks)[measured.folds]
    for block in set(blocks):
        others = block_of != block
        cv = PredefinedSplit(block_of[others])
        search = GridSearchCV(probe, {"logisticregression__C": CS}, cv=cv, scoring="neg_log_loss", refit=False)
        best = search.fit(X[others], y[others]).best_params_
        probe.set_params(**best)
        for fold in np.flatnonzero(np.array(blocks) == block):
            held_out = measured.folds == fold
            assert measured.strengths[fold] == best["logisticregression__C"]
            expected = probe.fit(X[~held_out], y[~held_out]).predict_proba(X[held_out])
            np.testing.assert_allclose(measured.probabilities[held_out], expected, atol=2e-3)
    assert measured.accuracy == (measured.probabilities.argmax(1) == y).mean()
    refitted = tlkeras.linear_probe(X, y, Cs=CS, folds=folds, seed=1)
    np.testing.assert_array_equal(measured.probe.predict_proba(X), refitted.predict_proba(X))


def test_the_number_of_threads_changes_no_digit(table, monkeypatch):
    together = tlkeras.cross_validate_probe(*table)
    monkeypatch.setattr(regularization, "_THREADS", 1)
    alone = tlkeras.cross_validate_probe(*table)
    np.testing.assert_array_equal(together.probabilities, alone.probabilities)
    assert together.strengths == alone.strengths


def test_a_fold_has_no_say_in_its_own_C(table):
    data = labeled_features(*table)
    parts = data.deal_folds(4, seed=0)
    family = check_probe_options("logistic", CS, None, multilabel=False)
    before = _chosen_without(data, parts, family, None)
    numbers = data.numbers.copy()
    numbers[parts[0]] = np.random.default_rng(0).permutation(numbers[parts[0]])
    after = _chosen_without(replace(data, numbers=numbers, labels=numbers), parts, family, None)
    assert after[0] == before[0]
    assert after != before  # the other folds were judged by the shuffled labels


def test_images_of_a_group_are_held_out_together_and_count_once(table):
    X, y = table
    twice = np.arange(90).repeat(2)
    copied = tlkeras.cross_validate_probe(X[twice], y[twice], groups=twice, Cs=[0.01], folds=4)
    np.testing.assert_array_equal(copied.folds[::2], copied.folds[1::2])
    right = (copied.probabilities.argmax(1) == y[twice])[::2]
    assert copied.accuracy == pytest.approx(right.mean())
    assert copied.standard_error == pytest.approx(np.sqrt(right.mean() * (1 - right.mean()) / 89))


@pytest.mark.parametrize("groups", [None, np.arange(40), np.arange(40) // 2])
def test_the_standard_error_is_the_spread_of_the_mean_over_samples(groups):
    rng = np.random.default_rng(0)
    counted = 40 if groups is None else len(np.unique(groups))
    samples = rng.integers(0, 2, (4000, counted)).repeat(40 // counted, axis=1)
    means, errors = zip(*(mean_with_error(sample, groups) for sample in samples), strict=True)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.05)


def test_several_labels_per_image_are_one_regression_each(table):
    X, _ = table
    Y = np.c_[X[:, 0] > 0, X[:, 1] > 1, X[:, 2] > 0].astype(int)
    measured = tlkeras.cross_validate_probe(X, Y, Cs=[0.1], folds=3)
    train, held_out = measured.folds != 0, measured.folds == 0
    for label in range(3):
        alone = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(X[train], Y[train, label])
        expected = alone.predict_proba(X[held_out])[:, 1]
        np.testing.assert_allclose(measured.probabilities[held_out, label], expected, atol=1e-3)
    assert measured.accuracy == pytest.approx(((measured.probabilities > 0.5) == Y).mean())
    assert measured.probe.predict(X).shape == (90, 3)


def test_a_class_of_one_group_is_measured_as_never_learned():
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(20, int), np.ones(20, int), 2, 2]
    X = rng.normal(size=(42, 5)) + 5 * y[:, None]
    measured = tlkeras.cross_validate_probe(X, y, groups=np.r_[np.arange(40), 99, 99], folds=3)
    np.testing.assert_array_equal(measured.probabilities[-2:, 2], 0)
    assert measured.probe.predict(X[-1:]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": np.arange(90) % 4}, "`folds` must be at most 4, the number of groups.*folds=5"),
        ({"folds": 2}, ">= 3"),
        ({"groups": [1, 2]}, "`groups` must have one value per image"),
    ],
)
def test_folds_that_cannot_be_dealt_are_refused(table, options, message):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.cross_validate_probe(*table, **options)


@pytest.mark.parametrize("estimator", ["logistic", "lda"])
def test_another_view_of_an_image_is_predicted_by_the_probe_that_has_not_seen_it(table, estimator):
    X, y = table
    result = tlkeras.cross_validate_probe(X, y, Cs=CS, folds=4, estimator=estimator)
    same, noisy = predict_each_fold(result, X, y, [X, X + np.random.default_rng(0).normal(0, 0.1, X.shape)])
    np.testing.assert_allclose(same, result.probabilities, atol=2e-3)
    assert 0 < np.abs(noisy - same).max() < 0.5
