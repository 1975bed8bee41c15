"""Slides and web pages from executed notebooks, shown with a small one and then with those of the course."""

import base64
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from PIL import Image

pytest.importorskip("nbconvert")  # installed for development on TensorFlow only

ROOT = Path(__file__).parents[2]
TEACHING = ROOT / "docs" / "teaching"
sys.path.insert(0, str(TEACHING))
import build_slides  # noqa: E402
import lessons  # noqa: E402
import notebook_pages  # noqa: E402

ALT = 'A bar for "bird" that is <higher> than all others'
NOTES = {
    "": "**Goal.** See it.",
    "Usual wrong answers": "1. Everything.",
    "Polls": "### Which bar is highest?\n\n- A: bird\n- B: boat\n\n**Answer.** A. It has most images.",
}


def _code(source, data=None, alt="", **metadata):
    outputs = []
    if data:
        about = {"image/png": {"alt": alt}} if alt else {}
        outputs.append(nbformat.v4.new_output("display_data", data=data, metadata=about))
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata)


def _section(number):
    """Return the cells of a section: a prediction, a figure, and what it shows, the last one folded."""
    file = io.BytesIO()
    Image.new("RGB", (40, 30 + number)).save(file, "png")
    picture = {"image/png": base64.b64encode(file.getvalue()).decode()}
    said = {"text/markdown": f"> **Finding.** Bird leads by {number}.", "text/plain": "Finding"}
    label = "**Your guess.** boat. **What came:**" if number else "**You guessed it.**"
    outcome = {"text/markdown": f"> {label} bird. It flies."}
    return [
        nbformat.v4.new_markdown_cell(f"## Part {number}\n\nSome prose.\n\nLook. Which bar\nleads?"),
        _code(f'# It is...\nchoices = ("bird", "boat")\nteaching.predict("01.{number}", "boat", choices)'),
        _code("evaluation.bars(counts)", picture, ALT),
        _code('teaching.finding(f"Bird leads.")', said, jupyter={"source_hidden": True}),
        _code(f'teaching.outcome("01.{number}", "bird", "It flies.")', outcome),
    ]


OPENING = """# 1 · Bars

**Question.** Which bar
leads?

**You will be able to**

- **See** bars,
  tall ones.
- **Say** so.
"""
CLOSING = (
    f"## Exercises\n\n### Exercise 1 · Predict\n\nBirds\nfly. {160 * 'x'}. No.\n\n<details>",
    "## Recap\n\n- **See**: done.\n- **Say**: [a](00_setup.ipynb), [b](../README.md), [c](../learn/01_bars.ipynb).",
)


def _write_lesson(path, sections):
    middle = [cell for number in range(sections) for cell in _section(number)]
    opening, *closing = map(nbformat.v4.new_markdown_cell, (OPENING, *CLOSING))
    nbformat.write(nbformat.v4.new_notebook(cells=[opening, *middle, *closing]), path)
    return path


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return _write_lesson(tmp_path_factory.mktemp("read") / "01_bars.ipynb", 2)


class _Page(HTMLParser):
    """What a page would load from elsewhere, and its pictures' text alternatives."""

    def __init__(self, html):
        super().__init__()
        self.loads, self.alts, self.slides = [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        address = attrs.get("src") or (attrs.get("href") if tag == "link" else None)
        if address is not None and not address.startswith("data:"):
            self.loads.append(address)
        if tag == "img":
            self.alts.append(attrs.get("alt", ""))
        self.slides += tag == "section"


def test_a_lesson_is_read_from_its_executed_notebook(notebook):
    lesson = lessons.read_lesson(notebook)
    assert (lesson.number, lesson.title, lesson.question) == ("01", "Bars", "Which bar leads?")
    assert lesson.goals == ["**See** bars, tall ones.", "**Say** so."]
    assert lesson.exercises == ["**Exercise 1 · Predict.** Birds fly."]
    assert [step.heading for step in lesson.steps] == ["Part 0", "Part 1"]
    step = lesson.steps[1]
    assert (step.alt, step.prose) == (ALT, "Some prose.\n\nLook. Which bar\nleads?")
    assert (step.predict, step.choices) == ("Which bar leads?\n\nIt is...", ("bird", "boat"))
    for number, step in enumerate(lesson.steps):  # the guess of whoever executed the notebook is left out
        assert [text for _, text in step.findings] == [f"Bird leads by {number}.", "**What came:** bird. It flies."]


def test_tables_and_checklists_of_the_text_are_shown_and_take_the_next_finding(tmp_path):
    path = _write_lesson(tmp_path / "01_bars.ipynb", 0)
    book = nbformat.read(path, 4)
    rules = "### Rules\n\n| rule | seen in |\n|---|---|\n| Look | [01](01_bars.ipynb) |\n\nSome prose."
    texts = ["## Verdicts", rules, "## Checklist\n\n1. **Check** it.\n2. Go\n   on."]
    table, found, steps = texts[0], _section(0)[3], texts[2]
    cells = [nbformat.v4.new_markdown_cell(text) for text in (table, rules)]
    book.cells[1:1] = [*cells, found, nbformat.v4.new_markdown_cell(steps)]
    nbformat.write(book, path)
    rules, checklist = lessons.read_lesson(path).steps
    assert rules.heading == "Rules" and "<td>01</td>" in rules.table and rules.prose == "Some prose."
    assert [text for _, text in rules.findings] == ["Bird leads by 0."]
    assert checklist.heading == "Checklist" and checklist.table.count("<li>") == 2


def test_of_a_scoreboard_the_baseline_and_the_new_rows_are_shown(tmp_path):
    path = _write_lesson(tmp_path / "01_bars.ipynb", 0)
    book = nbformat.read(path, 4)
    rows = "<tr><td>base</td></tr><tr><td>old</td></tr><tr><th>new</th></tr>"
    board = {"text/html": f"<table><thead><tr><th>right</th></tr></thead><tbody>{rows}</tbody></table>"}
    book.cells.insert(1, _code("assert True\nteaching.scoreboard(board)", board))
    nbformat.write(book, path)
    (step,) = lessons.read_lesson(path).steps
    assert step.heading == "Scoreboard"
    assert re.findall("right|base|old|new", step.table) == ["right", "base", "new"]


def test_slides_ask_before_they_show_and_leave_the_answer_in_the_notes(notebook):
    slides = build_slides.outline(lessons.read_lesson(notebook), NOTES)
    kinds = ["title", "points", *2 * ["predict", "shown"], "poll", "points", "points"]
    assert [slide["kind"] for slide in slides] == kinds
    poll = slides[-3]
    assert "It has most images." in poll["notes"] and "It has most images." not in poll["body"]


def test_what_does_not_fit_on_a_slide_is_in_its_notes(notebook):
    lesson = lessons.read_lesson(notebook)
    lesson.steps[0].findings = [("markdown", f"First. {300 * 'a'}. {300 * 'b'}. Last."), ("markdown", "Another.")]
    slide = build_slides.outline(lesson, NOTES)[3]
    said, more = "".join(slide["findings"]), slide["notes"]
    assert "First. aaa" in said and not {"bbb", "Last", "Another"} & set(re.findall("bbb|Last|Another", said))
    assert "bbb. Last. Another." in more and "First" not in more


@pytest.mark.parametrize("sections", [0, 1, 20])
def test_there_are_at_most_twelve_slides_and_the_recap_is_the_last(tmp_path, sections):
    lesson = lessons.read_lesson(_write_lesson(tmp_path / "01_bars.ipynb", sections))
    slides = build_slides.outline(lesson, NOTES)
    assert len(slides) <= 12
    assert slides[-1]["heading"] == "What to remember"
    kinds = [slide["kind"] for slide in slides]
    assert (kinds.count("shown"), kinds.count("predict")) == {0: (0, 0), 1: (1, 1), 20: (5, 2)}[sections]


def test_pages_load_nothing_from_elsewhere_and_hide_folded_code(notebook):
    slides = build_slides.render(lessons.read_lesson(notebook), NOTES)
    assert _Page(slides).loads == []
    assert _Page(slides).alts == [ALT, ALT]
    page = notebook_pages.notebook_page(notebook)
    assert _Page(page).loads == []
    assert "import(" not in page and "teaching.finding(" not in page
    for link in ("00_setup.html", "../index.html", "../notebooks/learn/01_bars.ipynb"):
        assert f'href="{link}"' in page


@pytest.mark.parametrize("name", lessons.names())
def test_every_module_has_slides_with_text_alternatives(name):
    lesson = lessons.read_lesson(lessons.READ / f"{name}.ipynb")
    page = _Page(build_slides.render(lesson, lessons.read_notes(name)))
    assert page.loads == []
    assert page.slides <= 12
    assert page.slides >= 8 or not (lessons.NOTES / f"{name}.md").exists()
