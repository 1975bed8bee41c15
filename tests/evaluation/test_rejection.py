"""The answer "none of these": neighbors against scikit-learn's, the promise of false alarms against fresh images."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import Normalizer, StandardScaler

import tlkeras


def clouds(per_class=40, classes=4, features=12, seed=0):
    """Draw clouds of points: features and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    centers = 4 * np.random.default_rng(9).normal(size=(classes, features))
    return centers[labels] + rng.normal(size=(len(labels), features)), labels


def embedded(known, new):
    """Standardize the roots of features and scale them to length 1, by scikit-learn."""
    roots, new_roots = (np.sign(one) * np.sqrt(np.abs(one)) for one in (known, new))
    scaler = StandardScaler().fit(roots)
    return [Normalizer().transform(scaler.transform(one)) for one in (roots, new_roots)]


def nearest(known, new):
    """Measure the cosine distance of each row from the nearest other one, by scikit-learn."""
    return NearestNeighbors(n_neighbors=1, metric="cosine").fit(known).kneighbors(new)[0][:, 0]


def test_the_score_is_the_share_of_known_images_that_lie_nearer_to_the_others_outside_their_group():
    X, y = clouds(per_class=15)
    new, _ = clouds(per_class=5, seed=1)
    known, unseen = embedded(X, new)
    for groups in (np.arange(60), np.arange(60) // 2):
        rejector = tlkeras.fit_rejection(X, y, groups=groups)
        others = np.sort([nearest(known[groups != groups[row]], known[[row]])[0] for row in range(60)])
        np.testing.assert_allclose(rejector.distances, others, atol=1e-5)
        nearer = (others < nearest(known, unseen)[:, None] - 1e-6).sum(axis=1)
        np.testing.assert_allclose(rejector.unknown_scores(new), nearer / 61, atol=1e-6)


def test_false_alarms_on_fresh_images_are_those_promised_and_another_cloud_is_unknown():
    alarms, caught = [], []
    for seed in range(20):
        X, y = clouds(seed=seed)
        rejector = tlkeras.fit_rejection(X, y, false_alarms=0.1, seed=seed)
        fresh, _ = clouds(per_class=100, seed=100 + seed)
        alarms.append(rejector.is_unknown(fresh).mean())
        caught.append(rejector.is_unknown(clouds(classes=6, seed=seed)[0][-80:]).mean())
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.015)
    assert np.mean(caught) > 0.8


def test_each_class_is_measured_by_a_rejector_that_has_not_seen_it():
    X, y = clouds(per_class=30)
    report = tlkeras.fit_rejection(X, y, class_names=["a", "b", "c", "d"]).report
    assert [one.name for one in report.classes] == ["a", "b", "c", "d"] and report.images == 120
    assert report.caught == pytest.approx(np.mean([one.caught for one in report.classes]))
    known, unknown = embedded(X[y != 3], X[y == 3])
    inner = [nearest(np.delete(known, row, axis=0), known[[row]])[0] for row in range(90)]
    expected = roc_auc_score(np.repeat([0, 1], [90, 30]), np.r_[inner, nearest(known, unknown)])
    assert report.classes[3].auroc == pytest.approx(expected, abs=1e-3)
    assert report.auroc == pytest.approx(np.mean([one.auroc for one in report.classes]))


def test_a_rejector_saves_and_opens_and_a_damaged_file_is_named(tmp_path):
    X, y = clouds()
    rejector = tlkeras.fit_rejection(X, y)
    rejector.save(tmp_path / "rejection.npz")
    opened = tlkeras.Rejector.load(tmp_path / "rejection.npz")
    np.testing.assert_array_equal(opened.unknown_scores(X), rejector.unknown_scores(X))
    assert opened.report == rejector.report
    arrays = dict(np.load(tmp_path / "rejection.npz"))
    np.savez(tmp_path / "rejection.npz", folds=np.zeros(len(X)), **arrays)  # as before the jackknife
    with pytest.raises(tlkeras.InputError, match=r"earlier version.*Fit the rejector again with `tlkeras fit"):
        tlkeras.Rejector.load(tmp_path / "rejection.npz")
    (tmp_path / "rejection.npz").write_bytes(b"PK")
    with pytest.raises(tlkeras.InputError, match="cannot be read as a rejector"):
        tlkeras.Rejector.load(tmp_path / "rejection.npz")
    with pytest.raises(tlkeras.InputError, match=r"must have the shape \(images, 12\)"):
        rejector.unknown_scores(X[:, :3])


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (4, {}, "needs at least 19 images. Received: 16"),
        (40, {"class_names": ["a"]}, "name each of the 4 classes"),
        (40, {"false_alarms": 0}, "`false_alarms` must be"),
        (40, {"groups": np.tile(np.arange(40), 4)}, "No class can be left out"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(images, options, words):
    X, y = clouds(per_class=images)
    with pytest.raises(tlkeras.InputError, match=words):
        tlkeras.fit_rejection(X, y, **options)
    with pytest.raises(tlkeras.InputError, match="at least two classes"):
        tlkeras.fit_rejection(X, np.zeros(len(X), int))
    with pytest.raises(tlkeras.InputError, match="one class per image"):
        tlkeras.fit_rejection(
            X, np.tile([[1, 0, 1], [0, 1, 1]], (len(X) // 2, 1)) * (np.arange(len(X)) % 3 > 0)[:, None]
        )
