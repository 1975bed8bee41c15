"""What a machine can see of the language guide in CONTRIBUTING.md; Ruff checks the first lines of docstrings."""

import ast
import re
from pathlib import Path

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


def test_errors_are_capitalized_and_say_received_in_one_way():
    for path in SOURCES:
        for line, text in _messages(ast.parse(path.read_text("utf-8"))):
            capital = not text[:1].islower() or text.startswith("tlkeras ")
            assert capital, f"{path}:{line} begins in lower case: {text!r}"
            assert not re.search(r"\breceived\b", text), f"{path}:{line}: write 'Received: name=value'"


def test_words_that_the_guide_replaces_are_not_used():
    used = {}
    for path in [*SOURCES, *PAGES]:
        text = path.read_text("utf-8")
        if path.name == "CONTRIBUTING.md":
            text = re.sub(r"^\|.*\|$", "", text, flags=re.MULTILINE)  # the samples
        if words := [match.group() for match in AVOID.finditer(text)]:
            used[str(path)] = words
    assert not used, "CONTRIBUTING.md says what to write instead"
