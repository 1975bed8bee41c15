"""Every public name has its section in docs/reference.md."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_a_section_for_each_public_name_and_for_no_other(script):
    sections = re.findall(r"^### (\w+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == list(script.public_names()), "run `make reference`"


def test_docstrings_become_markdown_with_balanced_code(script):
    page = script.page()
    assert page.count("```python\n") == page.count("```\n") == len(re.findall(r"^```", page, re.MULTILINE)) / 2
    assert "- `name`: A catalog name (see" in page  # an argument of `backbone`
    assert "\n>>> model = backbone(" in page
