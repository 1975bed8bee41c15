"""The README says what is there: names, commands, extras, notebooks, and what its example prints."""

import re
import tomllib
from pathlib import Path

from typer.main import get_command

import tlkeras
from tlkeras.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def _section(title):
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


HELPERS = _section("Add one helper to an existing project")


def _first_column(section):
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_name_is_public():
    called = set(re.findall(r"tlkeras\.(\w+)\(", README))
    listed = _first_column(HELPERS)
    assert called and listed
    assert called | listed <= set(tlkeras.__all__)


def test_the_commands_are_those_of_the_command_line():
    sentence = re.search(r"lists the commands: (.*?)\.", README, re.DOTALL).group(1)
    assert re.findall(r"`([\w-]+)`", sentence) == list(get_command(app).commands)


def test_the_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert _first_column(_section("Extras")) == set(project["optional-dependencies"])


def test_notebooks_are_linked_in_the_order_of_the_course_and_the_index_has_all():
    linked = re.findall(r"\(notebooks/read/(\w+\.ipynb)\)", _section("Learn"))
    assert linked == sorted(linked) and len(linked) >= 4
    assert "(notebooks/README.md)" in _section("Learn")


def test_what_is_linked_is_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_example_prints_what_is_printed_below_it(capsys):
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", HELPERS, re.DOTALL).groups()
    exec(code, {})
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == printed.splitlines()
