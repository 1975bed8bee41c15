"""Every notebook has the shape that CONTRIBUTING.md describes, and is what its source says."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

NAMES = build.names()
#: Not lessons: a page that looks at the machine, and the same lesson on other data.
LESSONS = [name for name in NAMES if re.match(r"(?!00)\d\d_", name)]


@pytest.fixture(scope="module")
def executed():
    return {name: nbformat.read(ROOT / "notebooks" / "read" / f"{name}.ipynb", as_version=4).cells for name in NAMES}


def _content(cells):
    return [(cell.cell_type, cell.id, cell.source, cell.metadata.get("tags", [])) for cell in cells]


def _tagged(cells, tag):
    return [cell for cell in cells if tag in cell.metadata.get("tags", ())]


def _bold(text):
    return re.findall(r"^- \*\*([^*]+)\*\*", text, re.MULTILINE)


def _words(markdown):
    shown = re.sub(r"<details>.*?</details>", "", markdown, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'’-]*", shown))


@pytest.mark.parametrize("name", NAMES)
def test_the_executed_notebook_is_its_source_cell_by_cell(name, executed):
    assert _content(executed[name]) == _content(build.lesson(name).cells), f"run `make notebooks NAME={name}`"


@pytest.mark.parametrize("name", NAMES)
def test_the_exercise_is_its_source_cell_by_cell_and_has_no_outputs(name):
    cells = nbformat.read(ROOT / "notebooks" / "learn" / f"{name}.ipynb", as_version=4).cells
    assert _content(cells) == _content(build.exercise(name).cells), f"run `make notebooks NAME={name}`"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("name", NAMES)
def test_every_code_cell_was_executed_in_order(name, executed):
    counts = [cell.execution_count for cell in executed[name] if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_cells_whose_output_is_checked_have_one(name, executed):
    checked = _tagged(executed[name], "nbval-check-output")
    assert checked
    assert all(cell.outputs and cell.execution_count for cell in checked)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_name_no_machine(name):
    text = (ROOT / "notebooks" / "read" / f"{name}.ipynb").read_text()
    assert len(text) < 300_000
    assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"
    assert not re.search(r"/(home|root|Users|tmp)/|0x[0-9a-f]{8}", text)
    assert '"stderr"' not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_it_is_about_and_what_it_takes(name):
    header = build.lesson(name).cells[0].source
    assert re.match(r"# \S", header)
    assert re.search(r"\*\*Question\.\*\* [^\n]*(\n[^\n]+)*\?", header)
    assert 3 <= len(_bold(header)) <= 4, "three or four objectives, each beginning with a word in bold"
    assert "**Before you start:**" in header
    columns, _, values = (line.strip("| ").split("|") for line in header.splitlines() if line.startswith("|"))
    table = {key.strip(): value.strip() for key, value in zip(columns, values, strict=True)}
    assert list(table) == ["read", "run", "exercises", "memory", "downloads"]
    assert all(re.fullmatch(r"\d+ min", table[key]) for key in ("read", "run", "exercises"))
    assert re.fullmatch(r"\d+ GB", table["memory"])
    assert "Launch: " in header


@pytest.mark.parametrize("name", LESSONS)
def test_nothing_is_downloaded(name):
    assert build.lesson(name).cells[0].source.splitlines()[-3].split("|")[-2].strip() == "0"


@pytest.mark.parametrize("name", NAMES)
def test_the_recap_mirrors_the_objectives(name):
    first, *_, last = build.lesson(name).cells
    assert last.source.startswith("## Recap")
    assert _bold(last.source) == _bold(first.source)


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short_and_narrow_and_prose_is_brief(name):
    _, *cells, _ = build.lesson(name).cells
    between = ""
    for cell in cells:
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            assert len(lines) <= 25, cell.source
            assert max(map(len, lines)) <= 88, max(lines, key=len)
            between = ""
        else:
            between += "\n" + cell.source
            assert _words(between) <= 120, f"{_words(between)} words: {between}"


@pytest.mark.parametrize("name", NAMES)
def test_accuracies_stand_in_no_prose(name):
    for cell in build.lesson(name).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\d\s?%|(?<!\d)0?\.\d\d", re.sub(r"`[^`]*`", "", cell.source)), cell.source


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_is_asked_before_each_figure_and_a_finding_printed_after_it(name, executed):
    asked, figure = False, None
    for cell in executed[name]:
        if cell.cell_type == "markdown":
            asked = asked or "**Predict.**" in cell.source
        elif figure is not None:
            assert "teaching.finding(" in cell.source, f"no finding after\n{figure}"
            figure = None
        elif any({"image/png", "image/jpeg"} & output.get("data", {}).keys() for output in cell.outputs):
            assert asked, f"no prediction is asked before\n{cell.source}"
            asked, figure = False, cell.source
    assert figure is None


@pytest.mark.parametrize("name", LESSONS)
def test_there_are_three_exercises_with_hints_and_checks(name):
    cells = build.lesson(name).cells
    number = name[:2]
    for k, kind in enumerate(("Predict", "Change", "Your own data"), 1):
        (start,) = (i for i, cell in enumerate(cells) if f"### Exercise {k} · {kind}" in cell.source)
        assert "<details>" in cells[start].source
        code = [cell for cell in cells[start:] if cell.cell_type == "code"]
        assert "solution" in code[0].metadata.get("tags", ()), "what the learner writes comes first"
        assert any(f'teaching.check("{number}.{k}"' in cell.source for cell in code[:3])


@pytest.mark.parametrize("name", LESSONS)
def test_claims_are_asserted_before_the_exercises(name):
    source = "\n".join(cell.source for cell in build.lesson(name).cells)
    assert "\nassert " in source.split("## Did it all hold?")[1].split("## Exercises")[0]


@pytest.mark.parametrize("name", LESSONS)
def test_baselines_are_shown(name):
    source = "\n".join(cell.source for cell in build.lesson(name).cells)
    assert "majority" in source
    assert 'teaching.measured("from_scratch")' in source
