"""Exercises of `10_few_and_dirty_labels`: right answers of any kind pass, wrong ones do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, more, right",
    [
        ("about equal", 0.01, True),
        ("lower", -0.05, True),
        ("higher", 0.03, True),
        ("about equal", 0.03, True),
        ("lower", 0.01, False),
        ("about equal", -0.08, False),
        ("worse", -0.08, False),
        (..., 0.0, False),
    ],
)
def test_10_1_is_judged_by_what_was_measured(prediction, more, right):
    random = np.array([0.6, 0.7])
    if right:
        check("10.1", prediction, random + more, random)
    else:
        with pytest.raises(NotYet):
            check("10.1", prediction, random + more, random)


def _own(labels, probabilities):
    return np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]


def _by_arrays(labels, probabilities):
    own = _own(labels, probabilities)
    return np.array([row for row in np.argsort(own) if probabilities[row].argmax() != labels[row]])


def _by_sorting(labels, probabilities):
    pairs = [(p[label], row) for row, (label, p) in enumerate(zip(labels, probabilities, strict=True))]
    return [row for own, row in sorted(pairs) if own < probabilities[row].max()]


def _by_masking(labels, probabilities):
    own = probabilities[np.arange(len(labels)), labels]
    agree = probabilities.argmax(axis=1) == labels
    return tuple(np.argsort(np.where(agree, 2.0, own))[: (~agree).sum()].tolist())


@pytest.mark.parametrize("answer", [_by_arrays, _by_sorting, _by_masking])
def test_10_2_takes_any_function_with_the_right_order(answer):
    check("10.2", answer)


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda labels, p: np.argsort(_own(labels, p)), "most probable"),
        (lambda labels, p: np.argsort(_own(labels, p))[: (p.argmax(1) != labels).sum()], "most probable"),
        (lambda labels, p: np.flatnonzero(p.argmax(1) != labels), "least probable"),
        (lambda labels, p: _by_arrays(labels, p)[:1], "doubtful here"),
        (lambda labels, p: p.argmax(1) != labels, "integers"),
        (lambda labels, p: ..., "return"),
    ],
    ids=["all images", "as many of the least probable", "not sorted", "only the first", "a mask", "stub"],
)
def test_10_2_says_what_is_missing(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("10.2", answer)


def _order(images=40, count=10, labeled=()):
    labels = np.full(images, None, object)
    labels[list(labeled)] = "bird"
    return SimpleNamespace(order=np.arange(count), labels=labels, paths=np.arange(images).astype(str), reason="typical")


@pytest.mark.parametrize("order", [_order(), _order(30), _order(labeled=[20, 30])])
def test_10_3_takes_ten_images_without_a_label(order):
    check("10.3", order)


@pytest.mark.parametrize(
    "order, hint",
    [
        (_order(count=20), "count=10"),
        (_order(20), "30 images"),
        (_order(labeled=[3]), "label already"),
        ([1, 2, 3], "label_order"),
        (..., "replace"),
    ],
)
def test_10_3_says_what_is_missing(order, hint):
    with pytest.raises(NotYet, match=hint):
        check("10.3", order)
