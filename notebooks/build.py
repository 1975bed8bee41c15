"""Builds the notebooks from `src/NAME.py`: `NAME.ipynb`, executed, and `exercises/NAME.ipynb`, without the solutions.

A source is a Python file in percent format. What is built depends on it alone: cells are numbered by their content, and
neither times nor machines are recorded, so that a rebuild changes only what the source or its results changed.

Run: python notebooks/build.py [NAME ...]
"""

import argparse
import ast
import hashlib
import os
import re
import sys
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
SOURCES = HERE / "src"
EXERCISES = HERE / "exercises"
CELL_TIMEOUT = 300
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def names():
    """All notebooks, in the order of the course."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def lesson(name, repository=None):
    """The notebook that a source describes, not executed.

    Args:
        name: Of the notebook, such as `"01_feature_extraction"`.
        repository: `"owner/name"` on GitHub that the launch badges point to; by default what pyproject.toml says.

    Returns:
        `nbformat.NotebookNode`.
    """
    return _finished(_cells(name), name, "", repository)


def exercise(name, repository=None):
    """The same for learners: solutions replaced by `...`."""
    cells = _cells(name)
    for cell in cells:
        if "solution" in cell.metadata.get("tags", ()):
            cell.source = stub(cell.source)
            cell.metadata.tags = ["exercise"]
        elif cell.metadata.get("tags"):
            cell.metadata.tags = [tag for tag in cell.metadata.tags if tag != "nbval-check-output"]
    return _finished(cells, name, "exercises/", repository)


def stub(source):
    r"""Takes a solution out: names stay, signatures, docstrings, imports, and the comment above all.

    Example:

    >>> print(stub("# Count to three.\ncount = 3\nprint(count)"))
    # Count to three.
    count = ...
    """
    lines = source.splitlines()
    first = next((i for i, line in enumerate(lines) if line and not line.startswith("#")), len(lines))
    kept = [line for line in lines[:first] if line]
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            kept.append(lines[node.lineno - 1].partition(" = ")[0] + " = ...")
        elif isinstance(node, ast.FunctionDef):
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            kept += [*lines[node.lineno - 1 : start.lineno - 1], f"{' ' * start.col_offset}..."]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            kept.append(ast.get_source_segment(source, node))
    return "\n".join(kept)


def execute(notebook):
    """Runs a notebook in a fresh kernel in its own folder and keeps what it printed and drew."""
    os.environ.setdefault("PYTHONHASHSEED", "0")
    resources = {"metadata": {"path": str(HERE)}}
    NotebookClient(
        notebook, timeout=CELL_TIMEOUT, kernel_name="python3", resources=resources, record_timing=False
    ).execute()
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if output.get("name") == "stderr":
            raise SystemExit(f"stderr differs from machine to machine; a cell wrote there: {output.text}")
        if "image/jpeg" in output.get("data", {}):  # Pillow offers both, and the other is several times as large
            del output.data["image/png"]
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def write(notebook, path):
    """Writes a notebook under a temporary name first."""
    nbformat.validate(notebook)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    part.replace(path)


def _cells(name):
    return jupytext.read(SOURCES / f"{name}.py", fmt="py:percent").cells


def _finished(cells, name, folder, repository):
    cells[0].source += "\n\n" + launch(f"notebooks/{folder}{name}.ipynb", repository)
    seen = {}
    for cell in cells:
        content = f"{cell.cell_type}\n{cell.source}"
        seen[content] = seen.get(content, 0) + 1
        cell.id = hashlib.sha256(f"{content}\n{seen[content]}".encode()).hexdigest()[:12]
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.NotebookNode({"tags": tags} if tags else {})
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def launch(path, repository=None):
    """A line that says how to open a notebook: badges where the project has a public address, else the command.

    Args:
        path: Of the notebook, from the root of the repository.
        repository: `"owner/name"` on GitHub, or `""`. By default what `project.urls.Repository` in pyproject.toml says;
            a badge that points to a wrong place is worse than none.
    """
    repository = _repository() if repository is None else repository
    command = f"`jupyter lab {path}`"
    if not repository:
        return f"Launch: {command}"
    colab, binder = "https://colab.research.google.com", "https://mybinder.org"
    badges = (
        f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{repository}/blob/main/{path})",
        f"[![Open in Binder]({binder}/badge_logo.svg)]({binder}/v2/gh/{repository}/main?urlpath=lab/tree/{path})",
    )
    return f"Launch: {' '.join(badges)} {command}"


def _repository():
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    found = re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(\.git)?/?", project.get("urls", {}).get("Repository", ""))
    return found and found[1]


def main():
    """Builds the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", choices=[*names(), []], metavar="NAME", help="by default all")
    for name in parser.parse_args().name or names():
        start = time.perf_counter()
        write(exercise(name), EXERCISES / f"{name}.ipynb")
        write(execute(lesson(name)), HERE / f"{name}.ipynb")
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
