"""The learning curve: fits that recover their parameters, measurements without leaks, and forecasts in plain words."""

import json
import sys

import numpy as np
import pytest
from scipy.optimize import curve_fit

import tlkeras
from tlkeras import InputError, LearningCurve, cli
from tlkeras.selection.curve_fits import FAMILIES, CurveFits, fit_curves
from tlkeras.selection.learning_curve import curve_of_features, probe_accuracy

SIZES = 45 * 2.0 ** (np.arange(-7, 1) / 2)

#: Asymptote, drop, exponent and shift or half.
TRUTHS = {
    "POW4": [(0.85, 0.9, 0.6, 2.0), (0.98, 0.8, 0.3, 1.0), (0.7, 0.5, 0.95, 4.0)],
    "MMF4": [(0.9, 0.7, 0.8, 9.0), (0.95, 0.6, 1.1, 20.0), (0.99, 0.9, 0.5, 30.0)],
}


def curve_of(family, truth):
    asymptote, drop, exponent, second = truth
    return CurveFits(family, np.array([asymptote]), np.array([drop]), np.log([[exponent, second]]))


@pytest.mark.parametrize(("family", "truth"), [(family, truth) for family, all_ in TRUTHS.items() for truth in all_])
def test_fits_recover_the_parameters_of_synthetic_curves(family, truth):
    fits = fit_curves(family, SIZES, curve_of(family, truth)(SIZES), polish=True)
    found = (*fits.asymptote, *fits.drop, *np.exp(fits.shape[0]))
    np.testing.assert_allclose(found, truth, rtol=0.01)
    coarse = fit_curves(family, SIZES, curve_of(family, truth)(SIZES))
    np.testing.assert_allclose(coarse(SIZES), curve_of(family, truth)(SIZES), atol=0.005)


def test_no_fit_has_a_smaller_loss_than_ours():
    """SciPy's own search, from the true parameters, is the oracle."""
    y = curve_of("POW4", TRUTHS["POW4"][0])(SIZES)[0] + np.random.default_rng(0).normal(0, 0.01, len(SIZES))

    def power(n, asymptote, drop, exponent, shift):
        return asymptote - drop * ((n + shift) / (1 + shift)) ** -exponent

    bounds = ([0, 0, 0.02, 0.01], [1, 10, 8, 200])
    best, _ = curve_fit(power, SIZES, y, p0=TRUTHS["POW4"][0], bounds=bounds)
    ours = fit_curves("POW4", SIZES, y, polish=True)
    assert ((ours(SIZES)[0] - y) ** 2).sum() <= 1.001 * ((power(SIZES, *best) - y) ** 2).sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_curves_never_fall_nor_end_above_1_whatever_was_measured(family):
    y = np.random.default_rng(0).random((50, len(SIZES)))
    fits = fit_curves(family, SIZES, y)
    assert (np.diff(fits(np.geomspace(2, 1000, 30)), axis=1) >= 0).all() and (fits.asymptote <= 1).all()


def clusters(per_class=24, distance=2.0, classes=3, seed=0):
    """Features of normal clusters, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    return rng.normal(size=(len(labels), 8)) + distance * np.eye(8)[labels], labels


@pytest.fixture(scope="module")
def curve():
    return curve_of_features(*clusters(), repeats=1)


def test_accuracy_is_measured_on_growing_shares_of_four_fifths_of_the_images(curve):
    np.testing.assert_allclose(curve.per_class[-1], 0.8 * 24)
    np.testing.assert_allclose(curve.per_class[1:] / curve.per_class[:-1], 2**0.5)
    assert curve.now == 24 and curve.per_class[0] >= 2.5
    assert curve.accuracy[0] < curve.accuracy[-1] > 0.8
    assert curve.accuracy[-1] == pytest.approx(probe_accuracy_of(clusters(), 1))


def probe_accuracy_of(data, repeats, groups=None):
    from tlkeras.pipelines.labeled import labeled_features

    return probe_accuracy(labeled_features(*data, groups), repeats)


def test_groups_are_on_one_side_and_labels_without_meaning_are_not_learned():
    rng = np.random.default_rng(1)
    twice = np.repeat(rng.normal(size=(60, 200)), 2, axis=0), np.repeat(rng.integers(0, 3, 60), 2)
    assert probe_accuracy_of(twice, 1) > 0.7  # a copy gives the label away
    assert probe_accuracy_of(twice, 1, np.repeat(np.arange(60), 2)) < 0.55


def test_standard_errors_are_those_of_a_share_and_grow_with_groups():
    right = np.random.default_rng(1).random((1, 8, 400)) < np.linspace(0.5, 0.8, 8)[:, None]
    alone = LearningCurve.fitted(SIZES, right, np.arange(400), now=50)
    expected = np.sqrt(alone.accuracy * (1 - alone.accuracy) / 400)
    np.testing.assert_allclose(alone.standard_error, expected, rtol=0.2)
    pairs = LearningCurve.fitted(SIZES, np.repeat(right, 2, axis=2), np.repeat(np.arange(400), 2), now=50)
    np.testing.assert_allclose(pairs.standard_error, expected, rtol=0.2)


def test_the_hindcast_knows_no_more_than_half_of_the_images():
    right = np.arange(200) < np.array([80, 95, 106, 116, 124, 130, 136, 140])[:, None]
    other = right.copy()
    other[6:] = np.arange(200) < 20
    known, changed = (LearningCurve.fitted(SIZES, r[None], np.arange(200), now=56).hindcast for r in (right, other))
    assert known.from_per_class == pytest.approx(22.5)
    assert known[:5] == changed[:5] and changed.measured == 0.1 and known.error == known.predicted - 0.7


def test_a_forecast_is_within_reach_and_its_interval_widens(curve):
    near, far = curve.forecast(30), curve.forecast(72)
    assert near.low <= near.accuracy <= near.high and far.high - far.low > near.high - near.low
    assert 0 <= curve.gain(24).accuracy <= 1 - curve.accuracy[-1]
    for call in (lambda: curve.forecast(73), lambda: curve.gain(49), lambda: curve.sentences(500)):
        with pytest.raises(InputError, match="at most 3 times the 24 available images per class"):
            call()


def test_it_says_in_words_and_numbers_what_more_images_would_bring(curve):
    gain, check = curve.sentences(20)
    assert gain.startswith("About 20 more images per class would raise the accuracy by ") and gain.endswith(").")
    assert check.startswith("Check on your images: from 10 per class, the same method predicts ")
    content = json.loads(json.dumps(curve.to_json(more=20)))
    assert content["gain"]["per_class"] == 20 and len(content["forecast"]) == 3
    assert repr(curve).splitlines()[0].split()[:3] == ["images", "per", "class"] and "3 times as many" in repr(curve)
    figure = curve.figure()
    axes, past = figure.axes[0], curve.hindcast
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training images per class", "accuracy (%)")
    names = axes.get_legend_handles_labels()[1]
    assert names[-1] == f"hindcast, from {past.from_per_class:.0f} per class" and check in figure.alt


def test_few_images_per_class_are_refused_with_the_class_and_the_reason():
    features, labels = clusters(per_class=12)
    groups = np.arange(len(labels))
    groups[:4] = 0
    with pytest.raises(
        InputError, match=r"10 distinct images per class\. Received: 9 of class '0'\. Curves from so few"
    ):
        curve_of_features(features, labels, groups)


def test_a_folder_is_refused_before_its_features_are_computed_and_several_labels_too(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(tlkeras.FeatureExtractor, "transform", lambda *_: pytest.fail("features were computed"))
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), "uint8")).save(tmp_path / name / f"{i}.png")
    with pytest.raises(InputError, match="Received: 4 of class 'cat'"):
        tlkeras.learning_curve(tmp_path, verbose=False)
    with pytest.raises(InputError, match="`repeats` must be"):
        tlkeras.learning_curve(tmp_path, repeats=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none"], "must be an existing folder"),
        (["{folder}", "--more", "-3"], "`more` must be a positive number"),
        (["{folder}", "--figure", "curve.gif"], "`--figure` must end in .png, .svg or .pdf"),
        (["{folder}", "--backbone", "resnet500"], "Did you mean 'resnet50'"),
    ],
)
def test_the_command_refuses_in_one_sentence_before_keras_is_loaded(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tlkeras.cli.forecasting.load_keras", lambda: pytest.fail("Keras was loaded"))
    monkeypatch.setattr(sys, "argv", ["tlkeras", "learning-curve", *(a.format(folder=tmp_path) for a in arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and message in error and error.count("\n") == 1
