"""Exercises of `11_deploy`: right answers of any kind pass, wrong ones do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, stays, right",
    [
        ("more than 90", 0.97, True),
        ("50 to 90", 0.7, True),
        ("less than 50", 0.2, True),
        ("more than 90", 0.7, False),
        ("less than 50", 0.97, False),
        ("all", 0.97, False),
    ],
)
def test_11_1_is_judged_by_what_was_measured(prediction, stays, right):
    if right:
        check("11.1", prediction, stays)
    else:
        with pytest.raises(NotYet):
            check("11.1", prediction, stays)


def _by_maximum(weights):
    largest = np.abs(weights).max(axis=0)
    scales = np.where(largest > 0, largest, 1) / 127
    return np.rint(weights / scales).astype(np.int8), scales


def _by_columns(weights):
    integers, scales = np.zeros(weights.shape, "int8"), []
    for index, column in enumerate(weights.T):
        scales.append(max(abs(column)) / 127 or 1.0)
        integers[:, index] = np.round(column / scales[-1])
    return integers, scales


def _keeping_dimensions(weights):
    scales = np.maximum(np.abs(weights).max(axis=0, keepdims=True), 1e-9) / 127
    return [np.round(weights / scales).astype("int8"), scales]


@pytest.mark.parametrize("answer", [_by_maximum, _by_columns, _keeping_dimensions])
def test_11_2_takes_any_quantization_by_column(answer):
    check("11.2", answer)


def _without_protection(weights):
    scales = np.abs(weights).max(axis=0) / 127
    return np.round(weights / scales).astype("int8"), scales


def _one_scale(weights):
    scale = np.abs(weights).max() / 127
    return np.round(weights / scale).astype("int8"), np.full(4, scale)


@pytest.mark.parametrize(
    "answer, hint",
    [
        (_one_scale, "off by more"),
        (_without_protection, "not positive"),
        (lambda weights: (np.round(weights * 127), np.ones(4) / 127), "dtype int8"),
        (lambda weights: (_by_maximum(weights)[0], 1.0), "one scale per column"),
        (lambda weights: np.round(weights), "pair"),
        (lambda weights: ..., "return"),
    ],
    ids=["one scale", "zero as a scale", "floats", "a number", "no scales", "stub"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_11_2_says_what_is_missing(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("11.2", answer)


def _exported(size, agreement):
    return SimpleNamespace(report={"bytes": size, "verified": {"agreement": agreement}})


RUN = SimpleNamespace(class_names=("bird", "boat"), model=SimpleNamespace(count_params=lambda: 1000))


@pytest.mark.parametrize("export", [_exported(2100, 1.0), _exported(1300, 0.96), _exported(2400, 0.95)])
def test_11_3_takes_small_files_that_answer_like_keras(export):
    check("11.3", export, RUN)


@pytest.mark.parametrize(
    "export, hint",
    [(_exported(4100, 1.0), "smaller"), (_exported(1100, 0.7), "more bits"), ("phone", "tlkeras.export")],
)
def test_11_3_says_what_is_missing(export, hint):
    with pytest.raises(NotYet, match=hint):
        check("11.3", export, RUN)
