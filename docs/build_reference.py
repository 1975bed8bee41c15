"""Write docs/reference.md from the stub of public names and their docstrings, without importing tlkeras.

python docs/build_reference.py
"""

import ast
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, PAGE = ROOT / "tlkeras", ROOT / "docs" / "reference.md"
#: Sections of a docstring whose lines are `name: text`.
LISTS = ("Args", "Attributes", "Raises")
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples|References?|Source):\s*$")


def public_names():
    """Return the module of each public name, in the order of the stub.

    Example:

    >>> public_names()["backbone"]
    'backbones.build'
    """
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    return {alias.name: node.module for node in stub.body for alias in node.names}


def definition(module, name):
    """Return the syntax tree of a class or function, followed through the modules that import it."""
    path = PACKAGE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if getattr(node, "name", None) == name:
            return node
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return definition(node.module.removeprefix("tlkeras."), name)
    raise LookupError(f"{path} has no {name}")


def signature(node, name):
    """Write the call of a function or class with one argument per line where it is long."""
    if isinstance(node, ast.ClassDef):
        makers = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        fields = [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
        arguments = _arguments(makers[0].args) if makers else fields
        returns = ""
    else:
        arguments = _arguments(node.args)
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= 88:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returns}"])


def _arguments(arguments):
    """Return the arguments of a function as they are written, without `self`."""
    text = ast.unparse(arguments)
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part and part not in ("self", "cls")]


def markdown(docstring):
    """Turn a docstring into Markdown: lists of arguments as bullets, examples as code."""
    written, section, code = [], "", False
    for line in inspect.cleandoc(docstring).splitlines():
        if heading := SECTION.match(line):
            section, line = heading[1], f"**{heading[1]}**\n"
        elif line.lstrip().startswith(">>>") and not code:
            written.append("```python")
            code = True
        elif code and not line.strip():
            written.append("```")
            code = False
        elif line and not line.startswith(" ") and not code:
            section = ""
        if not code and section in LISTS:
            line = re.sub(r"^    ([*\w., ]+?): ", r"- `\1`: ", line)
            line = re.sub(r"^ {8}", "  ", line)
        elif not code and section:
            line = line.removeprefix("    ")
        written.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*written, "```"] if code else written))


def methods(node):
    """Return the documented methods and properties of a class, without those that begin with an underscore."""
    if not isinstance(node, ast.ClassDef):
        return []
    functions = [one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
    return [one for one in functions if ast.get_docstring(one)]


def entry(name, node):
    """Write the section of one public name."""
    lines = [f"### {name}", "", "```python", signature(node, name), "```", "", markdown(ast.get_docstring(node)), ""]
    for method in methods(node):
        is_property = any(ast.unparse(one).endswith("property") for one in method.decorator_list)
        called = f"{name}.{method.name}" if is_property else signature(method, f"{name}.{method.name}")
        lines += [f"#### {name}.{method.name}", "", "```python", called, "```", ""]
        lines += [markdown(ast.get_docstring(method)), ""]
    return lines


def page():
    """Write the whole page: a table of contents, then the rooms in the order of the stub."""
    rooms = {}
    for name, module in public_names().items():
        rooms.setdefault(module.partition(".")[0], {})[name] = definition(module, name)
    lines = [
        "# Reference",
        "",
        "All public names of tlkeras, by the folder they live in. `make reference` writes this page.",
        "",
    ]
    for room, nodes in rooms.items():
        lines += [f"**{room}**", "", "| name | |", "|---|---|"]
        for name, node in nodes.items():
            first = ast.get_docstring(node).partition("\n")[0]
            lines.append(f"| [`{name}`](#{name.lower()}) | {first} |")
        lines.append("")
    for room, nodes in rooms.items():
        lines += [f"## {room}", ""]
        for name, node in nodes.items():
            lines += entry(name, node)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
