"""Exercises of `09_domain_shift`: right answers of any kind pass, wrong ones do not."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from tlkeras.evaluation.domains import DomainDistance
from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, interval, right",
    [
        ("more than 15", (0.1, 0.3), True),
        ("5 to 15", (0.1, 0.3), True),
        ("less than 5", (0.013, 0.146), True),
        ("less than 5", (0.1, 0.3), False),
        ("more than 15", (0.013, 0.146), False),
        ("5 to 15", (-0.02, 0.04), False),
        ("a lot", (0.1, 0.3), False),
        (..., (0.1, 0.3), False),
    ],
)
def test_09_1_takes_every_answer_that_the_interval_touches(prediction, interval, right):
    comparison = SimpleNamespace(difference=float(np.mean(interval)), interval=interval)
    if right:
        check("09.1", prediction, comparison)
    else:
        with pytest.raises(NotYet):
            check("09.1", prediction, comparison)


def _by_where(source, target):
    spread = target.std(axis=0)
    factor = np.where(spread > 0, source.std(axis=0) / np.maximum(spread, 1e-12), 1.0)
    return (target - target.mean(axis=0)) * factor + source.mean(axis=0)


def _by_scikit_learn(source, target):
    return StandardScaler().fit(source).inverse_transform(StandardScaler().fit_transform(target))


def _by_columns(source, target):
    columns = []
    for a, b in zip(source.T, target.T, strict=True):
        columns.append((b - b.mean()) / (b.std() + 1e-9) * a.std() + a.mean())
    return np.array(columns).T.tolist()


@pytest.mark.parametrize("answer", [_by_where, _by_scikit_learn, _by_columns])
def test_09_2_takes_any_function_that_matches_both_moments(answer):
    check("09.2", answer)


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda source, target: target - target.mean(axis=0) + source.mean(axis=0), "standard deviations"),
        (lambda source, target: (target - target.mean(0)) / target.std(0) * source.std(0) + source.mean(0), "NaN"),
        (lambda source, target: source[: len(target)], "means"),
        (lambda source, target: ..., "return"),
        (_by_where(np.zeros((2, 1)), np.ones((2, 1))), "function"),
    ],
    ids=["only shifted", "divides by zero", "the source", "stub", "array"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_09_2_says_what_is_missing(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("09.2", answer)


@pytest.mark.parametrize(
    "verdict, interval, right",
    [
        ("shifted", (1.2, 1.8), True),
        ("same", (0.0, 0.3), True),
        ("same", (0.1, 0.4), True),
        ("same", (1.2, 1.8), False),
        ("shifted", (0.0, 0.3), False),
        ("maybe", (0.0, 0.3), False),
    ],
)
def test_09_3_compares_the_verdict_with_the_interval(verdict, interval, right):
    distance = DomainDistance(float(np.mean(interval)), interval, 0.5 - np.mean(interval) / 4)
    if right:
        check("09.3", verdict, distance)
    else:
        with pytest.raises(NotYet):
            check("09.3", verdict, distance)


def test_09_3_wants_a_distance():
    with pytest.raises(NotYet, match="domain_distance"):
        check("09.3", "same", 0.4)
