"""The answer "none of these": distances against scikit-learn's, the promise of false alarms against fresh images."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import Normalizer, StandardScaler

import tlkeras
from tlkeras.evaluation import rejection


def clouds(per_class=40, classes=4, features=12, seed=0):
    """Draw clouds of points: features and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    centers = 4 * np.random.default_rng(9).normal(size=(classes, features))
    return centers[labels] + rng.normal(size=(len(labels), features)), labels


@pytest.mark.parametrize("features", [12, 400])  # fewer and more than images
def test_distances_are_those_of_scikit_learn_on_standardized_roots_of_length_one(features):
    X, y = clouds(features=features)
    new, _ = clouds(features=features, seed=1)
    roots, new_roots = (np.sign(one) * np.sqrt(np.abs(one)) for one in (X, new))
    scaler = StandardScaler().fit(roots)
    known, unseen = (Normalizer().transform(scaler.transform(one)) for one in (roots, new_roots))
    found = tlkeras.fit_rejection(X, y, score="knn").measure(new)
    distances, _ = NearestNeighbors(n_neighbors=1, metric="cosine").fit(known).kneighbors(unseen)
    np.testing.assert_allclose(found, distances[:, 0], atol=1e-5)
    found = tlkeras.fit_rejection(X, y, score="mahalanobis").measure(new)
    means = np.stack([known[y == one].mean(axis=0) for one in range(4)])
    oracle = LedoitWolf(assume_centered=True).fit(known - means[y])
    expected = np.min([oracle.mahalanobis(unseen - mean) for mean in means], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    rest = known - means[y]
    assert rejection.ledoit_wolf(rest, ((rest.T @ rest / len(rest)) ** 2).sum()) == pytest.approx(
        ledoit_wolf_shrinkage(rest, assume_centered=True)
    )


@pytest.mark.parametrize("score", ["knn", "mahalanobis"])
def test_false_alarms_on_fresh_images_are_those_promised_and_another_cloud_is_unknown(score):
    alarms, caught = [], []
    for seed in range(15):
        X, y = clouds(seed=seed)
        rejector = tlkeras.fit_rejection(X, y, score=score, false_alarms=0.1, seed=seed)
        fresh, _ = clouds(per_class=100, seed=100 + seed)
        alarms.append(rejector.is_unknown(fresh).mean())
        caught.append(rejector.is_unknown(clouds(classes=6, seed=seed)[0][-80:]).mean())
    assert 0.05 < np.mean(alarms) < 0.11  # the promise is an upper bound
    assert np.mean(caught) > 0.9


def test_each_class_is_measured_by_a_rejector_that_has_not_seen_it():
    X, y = clouds(per_class=30)
    report = tlkeras.fit_rejection(X, y, score="knn", class_names=["a", "b", "c", "d"]).report
    assert [one.name for one in report.classes] == ["a", "b", "c", "d"] and report.images == 120
    assert report.caught == pytest.approx(np.mean([one.caught for one in report.classes]))
    without = tlkeras.fit_rejection(X[y != 3], y[y != 3], score="knn")
    known = rejection.held_out_distances(rejection.labeled_features(X, y), "knn")[y != 3]
    unknown = without.measure(X[y == 3])
    truth = np.r_[np.zeros(90), np.ones(30)]
    assert report.classes[3].auroc == pytest.approx(roc_auc_score(truth, np.r_[known, unknown]))


def test_the_better_distance_is_chosen_and_reported_beside_the_other():
    X, y = clouds()
    report = tlkeras.fit_rejection(X, y).report
    assert set(report.auroc) == {"knn", "mahalanobis"} and report.score == max(report.auroc, key=report.auroc.get)


def test_a_rejector_saves_and_opens_and_a_damaged_file_is_named(tmp_path):
    X, y = clouds()
    rejector = tlkeras.fit_rejection(X, y)
    rejector.save(tmp_path / "rejection.npz")
    opened = tlkeras.Rejector.load(tmp_path / "rejection.npz")
    np.testing.assert_array_equal(opened.unknown_scores(X), rejector.unknown_scores(X))
    assert opened.report == rejector.report
    (tmp_path / "rejection.npz").write_bytes(b"PK")
    with pytest.raises(tlkeras.InputError, match="cannot be read as a rejector"):
        tlkeras.Rejector.load(tmp_path / "rejection.npz")
    with pytest.raises(tlkeras.InputError, match=r"must have shape \(images, 12\)"):
        rejector.unknown_scores(X[:, :3])


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (4, {}, "with 19 images or more. Received: 16"),
        (40, {"class_names": ["a"]}, "name the 4 classes"),
        (40, {"score": "energy"}, "`score` must be"),
        (40, {"false_alarms": 0}, "`false_alarms` must be"),
        (40, {"groups": np.arange(160) % 3}, "`folds` must be at most 3"),
        (40, {"groups": np.tile(np.arange(40), 4)}, "No class can be left out"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(images, options, words):
    X, y = clouds(per_class=images)
    with pytest.raises(tlkeras.InputError, match=words):
        tlkeras.fit_rejection(X, y, **options)
    with pytest.raises(tlkeras.InputError, match="two classes or more"):
        tlkeras.fit_rejection(X, np.zeros(len(X), int))
    with pytest.raises(tlkeras.InputError, match="one class per image"):
        tlkeras.fit_rejection(
            X, np.tile([[1, 0, 1], [0, 1, 1]], (len(X) // 2, 1)) * (np.arange(len(X)) % 3 > 0)[:, None]
        )
