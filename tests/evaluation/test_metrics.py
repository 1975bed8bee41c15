"""Scores of a classifier, their error against that of the Wilson interval."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from tlkeras.evaluation.metrics import score


@pytest.mark.parametrize(("right", "count"), [(63, 85), (3, 3), (0, 2), (19, 20), (500, 1000)])
def test_twice_the_standard_error_is_about_half_a_wilson_interval_however_few_the_images(right, count):
    predictions = (np.arange(count) >= right).astype(int)
    found = score(np.zeros(count, int), predictions, ["cat", "dog"], majority=0)
    interval = binomtest(right, count).proportion_ci(1 - 2 * norm.sf(2), method="wilson")
    half = (interval.high - interval.low) / 2
    assert half <= 2 * found.standard_error + 1e-9
    assert 2 * found.standard_error <= 1.2 * half
