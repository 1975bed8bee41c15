"""A probe learns from unlabeled images too, and is always compared with one that does not."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

import tlkeras
from tlkeras.adaptation.self_train import _Regressions
from tlkeras.pipelines.fold import folded_weights


@pytest.fixture(scope="module")
def two_moons():
    from sklearn.datasets import make_moons

    points, labels = make_moons(400, noise=0.06, random_state=0)
    # Distances along the moons show only in more dimensions than two.
    wide = np.random.default_rng(0).normal(size=(2, 300))
    features = np.cos(2 * points @ wide + np.arange(300))
    return features[:24], np.array(["up", "down"])[labels[:24]], features[24:], np.array(["up", "down"])[labels[24:]]


def test_spreading_over_neighbors_gains_where_classes_are_connected(two_moons):
    features, labels, unlabeled, hidden = two_moons
    result = tlkeras.self_train(features, labels, unlabeled)
    shares = [(one.predict(unlabeled) == hidden).mean() for one in (result.probe, result.labeled_only)]
    assert shares[0] > shares[1] + 0.02
    assert (result.probe.predict_proba(unlabeled) == result.probabilities).all()
    rows, pseudo = result.pseudo_labels()
    assert (result.probabilities[rows].max(axis=1) >= 0.8).all() and set(pseudo) <= {"up", "down"}
    assert (pseudo == hidden[rows]).mean() >= shares[0] - 0.01
    kernel, _ = folded_weights([result.probe[0]], result.probe[1])  # so `tlkeras.fold` takes it
    assert kernel.shape == (300, 2)


def test_it_is_shown_beside_the_probe_of_labeled_images_only(two_moons):
    features, labels, unlabeled, _ = two_moons
    result = tlkeras.self_train(features, labels, unlabeled)
    alone = tlkeras.linear_probe(features, labels)
    assert (result.labeled_only.predict_proba(unlabeled) == alone.predict_proba(unlabeled)).all()
    assert f"labeled only {result.accuracy[1]:.3f}" in str(result)
    assert ("Use the self-trained probe" in str(result)) == result.better


def test_labels_that_mean_nothing_show_no_gain():
    rng = np.random.default_rng(0)
    result = tlkeras.self_train(rng.normal(size=(60, 20)), np.arange(60) % 3, rng.normal(size=(100, 20)))
    assert not result.better and "No clear gain" in str(result)


def test_the_threshold_method_is_that_of_scikit_learn(two_moons):
    features, labels, unlabeled, _ = two_moons
    result = tlkeras.self_train(features, labels, unlabeled, method="threshold", threshold=0.9)
    scaler, regression = result.labeled_only
    numbers = np.concatenate([np.unique(labels, return_inverse=True)[1], np.full(len(unlabeled), -1)])
    theirs = SelfTrainingClassifier(LogisticRegression(C=regression.C, max_iter=2000), threshold=0.9)
    theirs.fit(scaler.transform(np.concatenate([features, unlabeled])), numbers)
    np.testing.assert_allclose(result.probabilities, theirs.predict_proba(scaler.transform(unlabeled)), atol=1e-6)


def test_fewer_images_than_features_give_the_regression_of_all_features():
    rng = np.random.default_rng(0)
    known, others, numbers = rng.normal(size=(9, 40)), rng.normal(size=(6, 40)), np.arange(9) % 3
    believed = rng.dirichlet(np.ones(3), 6)
    ours = _Regressions(LogisticRegression(C=0.5, max_iter=2000), known, numbers, others)(believed)
    weights = np.concatenate([np.ones(9), believed.max(axis=1)])
    theirs = LogisticRegression(C=0.5 * 9 / weights.sum(), max_iter=2000)
    theirs.fit(np.concatenate([known, others]), np.concatenate([numbers, believed.argmax(axis=1)]), weights)
    np.testing.assert_allclose(ours.predict_proba(others), theirs.predict_proba(others), atol=1e-3)


def test_arguments_that_cannot_be_used_are_refused(two_moons):
    features, labels, unlabeled, _ = two_moons
    for wrong, message in (
        ({"method": "magic"}, "`method` must be 'spread' or 'threshold'"),
        ({"threshold": 0}, "`threshold` must be a number in"),
        ({"unlabeled": unlabeled[:, :5]}, r"shape \(images, 300\)"),
        ({"unlabeled": np.full((3, 300), np.nan)}, "finite numbers"),
        ({"labels": labels[:3]}, "one row per image"),
    ):
        arguments = {"features": features, "labels": labels, "unlabeled": unlabeled, **wrong}
        with pytest.raises(tlkeras.InputError, match=message):
            tlkeras.self_train(**arguments)
