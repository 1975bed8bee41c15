"""Scores of a classifier, their error against that of the Wilson interval."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from tlkeras.evaluation.metrics import score
from tlkeras.runs.summary import scores_text


@pytest.mark.parametrize(("right", "count"), [(63, 85), (3, 3), (0, 2), (19, 20), (500, 1000)])
def test_twice_the_standard_error_is_about_half_a_wilson_interval_however_few_the_images(right, count):
    predictions = (np.arange(count) >= right).astype(int)
    found = score(np.zeros(count, int), predictions, ["cat", "dog"], majority=0)
    interval = binomtest(right, count).proportion_ci(1 - 2 * norm.sf(2), method="wilson")
    half = (interval.high - interval.low) / 2
    assert half <= 2 * found.standard_error + 1e-9
    assert 2 * found.standard_error <= 1.2 * half


def test_shares_of_nothing_are_none_and_not_zero():
    found = score([0, 0, 1, 1, 2], [0, 0, 1, 3, 1], ["a", "b", "c", "d", "e"], majority=0)
    assert [(one.precision, one.recall, one.f1) for one in found.classes] == [
        (1.0, 1.0, 1.0),
        (0.5, 0.5, 0.5),
        (None, 0.0, 0.0),  # has an image and is never answered
        (0.0, None, 0.0),  # is answered and has no image
        (None, None, None),
    ]
    assert json.loads(json.dumps(found.to_dict()))["classes"][4]["recall"] is None
    assert scores_text(found.to_dict(), "images").splitlines()[5].split() == ["e", "0", "-", "-"]
