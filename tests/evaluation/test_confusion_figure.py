"""The confusion matrix can be drawn of any names and of any number of classes."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

from tlkeras.evaluation.confusion_figure import confusion_figure
from tlkeras.evaluation.metrics import score
from tlkeras.utils import fonts


def _drawn(names, right=3):
    labels = np.repeat(np.arange(len(names)), right)
    figure = confusion_figure(score(labels, labels, names, majority=0))
    figure.set_dpi(150)
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("name", ["a_$1_$2", "US$5-$10", r"\frac{$", "Vögel klein", "птицы", "odd\udce9\nname", ""])
def test_names_are_text_whatever_they_hold(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = _drawn([name, "boat"]).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [name.replace("\udce9", "?").replace("\n", " "), "boat"]
    assert not any(label.get_parse_math() for label in labels)


def test_a_name_that_goes_on_and_on_leaves_room_for_the_matrix():
    figure = _drawn(["x" * 250, "y" * 250])
    assert figure.axes[0].get_window_extent().width > 50


@pytest.mark.parametrize(("classes", "named", "counted"), [(20, 20, 20), (90, 90, 90), (1000, 100, 0)])
def test_many_classes_share_a_picture_of_bounded_size(classes, named, counted):
    figure = _drawn([f"class {number}" for number in range(classes)])
    axes = figure.axes[0]
    assert np.prod(figure.canvas.get_width_height()) < 4e6
    labels = axes.get_yticklabels()
    assert (len(labels), len(axes.texts)) == (named, counted)
    heights = [label.get_window_extent() for label in labels]
    assert all(one.y0 >= other.y1 - 1 for one, other in pairwise(heights))


def test_a_script_that_the_usual_font_lacks_is_written_in_an_installed_one(monkeypatch):
    has = {"/usual/DejaVuSans.ttf": "cat", "/latin.ttf": "cat", "/gone.ttf": "", "/chinese.ttf": "cat犬猫"}
    monkeypatch.setattr(fonts, "_installed", lambda: list(has)[1:])
    monkeypatch.setattr(fonts, "_characters", lambda path: set(map(ord, has.get(path, "cat"))))
    assert fonts.font_file("犬") == "/chinese.ttf"
    assert fonts.font_file("cat").endswith("DejaVuSans.ttf")
    assert fonts.font_file("ꙮ").endswith("DejaVuSans.ttf")


def test_a_font_file_that_is_gone_has_no_characters(tmp_path):
    assert fonts._characters(str(tmp_path / "gone.ttf")) == frozenset()
