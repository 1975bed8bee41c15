"""Exercises of `06_how_much_data`: right answers of any kind pass, wrong ones do not."""

import numpy as np
import pytest

import tlkeras
from tlkeras.selection.forecast import Forecast
from tlkeras.teaching import NotYet, check, quiz


class _Curve:
    """A forecast whose gain grows by a point for every ten images, within a factor of two, up to 100 images."""

    def gain(self, more):
        if more > 100:
            raise ValueError("A forecast reaches at most three times the images at hand.")
        return Forecast(per_class=more, accuracy=more / 1000, low=more / 2000, high=more / 500)


@pytest.mark.parametrize("bet", [26, 50, np.float32(60), 99.5])
def test_06_1_accepts_a_number_whose_forecast_holds_five_points(bet, capsys):
    check("06.1", bet, _Curve())
    assert "That includes 5 points" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    "bet, hint",
    [(10, "need more"), (0.05, "need more"), (200, "at most three times"), (-1, "one number"), ("a few", "one number")],
)
def test_06_1_refuses_others_with_a_hint(bet, hint):
    with pytest.raises(NotYet, match=hint):
        check("06.1", bet, _Curve())


def test_06_1_says_when_fewer_would_do():
    curve = _Curve()
    curve.gain = lambda more: Forecast(per_class=more, accuracy=0.08, low=0.06, high=0.1)
    with pytest.raises(NotYet, match="need fewer"):
        check("06.1", 90, curve)


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
