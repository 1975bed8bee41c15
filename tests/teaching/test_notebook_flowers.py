"""Exercises of `tfds_flowers`."""

import numpy as np
import pytest

import tlkeras
from tlkeras.teaching import NotYet, check

CURVE = [0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("bet", [0, 0.05, np.float32(0.1), 0.19])
def test_flowers_1_takes_a_bet_that_the_curve_allows(bet):
    check("flowers.1", bet, CURVE)


@pytest.mark.parametrize("bet", [0.5, -0.1, "a little", [0.1]])
def test_flowers_1_refuses_others(bet):
    with pytest.raises(NotYet):
        check("flowers.1", bet, CURVE)


@pytest.mark.parametrize("spread", [lambda n: np.linspace(0.4, 0.5, n), lambda n: [0.4 + 0.01 * k for k in range(n)]])
def test_flowers_2_takes_any_function_of_different_accuracies(spread):
    check("flowers.2", spread)


@pytest.mark.parametrize(
    "spread", [lambda n: [0.5] * n, lambda n: 0.5, lambda n: [0.1, 0.2], lambda n: [1.5] * n, lambda n: ["a"] * n, 0.5]
)
def test_flowers_2_refuses_others(spread):
    with pytest.raises(NotYet):
        check("flowers.2", spread)


def test_flowers_3_takes_splits_that_are_apart(clipart10):
    images = tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))
    check("flowers.3", images)
    for wrong in (images.train, type(images)(**vars(images) | {"test": images.train})):
        with pytest.raises(NotYet):
            check("flowers.3", wrong)
