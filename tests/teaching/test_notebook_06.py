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


@pytest.mark.parametrize(
    "spread",
    [
        lambda n: np.linspace(0.4, 0.5, n),
        lambda n: [0.4 + 0.01 * k for k in range(n)],
        lambda n: tuple(0.5 if k else 0.6 for k in range(n)),
    ],
    ids=["array", "list", "tuple with equal ones"],
)
def test_06_2_takes_any_function_of_different_accuracies(spread):
    check("06.2", spread)


@pytest.mark.parametrize(
    "spread, hint",
    [
        (lambda n: [0.5] * n, "its own seed"),
        (lambda n: 0.5, "four accuracies"),
        (lambda n: [0.1, 0.2], "four accuracies"),
        (lambda n: [1.5] * n, r"in \(0, 1\]"),
        (lambda n: ["a"] * n, "could not convert"),
        (0.5, "function"),
    ],
)
def test_06_2_says_what_is_wrong(spread, hint):
    with pytest.raises(NotYet, match=hint):
        check("06.2", spread)


def test_06_3_takes_splits_that_are_apart(clipart10):
    images = tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))
    arrays = tlkeras.load_images(
        np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3)).astype("uint8"), labels=[0, 1] * 15
    )
    unvalidated = tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32), validation_size=0)
    for right in (images, arrays, unvalidated):
        check("06.3", right)
    leaky = type(images)(**vars(images) | {"test": images.train})
    for wrong, hint in ((images.train, "load_images"), (leaky, "two of the splits")):
        with pytest.raises(NotYet, match=hint):
            check("06.3", wrong)
