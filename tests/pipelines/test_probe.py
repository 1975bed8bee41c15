"""The probe chooses C on the training images alone."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import tlkeras
from tlkeras.pipelines.fold import folded_weights
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.regularization import DEFAULT_CS, cross_validated_path


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1, user_api="blas"):
        yield


def held_out_losses(X, y, Cs, folds, class_weight=None):
    data = labeled_features(X, y)
    return cross_validated_path(data, data.deal_folds(folds, seed=0), Cs, class_weight)[1]


def test_equals_scikit_learn_with_the_chosen_C():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = make_classification(200, 50, n_informative=10, n_classes=3, random_state=0)
    probe = tlkeras.linear_probe(X, y)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=probe[-1].C, max_iter=2000)).fit(X, y)
    np.testing.assert_allclose(probe.predict_proba(X), plain.predict_proba(X), atol=1e-6)


def test_small_standard_deviations_are_raised_to_a_tenth_of_the_median():
    X, y = make_classification(200, 50, n_informative=10, n_classes=3, random_state=0)
    X[:, 7:11] *= 1e-6
    X[:, 11] = 3
    deviations = X.std(axis=0)
    deviations = np.maximum(deviations, 0.1 * np.median(np.delete(deviations, [7, 8, 9, 10, 11])))
    scaled = (X - X.mean(axis=0)) / deviations
    for estimator in ("logistic", "lda"):
        probe = tlkeras.linear_probe(X, y, estimator=estimator)
        np.testing.assert_allclose(probe[0].scale_, deviations, rtol=0.03)  # the median counts features 7 to 10 in
        np.testing.assert_allclose(probe[0].transform(X), scaled, atol=0.2)
        kernel, bias = folded_weights(probe[:1], probe[-1])
        logits = X @ kernel + bias
        answers = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(answers / answers.sum(axis=1, keepdims=True), probe.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("estimator", ["logistic", "lda"])
def test_a_feature_that_is_almost_dead_in_training_does_not_decide_alone(estimator):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = rng.normal(size=(120, 40)) + 1.5 * np.eye(3)[y] @ rng.normal(size=(3, 40))
    X[:, 0] = 0
    X[0, 0] = 1e-3  # in one image of class 0
    image = X[[1]] + 0.5 * np.eye(40)[:1]
    probe = tlkeras.linear_probe(X, y, estimator=estimator)
    raw = (image[0, 0] - X[:, 0].mean()) / X[:, 0].std()
    assert raw > 1000 > 10 > probe[0].transform(image)[0, 0]
    assert probe.predict(image) == y[1]
    np.testing.assert_allclose(probe.predict_proba(image), probe.predict_proba(X[[1]]), atol=0.1)


def test_weights_of_classes_count_as_copies_of_their_images():
    X, y = make_classification(60, 5, n_informative=4, n_redundant=0, random_state=0)
    Cs, twice = (0.01, 1.0), np.r_[np.flatnonzero(y == 1), np.arange(len(y))]
    weighted = tlkeras.linear_probe(X, y, Cs=(1.0,), class_weight={0: 1, 1: 2})[-1]
    scaled = (X - X.mean(0)) / X.std(0)
    copied = LogisticRegression(C=1.0, max_iter=2000).fit(scaled[twice], y[twice])
    np.testing.assert_allclose(weighted.coef_, copied.coef_, atol=1e-3)
    balanced = held_out_losses(X, y, Cs, 3, "balanced")
    assert not np.allclose(balanced, held_out_losses(X, y, Cs, 3, {0: 1, 1: 9}))


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
    losses = held_out_losses(X, y, DEFAULT_CS, 5)
    reached = np.isfinite(losses)
    assert reached[: losses.argmin() + 2].all()
    expected = -search.cv_results_["mean_test_score"][reached]
    np.testing.assert_allclose(losses[reached], expected, rtol=0.02)  # neither has quite converged


def test_noise_gets_a_stronger_penalty_than_signal():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    noise = rng.normal(size=(200, 100))
    signal = np.c_[y * 6 + rng.normal(size=200), noise[:, 1:]]
    assert tlkeras.linear_probe(noise, y)[-1].C < tlkeras.linear_probe(signal, y)[-1].C


def test_a_clearly_higher_loss_ends_the_fits_and_a_rise_within_the_noise_does_not():
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(400, 100)), np.arange(400) % 2
    assert np.isfinite(held_out_losses(noise, y, (1e-4, 1.0, 10.0), 5)).tolist() == [True, True, False]
    few, steps = noise[:20, :2], (1e-4, 1.1e-4, 1.2e-4, 1.3e-4)  # every loss is about the same
    assert np.isfinite(held_out_losses(few, y[:20], steps, 2))[:3].all()


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
        (np.zeros((4, 2)), np.eye(2)[[0, 1, 0, 1]], "argmax"),
        (np.zeros((4, 2)), np.full((4, 2), 0.5), "zeros and ones"),
        (np.zeros((4, 2)), [[0, 1], [1, 1], [0, 1], [0, 1]], r"the columns \[1\]"),
        (np.zeros((4, 2)), [0, 1], r"\(2,\)"),
        (np.zeros((4, 2)), ["cat"] * 4, "'cat'"),
        (np.zeros((4, 2)), ["cat", None, "dog", "dog"], r"without a label \(1\)"),
        (np.zeros((4, 2)), [0, 1, np.nan, np.nan], r"without a label \(2\)"),
        (np.zeros((4, 2)), [0, 1, -1, 1], "-1 means a missing label"),
        (np.zeros((4, 2)), [0.1, 0.5, 0.2, 0.9], "use a regressor"),
        (np.zeros((4, 2)), np.array([0, "cat", 1, "dog"], object), "not a mixture"),
        ("features.npy", [0, 1], "Received: 'features.npy'"),
        ([[1.0, 2.0], [3.0]], [0, 1], "numeric array of shape"),
        ([[1.0, 2.0], [3.0, np.nan]], [0, 1], "1 of 2 rows with NaN"),
    ],
)
def test_what_is_no_table_of_features_with_two_classes_is_refused(features, labels, message):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.linear_probe(features, labels)


@pytest.mark.parametrize(
    "option", [{"Cs": []}, {"Cs": 1.0}, {"Cs": [-1]}, {"Cs": "1"}, {"folds": "5"}, {"class_weight": "balansed"}]
)
def test_an_option_that_cannot_be_used_is_named(option):
    ((name, _),) = option.items()
    with pytest.raises(tlkeras.InputError, match=f"`{name}` must be .* Received: {name}="):
        tlkeras.linear_probe(np.eye(4), [0, 1, 0, 1], **option)


def test_images_of_a_group_do_not_choose_C_for_one_another():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 30)).repeat(3, axis=0)  # noise: copies in other folds look like signal
    y, copies = y.repeat(3), np.arange(60).repeat(3)
    assert tlkeras.linear_probe(X, y, groups=copies)[-1].C < tlkeras.linear_probe(X, y)[-1].C
    assert tlkeras.linear_probe(X, y, groups=np.full(180, None))[-1].C == tlkeras.linear_probe(X, y)[-1].C


def test_several_labels_per_image_are_regressions_that_share_a_C():
    X, y = make_classification(120, 10, n_informative=8, n_classes=3, random_state=0)
    Y = np.c_[y == 0, y == 1, X[:, 0] > 0].astype(int)
    probe = tlkeras.linear_probe(X, Y)
    C, scaled = probe[-1].estimator.C, (X - X.mean(0)) / X.std(0)
    for label in range(3):
        alone = LogisticRegression(C=C, max_iter=2000).fit(scaled, Y[:, label])
        np.testing.assert_allclose(probe.predict_proba(X)[:, label], alone.predict_proba(scaled)[:, 1], atol=1e-3)


@pytest.mark.parametrize(("images", "columns", "classes"), [(60, 150, 3), (60, 150, 2), (200, 30, 4)])
def test_lda_is_scikit_learns_but_for_its_temperature(images, columns, classes):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    X, y = make_classification(images, columns, n_informative=8, n_classes=classes, random_state=0)
    probe = tlkeras.linear_probe(X, y, estimator="lda")
    scaled = probe[0].transform(X)
    plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(scaled, y)
    np.testing.assert_allclose(probe[-1].coef_ * probe[-1].temperature, plain.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(probe[-1].intercept_ * probe[-1].temperature, plain.intercept_, rtol=1e-7, atol=1e-9)
    balanced = tlkeras.linear_probe(X, y, estimator="lda", class_weight="balanced")
    np.testing.assert_allclose(balanced[-1].priors_, 1 / classes)


def test_the_temperature_of_lda_makes_its_confidence_that_of_new_images():
    X, y = make_classification(1200, 300, n_informative=20, n_classes=3, class_sep=0.7, random_state=0)
    probe = tlkeras.linear_probe(X[:200], y[:200], estimator="lda")
    answers = probe.predict_proba(X[200:])
    confidence, accuracy = answers.max(axis=1).mean(), (answers.argmax(axis=1) == y[200:]).mean()
    assert probe[-1].temperature > 1.5 and abs(confidence - accuracy) < 0.08
    measured = tlkeras.cross_validate_probe(X[:200], y[:200], estimator="lda")
    assert abs(measured.accuracy - accuracy) < 0.08


def test_lda_learns_from_two_images_per_class():
    """The shrinkage of two images is 0 by its formula; what rounding leaves of it must not be divided by."""
    for seed in range(30):  # it happens in one of ten
        X, y = np.random.default_rng(seed).normal(size=(8, 700)), np.repeat(np.arange(4), 2)
        probe = tlkeras.linear_probe(X, y, estimator="lda", folds=1)
        assert np.isfinite(probe[-1].coef_).all() and (probe.predict(X) == y).all()


def test_lda_knows_one_label_per_image():
    with pytest.raises(tlkeras.InputError, match="estimator"):
        tlkeras.linear_probe(np.eye(4), np.array([[1, 0], [0, 1], [1, 1], [0, 0]]), estimator="lda")
    with pytest.raises(tlkeras.InputError, match="estimator"):
        tlkeras.linear_probe(np.eye(4), [0, 1, 0, 1], estimator="svm")


def test_a_single_C_is_used_as_it_is():
    assert tlkeras.linear_probe(np.eye(4), [0, 1, 0, 1], Cs=[3.0], folds=1)[-1].C == 3.0
