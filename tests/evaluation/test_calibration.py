"""Calibration: the error against its definition, the temperature against scikit-learn's, the model against both."""

import keras
import numpy as np
import pytest
import sklearn
from packaging.version import Version
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

import tlkeras
from tlkeras.evaluation.calibration import scale_temperature
from tlkeras.evaluation.temperature import cross_fitted
from tlkeras.runs.trust import trust_text


def answers(images=2000, classes=4, sharpness=1.0, seed=0):
    """Draw labels from probabilities, and return them with the probabilities sharpened."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (images, classes))
    labels = np.array([rng.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return labels, softmax(logits * sharpness, axis=1)


def test_the_error_is_the_mean_distance_of_confidence_and_accuracy_in_bins():
    labels, probabilities = answers(300)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert tlkeras.expected_calibration_error(labels, probabilities, bins=15) == pytest.approx(expected)
    found = tlkeras.reliability(labels, probabilities, bins=15)
    assert found.expected_calibration_error == pytest.approx(expected)
    parts = [one.images * abs(one.confidence - one.accuracy) for one in found.bins if one.images]
    assert sum(parts) / 300 == pytest.approx(expected) and sum(one.images for one in found.bins) == 300


def test_a_perfect_classifier_shows_about_the_error_called_noise_and_an_overconfident_one_more():
    errors = [tlkeras.expected_calibration_error(*answers(300, seed=seed)) for seed in range(40)]
    assert np.mean(errors) == pytest.approx(tlkeras.reliability(*answers(300)).noise, rel=0.15)
    sharp = tlkeras.reliability(*answers(300, sharpness=4))
    assert sharp.interval[0] > sharp.noise and sharp.confidence > sharp.accuracy


def test_chance_alone_exceeds_the_limits_once_in_twenty_times():
    found = [tlkeras.reliability(*answers(120, seed=seed), resamples=200) for seed in range(300)]
    far = [one.expected_calibration_error > one.noise_limit for one in found]
    excluded = [not one.overconfidence[0] <= 0 <= one.overconfidence[1] for one in found]
    assert np.mean(far) == pytest.approx(0.05, abs=0.03) and np.mean(excluded) == pytest.approx(0.05, abs=0.03)
    sharp = tlkeras.reliability(*answers(300, sharpness=4))
    assert sharp.overconfidence[0] > 0 and sharp.expected_calibration_error > sharp.noise_limit
    labels, probabilities = answers(50)
    gaps = probabilities.max(axis=1) - (probabilities.argmax(axis=1) == labels)
    half = 1.96 * gaps.std(ddof=1) / np.sqrt(50)
    expected = [gaps.mean() - half, gaps.mean() + half]
    assert tlkeras.reliability(labels, probabilities).to_dict()["overconfidence"] == pytest.approx(expected)


def test_the_summary_warns_of_probabilities_only_where_chance_does_not_explain_them():
    def sentences(sharpness, **more):
        found = tlkeras.reliability(*answers(400, sharpness=sharpness)).to_dict()
        metrics = {"calibration": {"temperature": None, "before": found, "after": None} | more}
        return " ".join(trust_text(metrics)), found

    assert sentences(1)[0] == ""
    assert "The probabilities are miscalibrated" in sentences(2)[0]
    assert "The probabilities are miscalibrated" in sentences(0.5)[0]
    calibrated = sentences(1)[1]
    assert "can be due to chance with 400 images" in sentences(1, temperature=1.05, after=calibrated)[0]
    assert "is expected by chance" in sentences(2, temperature=2.0, after=calibrated)[0]


def test_the_interval_of_grouped_images_is_wider():
    labels, probabilities = answers(100, sharpness=2)
    copies = np.repeat(np.arange(100), 9)
    alone = tlkeras.reliability(labels[copies], probabilities[copies]).interval
    grouped = tlkeras.reliability(labels[copies], probabilities[copies], groups=copies).interval
    assert np.diff(grouped) > 2 * np.diff(alone)


@pytest.mark.skipif(Version(sklearn.__version__) < Version("1.8"), reason="temperatures are new in scikit-learn 1.8")
def test_the_temperature_is_that_of_scikit_learn():
    X, y = make_classification(900, 20, n_informative=6, n_classes=3, flip_y=0.3, random_state=0)
    sharp = LogisticRegression(C=1000, max_iter=2000).fit(X[:60], y[:60])
    oracle = CalibratedClassifierCV(FrozenEstimator(sharp), method="temperature").fit(X[60:], y[60:])
    temperature = tlkeras.fit_temperature(y[60:], sharp.predict_proba(X[60:]))
    assert temperature == pytest.approx(1 / oracle.calibrated_classifiers_[0].calibrators[0].beta_, rel=1e-4)
    scaled = scale_temperature(sharp.predict_proba(X), temperature)
    np.testing.assert_allclose(scaled, oracle.predict_proba(X), atol=1e-5)


def test_an_image_does_not_choose_its_own_temperature():
    labels, probabilities = answers(200, sharpness=3)
    changed = labels.copy()
    changed[0] = (labels[0] + 1) % 4
    first, second = (cross_fitted(one, probabilities)[0] for one in (labels, changed))
    np.testing.assert_array_equal(first, second)
    before, after = (tlkeras.reliability(labels, one) for one in (probabilities, cross_fitted(labels, probabilities)))
    assert (
        after.expected_calibration_error < before.expected_calibration_error / 2 and after.accuracy == before.accuracy
    )


@pytest.mark.backends
@pytest.mark.parametrize("ending", ["dense", "softmax layer"])
def test_a_calibrated_model_gives_scaled_probabilities_the_same_classes_and_opens_with_keras_alone(ending, tmp_path):
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    if ending == "dense":
        outputs = keras.layers.Dense(3, activation="softmax")(hidden)
    else:
        outputs = keras.layers.Softmax()(keras.layers.Dense(3)(hidden))
    model = keras.Model(inputs, outputs)
    X = 6 * np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
    y = np.random.default_rng(1).integers(0, 3, 200)
    before = model.predict(X, verbose=0)
    result = tlkeras.calibrate(model, X, y)
    after = model.predict(X, verbose=0)
    np.testing.assert_allclose(after, scale_temperature(before, result.temperature), atol=1e-5)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
    assert result.temperature == pytest.approx(tlkeras.fit_temperature(y, before)) and result.temperature > 2
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras").predict(X, verbose=0), after)


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ([0, 1], [[0.5, 0.5]], "must have the shapes"),
        ([[0, 1]], [[0.5, 0.5]], "one label per image"),
        ([2], [[0.5, 0.5]], "from 0 to 1"),
        ([0], [[3.0, -1.0]], "Apply a softmax"),
        ([0], [[0.9, 0.9]], "sum to 1"),
        ([], np.zeros((0, 2)), "must have the shapes"),
    ],
)
def test_what_is_not_probabilities_is_refused(labels, probabilities, words):
    with pytest.raises(tlkeras.InputError, match=words):
        tlkeras.fit_temperature(labels, probabilities)


def test_a_model_without_a_softmax_and_a_run_without_validation_images_are_refused():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(inputs))
    with pytest.raises(tlkeras.InputError, match="must not be empty"):
        tlkeras.calibrate(model, np.zeros((0, 2)), [])
    for activation in ("sigmoid", None):
        model = keras.Model(inputs, keras.layers.Dense(3, activation=activation)(inputs))
        with pytest.raises(tlkeras.InputError, match="`model` must end in a softmax"):
            tlkeras.calibrate(model, np.zeros((4, 2)), [0, 1, 2, 0])


def test_a_reliability_diagram_shows_each_measurement_in_a_panel():
    labels, probabilities = answers(200, sharpness=3)
    found = tlkeras.reliability(labels, probabilities)
    figure = tlkeras.reliability_figure({"before": found, "after": tlkeras.reliability(*answers(200))})
    assert len(figure.axes) == 4
    assert "before: error" in figure.alt
    assert figure.axes[0].get_title() == f"before: error {found.expected_calibration_error:.3f}"
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([one.accuracy for one in found.bins if one.images])
