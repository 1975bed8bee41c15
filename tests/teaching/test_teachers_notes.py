"""What a teacher relies on: notes whose numbers are those of the notebooks, and a cheat sheet of things that exist."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbconvert")  # installed for development on TensorFlow only

ROOT = Path(__file__).parents[2]
TEACHING = ROOT / "docs" / "teaching"
sys.path.insert(0, str(TEACHING))
import draw_cheat_sheet  # noqa: E402
import lessons  # noqa: E402

_BUILD = (ROOT / "notebooks" / "build.py").read_text("utf-8")
SYLLABUS = re.findall(r'^    "(\d\d_\w+)",$', _BUILD, re.MULTILINE)
NOTES_PAGES = sorted(lessons.NOTES.glob("*.md"))


@pytest.mark.parametrize("page", NOTES_PAGES, ids=lambda page: page.stem)
def test_notes_have_a_goal_three_wrong_answers_ranges_and_polls_with_an_answer(page):
    notes = lessons.read_notes(page.stem)
    assert "**Goal.**" in notes[""]
    assert sum(line.startswith(("1. ", "2. ", "3. ")) for line in notes["Usual wrong answers"].splitlines()) == 3
    assert "|---" in notes["Expected ranges"]
    polls = lessons.read_polls(notes)
    assert polls
    for question, choices, answer in polls:
        assert question.endswith("?")
        assert f"- {answer[0]}: " in choices, answer


def test_every_notebook_of_the_course_has_notes():
    assert [page.stem for page in NOTES_PAGES] == SYLLABUS


def _numbers(text):
    return set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


@pytest.mark.parametrize(
    "page", [page for page in NOTES_PAGES if page.stem in lessons.names()], ids=lambda page: page.stem
)
def test_ranges_in_the_notes_are_the_numbers_of_the_executed_notebook(page):
    texts = []
    for cell in nbformat.read(lessons.READ / f"{page.stem}.ipynb", 4).cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            texts += [str(output.get("text")), str(output.get("metadata"))]
            texts += [str(value) for kind, value in data.items() if kind.startswith("text/")]
    rows = re.findall(r"^\| (?!---)(.+?) \| (.+?) \|", lessons.read_notes(page.stem)["Expected ranges"], re.MULTILINE)
    assert len(rows) > 1
    unknown = {what: numbers for what, said in rows if (numbers := _numbers(said) - _numbers(" ".join(texts)))}
    assert not unknown, f"take these numbers from the notebook: {unknown}"


def test_the_cheat_sheet_names_what_exists():
    from typer.main import get_command

    import tlkeras
    from tlkeras.cli import app

    text = Path(draw_cheat_sheet.__file__).read_text("utf-8")
    assert set(re.findall(r"tlkeras\.(\w+)", text)) <= set(tlkeras.__all__)
    commands = get_command(app).commands
    shown = [command for _, command, _ in (*draw_cheat_sheet.PATH, *draw_cheat_sheet.REMEDIES) if command]
    for name, *words in (command.split()[1:] for command in shown):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, name
    drawing = (TEACHING / "cheat_sheet.svg").read_text("utf-8")
    for command in shown:
        assert command.replace("&", "&amp;") in drawing, "run docs/teaching/draw_cheat_sheet.py"
