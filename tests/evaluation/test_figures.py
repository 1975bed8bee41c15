"""Figures show what they are given, and can be told apart without color."""

import io

import numpy as np
import pytest
from scipy.stats import sem

from tlkeras import evaluation


def test_the_standard_error_is_that_of_scipy():
    runs = np.random.default_rng(0).random((4, 6))
    np.testing.assert_allclose(evaluation.standard_error(runs), sem(runs))
    assert evaluation.standard_error([0.5]) == 0


def test_bars_end_at_the_means_and_whiskers_at_one_standard_error():
    runs = [0.6, 0.8, 0.7]
    axes = evaluation.accuracy_bars({"a": runs, "b": 0.5}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.7, 0.5])
    whisker = axes.collections[0].get_segments()[0]
    assert whisker[:, 0] == pytest.approx([0.7 - sem(runs), 0.7 + sem(runs)])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_bars_and_curves_differ_in_more_than_color():
    bars = evaluation.accuracy_bars({name: [0.5] for name in "abc"}).axes[0].patches
    assert len({bar.get_hatch() for bar in bars}) == 3
    lines = evaluation.curves({name: [1, 2] for name in "abcd"}, [0, 1], xlabel="x", ylabel="y").axes[0].lines
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 4


def test_curves_show_the_mean_over_runs_and_may_end_early():
    figure = evaluation.curves(
        {"many": [[1, 2, 3], [3, 4, 5]], "short": [7, 8]},
        ["p", "q", "r"],
        xlabel="x",
        ylabel="y",
        baselines={"b": [1, 3]},
    )
    axes = figure.axes[0]
    many, short, baseline = axes.lines
    assert list(many.get_ydata()) == [2, 3, 4]
    assert list(short.get_ydata()) == [7, 8]
    assert list(baseline.get_ydata()) == [2, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["p", "q", "r"]
    assert {text.get_text() for text in figure.legends[0].texts} == {"many", "short", "b: 2.00"}


def test_regions_say_how_many_points_are_right():
    points, labels = np.array([[-1.0, 0], [1, 0], [2, 1], [3, 1]]), np.array([0, 1, 1, 0])
    figure = evaluation.decision_regions(
        {"sign": lambda x: x[:, 0] > 0, "one": lambda x: np.ones(len(x))}, points, labels
    )
    assert [axes.get_title() for axes in figure.axes] == ["sign: 0.75 correct", "one: 0.50 correct"]


@pytest.mark.parametrize(
    "figure",
    [
        evaluation.accuracy_bars({"a": [0.4, 0.5]}, {"chance": 0.1}, title="T"),
        evaluation.curves({"a": [0.4, 0.5]}, [1, 2], xlabel="x", ylabel="y", title="T"),
        evaluation.decision_regions({"a": lambda x: x[:, 0] > 0}, [[0, 1], [1, 0]], [0, 1], title="T"),
    ],
    ids=["bars", "curves", "regions"],
)
def test_all_axes_are_named_and_the_picture_is_small(figure):
    assert all(axes.get_xlabel() for axes in figure.axes)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    assert len(picture.getvalue()) < 60_000
