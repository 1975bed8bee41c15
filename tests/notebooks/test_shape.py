"""Every notebook has the shape that CONTRIBUTING.md describes, and is what its source says. Files are only read."""

import ast
import importlib
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

NAMES = build.names()
#: Notebooks of the course. Others are older ones, which stay until their successors land.
COURSE = [name for name in NAMES if name in build.SYLLABUS]
#: All but the page that looks at the machine.
LESSONS = [name for name in COURSE if not name.startswith("00")]
ALLOWED_SIZE = 720_000


@cache
def _lesson(name):
    return build.lesson(name).cells


@cache
def _executed(name):
    return nbformat.read(ROOT / "notebooks" / "read" / f"{name}.ipynb", as_version=4).cells


def _content(cells):
    return [(cell.cell_type, cell.id, cell.source, cell.metadata.get("tags", [])) for cell in cells]


def _tagged(cells, tag):
    return [cell for cell in cells if tag in cell.metadata.get("tags", ())]


def _code(name):
    return [cell for cell in _lesson(name) if cell.cell_type == "code"]


def _source(name):
    return "\n".join(cell.source for cell in _lesson(name))


def _bold(text):
    return re.findall(r"^- \*\*([^*]+)\*\*", text, re.MULTILINE)


def _words(markdown):
    shown = re.sub(r"<details>.*?</details>|<svg.*?</svg>|\]\([^)]*\)", "", markdown, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'’-]*", shown))


def _lines(cell):
    return [line for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", NAMES)
def test_the_executed_notebook_is_its_source_cell_by_cell(name):
    assert _content(_executed(name)) == _content(_lesson(name)), f"run `make notebooks NAME={name}`"


@pytest.mark.parametrize("name", NAMES)
def test_the_exercise_is_its_source_cell_by_cell_and_has_no_outputs(name):
    cells = nbformat.read(ROOT / "notebooks" / "learn" / f"{name}.ipynb", as_version=4).cells
    assert _content(cells) == _content(build.exercise(name).cells), f"run `make notebooks NAME={name}`"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("name", NAMES)
def test_every_code_cell_was_executed_in_order_and_checked_ones_have_outputs(name):
    counts = [cell.execution_count for cell in _executed(name) if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    checked = _tagged(_executed(name), "nbval-check-output")
    assert checked
    assert all(cell.outputs for cell in checked)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_name_no_machine(name):
    text = (ROOT / "notebooks" / "read" / f"{name}.ipynb").read_text()
    assert len(text) < ALLOWED_SIZE
    assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"
    assert not re.search(r"/(home|root|Users|tmp)/|0x[0-9a-f]{8}", text)
    assert '"stderr"' not in text


@pytest.mark.parametrize("name", COURSE)
def test_the_header_says_what_it_is_about_and_what_it_takes(name):
    header = _lesson(name)[0].source
    assert re.match(r"# \S", header)
    assert re.search(r"\*\*Question\.\*\* [^\n]*(\n[^\n]+)*\?", header)
    assert 3 <= len(_bold(header)) <= 4, "three or four objectives, each beginning with a word in bold"
    assert "**Before you start:**" in header
    columns, _, values = (line.strip("| ").split("|") for line in header.splitlines() if line.startswith("|"))
    table = {key.strip(): value.strip() for key, value in zip(columns, values, strict=True)}
    assert list(table) == ["read", "run", "exercises", "memory", "downloads"]
    assert all(re.fullmatch(r"\d+( to \d+)? min", table[key]) for key in ("read", "run", "exercises"))
    assert re.fullmatch(r"\d+ GB", table["memory"])
    assert table["downloads"] == "0"
    assert "Launch: " in header


@pytest.mark.parametrize("name", COURSE)
def test_the_first_and_the_last_cell_link_the_neighbors_and_the_index(name):
    links = build.navigation(name, "read")
    first, *_, last = _lesson(name)
    assert links in first.source and last.source.endswith(links)
    for link in re.findall(r"\]\(([^)]+\.ipynb)\)", _source(name).replace(links, "")):
        assert Path(link).stem in build.SYLLABUS, f"{link} is no notebook of the course"


@pytest.mark.parametrize("name", COURSE)
def test_the_recap_mirrors_the_objectives(name):
    first, *_, last = _lesson(name)
    assert last.source.startswith("## Recap")
    assert _bold(last.source) == _bold(first.source)


@pytest.mark.parametrize("name", COURSE)
def test_a_learner_sees_at_most_120_lines_of_code(name):
    seen = [cell for cell in _code(name) if not build.hidden(cell) and "solution" not in cell.metadata.get("tags", ())]
    assert sum(len(_lines(cell)) for cell in seen) <= 120


@pytest.mark.parametrize("name", COURSE)
def test_cells_are_short_and_narrow_and_prose_is_brief(name):
    between = ""
    for cell in _lesson(name)[1:-1]:
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            assert len(lines) <= 30, cell.source
            assert max(map(len, lines)) <= 96, max(lines, key=len)
            between = ""
        elif not cell.source.startswith("## Read on"):
            between += "\n" + cell.source
            assert _words(between) <= 170, f"{_words(between)} words: {between}"


@pytest.mark.parametrize("name", COURSE)
def test_imports_are_public(name):
    for node in ast.walk(ast.parse("\n".join(cell.source for cell in _code(name)))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module not in ("tlkeras", "tlkeras.teaching"):
            names.append(node.module)
        assert not any(one.startswith(("tlkeras.", "_")) for one in names), names


@pytest.mark.parametrize("name", COURSE)
def test_accuracies_stand_in_no_prose(name):
    for cell in _lesson(name):
        if cell.cell_type == "markdown":
            assert not re.search(r"\d\s?%|(?<!\d)0?\.\d\d", re.sub(r"`[^`]*`|\]\([^)]*\)", "", cell.source)), (
                cell.source
            )


@pytest.mark.parametrize("name", COURSE)
def test_what_each_figure_shows_is_said_before_the_next_one(name):
    figure = None
    for cell in _executed(name):
        if cell.cell_type != "code":
            continue
        drawn = any({"image/png", "image/jpeg"} & output.get("data", {}).keys() for output in cell.outputs)
        if drawn and "contact_sheet(" not in cell.source:  # a sheet of examples claims nothing
            assert figure is None, f"no finding after\n{figure}"
            figure = cell.source
        if "teaching.finding(" in cell.source or "teaching.outcome(" in cell.source:
            figure = None
    assert figure is None, f"no finding after\n{figure}"


@pytest.mark.parametrize("name", COURSE)
def test_every_figure_has_a_text_alternative_that_says_what_it_shows(name):
    for output in (output for cell in _executed(name) for output in cell.get("outputs", ())):
        for kind in (kind for kind in output.get("data", {}) if kind.startswith("image/")):
            alt = output.data["text/plain"]
            assert not alt.startswith("<") and len(alt.split()) >= 6, f"no description: {alt}"
            assert alt == output.metadata[kind]["alt"], "screen readers get it with the picture"


def _measured(cells):
    """Return each `(value, low, high)` that the outputs of a notebook say, and the same with the other sign."""
    texts = (output.get("data", {}).get("text/plain", "") for cell in cells for output in cell.get("outputs", ()))
    text = "\n".join(texts).replace("95% interval", "interval").replace("−", "-")
    number = r"([+-]?\d+(?:\.\d)?)"
    found = re.findall(rf"{number}[^\d\n]{{1,90}}?{number}%? to {number}", text)
    said = [tuple(map(float, triple)) for triple in found]
    return [*said, *((-value, -high, -low) for value, low, high in said)]


def test_the_rules_of_the_last_notebook_are_judged_by_what_the_others_measured():
    rows = [line for line in _source("12_decisions").splitlines() if line.startswith("| ") and ".ipynb)" in line]
    assert len(rows) > 20
    for row in rows:
        lesson = re.findall(r"\((\w+)\.ipynb\)", row)[-1]
        said = re.findall(r"([+-]?\d+)(?: of 100(?: right)?)? \(([+-]?\d+) to ([+-]?\d+)\)", row.replace("−", "-"))
        for triple in (np.array(found, float) for found in said):
            known = np.abs(np.array(_measured(_executed(lesson))) - triple).max(axis=1).min() <= 0.501
            assert known, f"{triple} is not what {lesson} says: {row}"


@pytest.mark.parametrize("name", LESSONS)
def test_guesses_are_asked_before_they_are_answered(name):
    source = _source(name)
    asked = re.findall(r'teaching\.predict\(\s*"([\w.]+)"', source)
    assert asked and len(set(asked)) == len(asked)
    for number in re.findall(r'teaching\.outcome\(\s*"([\w.]+)"', source):
        assert number in asked and number.startswith(name[:2])
    for cell in _code(name):
        assert "teaching.predict(" not in cell.source or "solution" in cell.metadata.get("tags", ()), cell.source


@pytest.mark.parametrize("name", LESSONS)
def test_there_are_three_exercises_with_hints_and_checks(name):
    cells, number = _lesson(name), name[:2]
    for k in (1, 2, 3):
        (start,) = (i for i, cell in enumerate(cells) if f"### Exercise {k} ·" in cell.source)
        hints = re.findall(r"<details>.*?</details>", cells[start].source, re.DOTALL)
        assert len(hints) == 1 and "\n\n" not in hints[0], "one block of HTML, without empty lines"
        code = [cell for cell in cells[start:] if cell.cell_type == "code"]
        assert "solution" in code[0].metadata.get("tags", ()), "what the learner writes comes first"
        assert any(f'teaching.check("{number}.{k}"' in cell.source for cell in code[:4])


@pytest.mark.parametrize("name", LESSONS)
def test_there_is_a_question_with_a_reason_for_each_choice(name):
    number = name[:2]
    answers = importlib.import_module(f"tlkeras.teaching.exercises.notebook_{number}").QUIZ
    assert [right for right, _ in answers.values()].count(True) == 1
    assert len(answers) >= 3 and all(len(reason.split()) >= 4 for _, reason in answers.values())
    (position,) = (i for i, cell in enumerate(_lesson(name)) if f'teaching.quiz("{number}"' in cell.source)
    question, cell = _lesson(name)[position - 1].source, _lesson(name)[position]
    assert "solution" in cell.metadata.get("tags", ())
    letters = re.findall(r"^[-*]? *\**\(?([a-z])\)", question, re.MULTILINE)
    assert letters == list(answers), "each choice on a line: - (a) ..."


@pytest.mark.parametrize("name", LESSONS)
def test_claims_are_asserted_and_three_links_lead_on(name):
    source = _source(name)
    assert "\nassert " in source
    assert len(re.findall(r"\(https?://", source.split("## Read on")[1])) >= 3


def test_the_index_lists_every_notebook():
    page = build.index()
    for name in NAMES:
        assert f"(read/{name}.ipynb)" in page and f"(learn/{name}.ipynb)" in page
