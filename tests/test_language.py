"""What a machine can see of the language guide in CONTRIBUTING.md; Ruff checks the first lines of docstrings."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "tlkeras").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
AVOID = re.compile(
    r"\b(thaw\w*|mend(s|ed|ing)?|heed\w*|behaviour|colour\w*|grey\w*|of which|shall|whoever|hitherto"
    r"|a image|likewise)\b",
    re.IGNORECASE,
)


def _messages(tree):
    """Yield line and text of every `InputError`, with `{}` for what is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "InputError" and node.args:
            parts = getattr(node.args[0], "values", node.args[:1])
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_errors_are_capitalized_and_say_received_in_one_way(path):
    for line, text in _messages(ast.parse(path.read_text("utf-8"))):
        assert not text[:1].islower() or text.startswith("tlkeras "), f"{path}:{line} begins in lower case: {text!r}"
        assert not re.search(r"\breceived\b", text), f"{path}:{line}: write 'Received: name=value'"


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words_that_the_guide_replaces_are_not_used(path):
    text = path.read_text("utf-8")
    if path.name == "CONTRIBUTING.md":
        text = re.sub(r"^\|.*\|$", "", text, flags=re.MULTILINE)  # the samples
    found = [match.group() for match in AVOID.finditer(text)]
    assert not found, f"{path} uses {', '.join(found)}; CONTRIBUTING.md says what to write instead"
