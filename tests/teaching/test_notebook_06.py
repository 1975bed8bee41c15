"""Exercises of `06_how_much_data`: right answers of any kind pass, wrong ones do not."""

import numpy as np
import pytest

import tlkeras
from tlkeras.selection.forecast import Forecast
from tlkeras.teaching import NotYet, check, quiz

GAIN = Forecast(per_class=32.0, accuracy=0.03, low=0.01, high=0.05)


@pytest.mark.parametrize("bet", [0, 0.03, np.float32(0.05), 0.065])
def test_06_1_accepts_a_bet_near_the_forecast(bet, capsys):
    check("06.1", bet, GAIN)
    assert "+3.0 points (+1.0 to +5.0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bet, hint",
    [(0.2, "the curve bends"), (-0.1, "rarely hurt"), (3, "give a share"), ("a little", "one number"), ([0.1], "one")],
)
def test_06_1_refuses_others_with_a_hint(bet, hint):
    with pytest.raises(NotYet, match=hint):
        check("06.1", bet, GAIN)


def test_06_quiz_accepts_something_else_than_more_of_the_same(capsys):
    quiz("06", "b")
    assert "flat curve" in capsys.readouterr().out
    for wrong in "ac":
        with pytest.raises(NotYet, match=f"[(]{wrong}[)] is wrong"):
            quiz("06", wrong)


@pytest.mark.parametrize("spread", [lambda n: np.linspace(0.4, 0.5, n), lambda n: [0.4 + 0.01 * k for k in range(n)]])
def test_06_2_takes_any_function_of_different_accuracies(spread):
    check("06.2", spread)


@pytest.mark.parametrize(
    "spread", [lambda n: [0.5] * n, lambda n: 0.5, lambda n: [0.1, 0.2], lambda n: [1.5] * n, lambda n: ["a"] * n, 0.5]
)
def test_06_2_refuses_others(spread):
    with pytest.raises(NotYet):
        check("06.2", spread)


def test_06_3_takes_splits_that_are_apart(clipart10):
    images = tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))
    check("06.3", images)
    for wrong in (images.train, type(images)(**vars(images) | {"test": images.train})):
        with pytest.raises(NotYet):
            check("06.3", wrong)
