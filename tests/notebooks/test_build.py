"""What is built from a source: the lesson, the exercise without solutions, and where they may be opened."""

import importlib.util
from pathlib import Path

import pytest

from tlkeras.teaching import comparing

_spec = importlib.util.spec_from_file_location("build", Path(__file__).parents[2] / "notebooks" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

SOURCE = """# %% [markdown]
# # Lesson

# %%
answer = 1

# %%
answer = 1

# %% tags=["nbval-check-output"]
print(answer)

# %% tags=["solution"]
# Double it.
doubled = (
    2 * answer
)
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    (tmp_path / "lesson.py").write_text(SOURCE)
    return tmp_path / "lesson.py"


def test_building_twice_gives_the_same_notebook(source):
    assert build.lesson("lesson") == build.lesson("lesson")


def test_cells_keep_their_ids_when_another_cell_changes(source):
    before = [cell.id for cell in build.lesson("lesson").cells]
    source.write_text(SOURCE.replace("print(answer)", "print(answer + 1)"))
    after = [cell.id for cell in build.lesson("lesson").cells]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, True, False, True]
    assert len(set(before)) == len(before)


def test_the_exercise_differs_in_its_solutions_only(source):
    lesson, exercise = build.lesson("lesson").cells, build.exercise("lesson").cells
    assert [cell.source for cell in exercise[1:4]] == [cell.source for cell in lesson[1:4]]
    assert exercise[4].source == "# Double it.\ndoubled = ..."
    assert exercise[4].metadata.tags == ["exercise"]
    assert "tags" not in exercise[3].metadata


@pytest.mark.parametrize(
    "solution, stub",
    [
        ("a = 1\nb: int = 2", "a = ...\nb: int = ..."),
        ("a, b = 1, 2\nprint(a)", "a, b = ..."),
        ('def f(x, y=2):\n    """Doc."""\n    return x', 'def f(x, y=2):\n    """Doc."""\n    ...'),
        ('guess = "a"\nteaching.predict("01.a", guess)', 'guess = ...\nteaching.predict("01.a", guess)'),
        (
            'guess = "a"\nBANDS = (\n    "a",\n)\nteaching.predict("01.a", guess, choices=BANDS)',
            'guess = ...\nBANDS = (\n    "a",\n)\nteaching.predict("01.a", guess, choices=BANDS)',
        ),
        ('teaching.quiz("01", "a")', 'teaching.quiz("01", ...)'),
        ("# Why.\n\nimport keras\nmodel = keras.Model()", "# Why.\nimport keras\nmodel = ..."),
    ],
)
def test_a_stub_keeps_names_signatures_imports_and_the_first_comment(solution, stub):
    assert build.stub(solution) == stub


def test_badges_lead_to_the_repository_and_there_are_none_without_one():
    path = "notebooks/lesson.ipynb"
    badges = build.launch(path, "someone/project")
    assert "https://colab.research.google.com/github/someone/project/blob/main/notebooks/lesson.ipynb" in badges
    assert "https://mybinder.org/v2/gh/someone/project/main?urlpath=lab/tree/notebooks/lesson.ipynb" in badges
    assert "http" not in build.launch(path, "")
    assert path in build.launch(path, "")


@pytest.mark.parametrize(
    "urls, repository",
    [
        ('Repository = "https://github.com/someone/project"', "someone/project"),
        ('Repository = "https://github.com/someone/project.git/"', "someone/project"),
        ('Repository = "https://example.org/someone/project"', None),
        ("", None),
    ],
)
def test_badges_stand_in_every_notebook_as_soon_as_the_project_names_its_repository(
    source, tmp_path, monkeypatch, urls, repository
):
    (tmp_path / "pyproject.toml").write_text(f"[project]\n[project.urls]\n{urls}\n")
    monkeypatch.setattr(build, "HERE", tmp_path / "notebooks")
    for kind, path in ((build.lesson, "notebooks/read/lesson.ipynb"), (build.exercise, "notebooks/learn/lesson.ipynb")):
        header = kind("lesson").cells[0].source
        assert ("badge" in header) is bool(repository)
        assert not repository or f"/{repository}/blob/main/{path}" in header


def test_execution_keeps_results_and_nothing_of_the_machine(source):
    notebook = build.execute(build.lesson("lesson"))
    cell = notebook.cells[3]
    assert cell.outputs[0].text == "1\n"
    assert cell.execution_count == 3
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_links_follow_the_syllabus_in_both_editions():
    first, second, last = build.SYLLABUS[0], build.SYLLABUS[1], build.SYLLABUS[-1]
    assert "←" not in build.navigation(first, "read") and f"]({second}.ipynb)" in build.navigation(first, "read")
    assert "→" not in build.navigation(last, "learn")
    assert f"](../learn/{second}.ipynb)" in build.navigation(second, "read")
    assert f"](../read/{second}.ipynb)" in build.navigation(second, "learn")
    assert build.navigation("something_else", "read") == ""


@pytest.mark.parametrize(
    "code, folded",
    [
        ('teaching.finding("A.")', True),
        ("teaching.outcome(\n    1)", True),
        ("x = 1\nteaching.finding(x)", False),
        ("# %% x\nprint(1)", False),
    ],
)
def test_cells_that_only_show_a_result_are_folded(source, code, folded):
    source.write_text(f"# %% [markdown]\n# # Lesson\n\n# %%\n{code}\n")
    assert build.lesson("lesson").cells[1].metadata.get("jupyter", {}).get("source_hidden", False) is folded
    source.write_text(f'# %% [markdown]\n# # Lesson\n\n# %% tags=["hide"]\n{code}\n')
    assert build.lesson("lesson").cells[1].metadata["jupyter"]["source_hidden"]


def test_rewording_keeps_outputs_and_refuses_changed_code(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "READ", tmp_path)
    executed = build.lesson("lesson")
    for count, cell in enumerate((cell for cell in executed.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
        cell.outputs = [build.nbformat.v4.new_output("stream", text=str(count))]
    build.write(executed, tmp_path / "lesson.ipynb")
    source.write_text(SOURCE.replace("# # Lesson", "# # Another title"))
    cells = build.reworded("lesson").cells
    assert cells[0].source.startswith("# Another title")
    assert [cell.outputs[0].text for cell in cells[1:]] == ["1", "2", "3", "4"]
    source.write_text(SOURCE.replace("answer = 1", "answer = 2"))
    with pytest.raises(SystemExit, match="has changed"):
        build.reworded("lesson")


def test_scores_are_taken_out_of_the_outputs():
    notebook = build.lesson(build.names()[0])
    assert build.take_scores(notebook) is None
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    data = {build.SCOREBOARD: [["probe", 0.7]], "text/plain": "table"}
    code.outputs = [build.nbformat.v4.new_output("display_data", data)]
    assert build.take_scores(notebook) == [["probe", 0.7]]
    assert code.outputs[0].data == {"text/plain": "table"}
    assert build.SCOREBOARD == comparing.SCOREBOARD


def test_a_board_shows_the_stored_rows_and_other_outputs_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "READ", tmp_path)
    monkeypatch.setattr(comparing, "_stored", lambda: [("03", _row("old", 0.5)), ("04", _row("own", 0.75))])
    cells = [build.nbformat.v4.new_code_cell(code) for code in ("teaching.scoreboard('04', rows)", "table")]
    for cell in cells:
        cell.outputs = [build.nbformat.v4.new_output("display_data", {"text/html": "stale", "text/plain": "stale"})]
    build.write(build.nbformat.v4.new_notebook(cells=cells), tmp_path / "04_lesson.ipynb")
    build.refresh_board("04_lesson")
    board, other = build.nbformat.read(tmp_path / "04_lesson.ipynb", as_version=4).cells
    assert "old" in board.outputs[0].data["text/plain"] and "75.0%" in board.outputs[0].data["text/plain"]
    assert "<th" in board.outputs[0].data["text/html"] and build.SCOREBOARD not in board.outputs[0].data
    assert other.outputs[0].data["text/plain"] == "stale"


def _row(name, share):
    return {"approach": name, "images": "drawings", "splits": 12, "right": [share]}
