"""Scores of several labels per image agree with scikit-learn's, and thresholds are never chosen on what they decide."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from tlkeras.evaluation.several_labels import best_thresholds, score_labels

LABELS = np.random.default_rng(0).random((200, 3)) < (0.5, 0.2, 0.1)
NOISY = 0.3 * LABELS + 0.7 * np.random.default_rng(1).random((200, 3))


def test_average_precision_is_that_of_scikit_learn_and_chance_is_the_share_of_each_label():
    scores = score_labels(LABELS, NOISY, "abc")
    areas = average_precision_score(LABELS, NOISY, average=None)
    assert [one.average_precision for one in scores.labels] == pytest.approx(areas)
    assert scores.mean_average_precision == pytest.approx(areas.mean())
    assert scores.chance == pytest.approx(LABELS.mean())
    assert [one.images for one in scores.labels] == LABELS.sum(axis=0).tolist()


def test_no_threshold_has_a_higher_f1_than_the_one_chosen():
    for label, share, chosen in zip(LABELS.T, NOISY.T, best_thresholds(LABELS, NOISY), strict=True):
        best = max(f1_score(label, share >= edge) for edge in share)
        assert f1_score(label, share >= chosen) == pytest.approx(best)


def test_thresholds_that_fit_their_own_noise_gain_nothing():
    noise = np.random.default_rng(2).random(LABELS.shape)
    chosen_on_themselves = f1_score(LABELS, noise >= best_thresholds(LABELS, noise), average="macro")
    assert score_labels(LABELS, noise, "abc").mean_f1 < chosen_on_themselves


def test_a_label_that_no_image_has_has_no_scores_and_lowers_no_mean():
    scores = score_labels(LABELS & (True, True, False), NOISY * (1, 1, 0.1), "abc")
    empty = scores.labels[2]
    assert (empty.average_precision, empty.recall, empty.f1, empty.threshold) == (None, None, None, 0.5)
    known = score_labels(LABELS[:, :2], NOISY[:, :2], "ab")
    assert (scores.mean_average_precision, scores.mean_f1, scores.chance) == (
        known.mean_average_precision,
        known.mean_f1,
        known.chance,
    )


def test_the_standard_error_is_that_of_the_images_share_of_right_labels_and_never_zero():
    decided = NOISY >= 0.5
    shares = (decided == LABELS).mean(axis=1)
    scores = score_labels(LABELS, NOISY, "abc", thresholds=[0.5] * 3)
    assert scores.standard_error == pytest.approx(shares.std(ddof=1) / np.sqrt(200), rel=0.1)
    twice = score_labels(LABELS.repeat(2, 0), NOISY.repeat(2, 0), "abc", np.arange(200).repeat(2), thresholds=[0.5] * 3)
    assert twice.standard_error == pytest.approx(scores.standard_error, rel=0.05)
    perfect = score_labels(LABELS[:20], LABELS[:20], "abc")
    assert perfect.accuracy == 1 and perfect.standard_error == pytest.approx(np.sqrt(1 / 12 * 11 / 12 / 23))
