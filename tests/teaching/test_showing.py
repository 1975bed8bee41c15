"""Findings, tables and guesses say the same in Markdown or HTML as in plain text."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tlkeras import InputError
from tlkeras.teaching import decision_regions, finding, outcome, predict, quiz, showing, table
from tlkeras.teaching.exercises import NotYet, notebook_01
from tlkeras.teaching.showing import callout


def test_a_callout_quotes_every_line_and_its_text_has_no_marks():
    shown = callout("Finding", "The **last** block, `top`, gives *less*.\n\nSee [more](x.ipynb); 2*3*4 and 2 * 3 stay.")
    markdown = shown._repr_mimebundle_()["text/markdown"]
    assert all(line.startswith(">") for line in markdown.splitlines())
    assert markdown.startswith("> **Finding.** The **last** block")
    assert str(shown) == "Finding: The last block, top, gives less.\n\nSee more; 2*3*4 and 2 * 3 stay."


def test_a_table_escapes_its_cells_and_puts_numbers_to_the_right():
    shown = table([{"name": "<b>", "share": "41%"}, {"name": "c", "share": "\u22123.0"}], caption="A & B")
    html = shown._repr_mimebundle_()["text/html"]
    assert '<td style="text-align:left">&lt;b&gt;</td><td style="text-align:right">41%</td>' in html
    assert "A &amp; B</caption>" in html
    assert str(shown).startswith("A & B\nname")
    for rows in ([], [{"a": 1}, {"b": 2}]):
        with pytest.raises(InputError, match="same keys"):
            table(rows)


def test_an_outcome_says_what_was_guessed_or_that_nothing_was(capsys):
    predict("99.a", "up", choices=("up", "down"))
    outcome("99.a", "up", "Because.")
    outcome("99.b", 3, "Because.")
    predict("99.a", ..., choices=("up", "down"))
    outcome("99.a", "up", "Because.")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "You guessed it: up. Because."
    assert lines[2] == "Your guess: You made no guess. What came: 3. Because."
    assert "'up' or 'down'" in lines[3]
    assert "no guess" in lines[4], "taking a guess back forgets it"


@pytest.mark.parametrize("guess, choices", [("left", ("up", "down")), ("up", None), (True, None)])
def test_a_guess_that_is_none_of_the_choices_is_refused(guess, choices):
    with pytest.raises(InputError, match="guess"):
        predict("99.a", guess, choices)


def test_a_quiz_says_why_a_choice_is_wrong_and_all_reasons_once_it_is_right(monkeypatch, capsys):
    monkeypatch.setattr(notebook_01, "QUIZ", {"a": (False, "Too big."), "b": (True, "It fits.")}, raising=False)
    for choice, message in ((..., "'a', 'b'"), ("a", r"\(a\) is wrong. Too big.")):
        with pytest.raises(NotYet, match=message):
            quiz("01", choice)
    quiz("01", "b")
    assert capsys.readouterr().out == "(b) is right: It fits. Why not the others? (a) Too big.\n"
    for arguments in (("01", "z"), ("77", "a")):
        with pytest.raises(InputError):
            quiz(*arguments)


def test_a_finding_outside_a_notebook_is_printed(capsys):
    finding("**Three** of four.")
    assert capsys.readouterr().out == "Finding: Three of four.\n"


def test_a_figure_of_pyplot_has_its_text_alternative_and_half_its_pixels(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    displayed = []
    monkeypatch.setattr(showing, "show", displayed.append)
    pyplot.figure(figsize=(3, 2))
    pyplot.plot([1, 2])
    showing.show_figure("A line that rises.")
    data, details = displayed[0]._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert data["text/plain"] == details["image/png"]["alt"] == "A line that rises."
    assert (details["image/png"]["width"], details["image/png"]["height"]) == (picture.width // 2, picture.height // 2)
    assert not pyplot.get_fignums(), "the figure is closed, so it is not shown a second time"


def test_regions_say_how_many_points_are_right_and_how_far_each_region_reaches():
    points, labels = [[-1.0, 0], [1, 0], [2, 1], [3, 1]], [0, 1, 1, 0]
    rules = {"sign": lambda x: x[:, 0] > 0, "one": lambda x: np.ones(len(x))}
    figure = decision_regions(rules, points, labels, ("left", "right"), title="Two rules")
    assert [axes.get_title("left") for axes in figure.axes] == ["sign: 75% right", "one: 50% right"]
    across = np.linspace(-1.3, 3.3, 120)  # the points and a margin of 0.3
    called = f"{np.mean(across > 0):.0%} of the plane called right"
    assert f"Two rules. Sign: 75% of the points right, {called}; one: 50%" in figure.alt
