"""The probe chooses C on the training images alone."""

import re

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

import tlkeras
from tlkeras.pipelines.probe import DEFAULT_CS, held_out_losses


def test_equals_scikit_learn_with_the_chosen_C():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = make_classification(200, 50, n_informative=10, n_classes=3, random_state=0)
    probe = tlkeras.linear_probe(X, y)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=probe[-1].C, max_iter=2000)).fit(X, y)
    np.testing.assert_allclose(probe.predict_proba(X), plain.predict_proba(X), atol=1e-6)


def test_weights_of_classes_count_as_copies_of_their_images():
    X, y = make_classification(60, 5, n_informative=4, n_redundant=0, random_state=0)
    Cs, twice = (0.01, 1.0), np.r_[np.flatnonzero(y == 1), np.arange(len(y))]
    weighted = tlkeras.linear_probe(X, y, Cs=(1.0,), class_weight={0: 1, 1: 2})[-1]
    scaled = (X - X.mean(0)) / X.std(0)
    copied = LogisticRegression(C=1.0, max_iter=2000).fit(scaled[twice], y[twice])
    np.testing.assert_allclose(weighted.coef_, copied.coef_, atol=1e-3)
    balanced = held_out_losses(X, y, Cs, 3, 0, "balanced")
    assert not np.allclose(balanced, held_out_losses(X, y, Cs, 3, 0, {0: 1, 1: 9}))


@pytest.mark.parametrize("columns", [20, 400])
def test_C_is_that_of_a_grid_search(columns):
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = make_classification(120, columns, n_informative=8, n_classes=3, random_state=0)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        {"logisticregression__C": list(DEFAULT_CS)},
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        scoring="neg_log_loss",
    ).fit(X, y)
    assert search.best_params_["logisticregression__C"] == tlkeras.linear_probe(X, y)[-1].C
    losses = held_out_losses(X, y, DEFAULT_CS, 5, seed=0)
    np.testing.assert_allclose(losses, -search.cv_results_["mean_test_score"], rtol=0.02)  # neither has quite converged


def test_noise_gets_a_stronger_penalty_than_signal():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    noise = rng.normal(size=(200, 100))
    signal = np.c_[y * 6 + rng.normal(size=200), noise[:, 1:]]
    assert tlkeras.linear_probe(noise, y)[-1].C < tlkeras.linear_probe(signal, y)[-1].C


@pytest.mark.parametrize("rarest", [1, 2, 3])
def test_a_class_of_few_images_does_not_stop_it(rarest):
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(20, int), np.ones(rarest, int)]
    probe = tlkeras.linear_probe(rng.normal(size=(len(y), 8)) + y[:, None] * 5, y)
    assert probe.classes_.tolist() == [0, 1]
    assert probe.predict_proba([[5.0] * 8])[0, 1] > probe.predict_proba([[0.0] * 8])[0, 1]


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.zeros((4, 8, 8, 3)), [0, 1, 0, 1], r"\(4, 8, 8, 3\)"),
        (np.zeros((4, 2)), np.eye(2)[[0, 1, 0, 1]], r"\(4, 2\) and \(4, 2\)"),
        (np.zeros((4, 2)), [0, 1], r"\(2,\)"),
        (np.zeros((4, 2)), ["cat"] * 4, "'cat'"),
        (np.zeros((4, 2)), [None] * 4, "numbers or names"),
        ("features.npy", [0, 1], "Received: 'features.npy'"),
        ([[1.0, 2.0], [3.0]], [0, 1], "one row an image"),
        ([[1.0, 2.0], [3.0, np.nan]], [0, 1], "1 of 2 images are not finite"),
    ],
)
def test_what_is_no_table_of_features_with_two_classes_is_refused(features, labels, message):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.linear_probe(features, labels)


@pytest.mark.parametrize(
    "option", [{"Cs": []}, {"Cs": 1.0}, {"Cs": [-1]}, {"folds": "5"}, {"class_weight": "balansed"}]
)
def test_an_option_that_cannot_be_used_is_named(option):
    ((name, value),) = option.items()
    with pytest.raises(tlkeras.InputError, match=f"{name}.*{re.escape(str(value))}"):
        tlkeras.linear_probe(np.eye(4), [0, 1, 0, 1], **option)
