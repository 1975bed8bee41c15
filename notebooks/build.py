"""Build the notebooks from `src/NAME.py`: `read/NAME.ipynb`, executed, and `learn/NAME.ipynb`, without solutions.

A source is a Python file in percent format. The result depends on it alone: cells are numbered by their content, and
neither times nor machines are recorded. A rebuild therefore changes only what the source or its results changed.

Run: python notebooks/build.py [NAME ...]
     python notebooks/build.py --text NAME     rewrite prose and keep the outputs, if no code has changed
     python notebooks/build.py --boards        show the stored rows in all scoreboards, without executing anything
     python notebooks/build.py --index         rewrite only README.md, the list of all notebooks
     python notebooks/build.py --seconds       also store how long each takes, in CPU seconds without stored features
"""

import argparse
import ast
import base64
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
SOURCES, READ, LEARN = HERE / "src", HERE / "read", HERE / "learn"
MEASUREMENTS = HERE.parent / "tlkeras" / "teaching" / "measurements"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
#: The course, in its order. Links to the previous and the next notebook follow it.
SYLLABUS = (
    "00_setup",
    "01_the_whole_game",
    "02_what_the_network_sees",
    "03_feature_extraction",
    "04_freezing_and_forgetting",
    "05_fine_tuning_well",
    "06_how_much_data",
    "07_augmentation",
    "08_choosing_a_backbone",
    "09_domain_shift",
    "10_few_and_dirty_labels",
    "11_deploy",
    "12_decisions",
)
SCOREBOARD = "application/vnd.tlkeras.scoreboard+json"
_HIDDEN = ("teaching.finding(", "teaching.outcome(")
#: PNGs above this size are reduced to 256 colors.
_LARGE_PNG = 40_000


def names():
    """Return the names of all notebooks, in the order of the course."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def lesson(name, repository=None):
    """Build the notebook that a source describes, not executed.

    Args:
        name: Name of the notebook.
        repository: `"owner/name"` on GitHub that the launch badges point to. Defaults to that in pyproject.toml.
    """
    return _finished(_cells(name), name, "read", repository)


def exercise(name, repository=None):
    """Build the same notebook for learners, with `...` in place of solutions."""
    cells = _cells(name)
    for cell in cells:
        if "solution" in cell.metadata.get("tags", ()):
            cell.source = stub(cell.source)
            cell.metadata.tags = ["exercise"]
        elif cell.metadata.get("tags"):
            cell.metadata.tags = [tag for tag in cell.metadata.tags if tag != "nbval-check-output"]
    return _finished(cells, name, "learn", repository)


def stub(source):
    r"""Remove a solution. Keep names, signatures, docstrings, imports, the first comment, and what asks for a guess.

    Example:

    >>> print(stub("# Count to three.\ncount = 3\nprint(count)"))
    # Count to three.
    count = ...
    """
    lines = source.splitlines()
    first = next((i for i, line in enumerate(lines) if line and not line.startswith("#")), len(lines))
    kept = [line for line in lines[:first] if line]
    body = ast.parse(source).body
    calls = [node.value for node in body if isinstance(node, ast.Expr) and _asks(node.value)]
    values = [one for call in calls for one in (*call.args[2:], *(word.value for word in call.keywords))]
    offered = tuple(f"{ast.unparse(one)} = " for one in values)
    for node in body:
        text = ast.get_source_segment(source, node)
        if text.startswith(offered):  # what a learner chooses from
            kept.append(text)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            kept.append(lines[node.lineno - 1].partition(" = ")[0] + " = ...")
        elif isinstance(node, ast.FunctionDef):
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            kept += [*lines[node.lineno - 1 : start.lineno - 1], f"{' ' * start.col_offset}..."]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            kept.append(text)
        elif isinstance(node, ast.Expr) and node.value in calls:
            kept.append(_without_guess(source, node.value))
    return "\n".join(kept)


def execute(notebook):
    """Run a notebook in a fresh kernel in its own folder, and keep what it printed and drew."""
    os.environ.setdefault("PYTHONHASHSEED", "0")
    READ.mkdir(exist_ok=True)
    resources = {"metadata": {"path": str(READ)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources, record_timing=False).execute()
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if output.get("name") == "stderr":
            raise SystemExit(f"stderr differs from machine to machine; a cell wrote there: {output.text}")
        data = output.get("data", {})
        if "image/jpeg" in data:  # Pillow offers both, and the other is several times as large
            data.pop("image/png", None)
        elif "image/png" in data:
            data["image/png"] = _small_png(data["image/png"])
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def reworded(name):
    """Build an executed notebook from its source and the outputs of the last build, for changes of prose."""
    notebook = lesson(name)
    before = [cell for cell in nbformat.read(READ / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in before] != [cell.source for cell in code]:
        raise SystemExit(f"The code of {name} has changed since it was executed. Build it without --text.")
    for cell, old in zip(code, before, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return notebook


def take_scores(notebook):
    """Remove the rows of the scoreboard from the outputs of an executed notebook, and return them, or None."""
    rows = None
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        rows = output.get("data", {}).pop(SCOREBOARD, rows)
    return rows


def refresh_board(name):
    """Show the stored rows of all notebooks up to this one in its scoreboard. Nothing is executed."""
    from tlkeras.teaching.comparing import stored_board

    notebook = nbformat.read(READ / f"{name}.ipynb", as_version=4)
    board = stored_board(name[:2])
    for cell in notebook.cells:
        if cell.cell_type == "code" and "teaching.scoreboard(" in cell.source:
            for output in cell.outputs:
                if "text/html" in output.get("data", {}):
                    output.data = {"text/html": board.data["text/html"], "text/plain": board.text}
    write(notebook, READ / f"{name}.ipynb")


def write(notebook, path):
    """Write a notebook under a temporary name, then rename it."""
    nbformat.validate(notebook)
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def record(seconds, batch=None):
    """Store how long notebooks take, for `tlkeras doctor` and the index. Notebooks not measured keep their times.

    Args:
        seconds: Dict from the name of a notebook to seconds.
        batch: Seconds of `tlkeras.teaching.doctor.check_forward_pass` at the same time. Defaults to the stored ones, of
            quiet cores: CPU seconds hardly depend on what else runs.
    """
    file = MEASUREMENTS / "notebook_seconds.json"
    before = json.loads(file.read_text())
    known = before["notebooks"] | seconds
    known = {name: known[name] for name in names() if name in known}
    file.write_text(json.dumps({"batch": round(batch or before["batch"], 4), "notebooks": known}, indent=1) + "\n")


def index():
    """Return the list of notebooks: questions, minutes and prerequisites from their sources, and how long all take."""
    seconds, every = json.loads((MEASUREMENTS / "notebook_seconds.json").read_text())["notebooks"], []
    lines = ["| notebook | question | minutes to read | to run | of exercises | before you start |", "|---" * 6 + "|"]
    for name in names():
        header = _cells(name)[0].source
        asked = " ".join(re.search(r"\*\*Question\.\*\* (.*?\?)\s*\n\n", header, re.DOTALL)[1].split())
        needs = " ".join(re.search(r"\*\*Before you start:\*\* (.*?)\n\n", header, re.DOTALL)[1].split())
        needs = re.sub(r"\]\((\w+\.ipynb)\)", r"](learn/\1)", needs)
        time_read, time_run, time_solve = re.findall(r"\| (\d+(?: to \d+)?) min", header)
        run = f"{seconds[name] / 60:.1f}" if name in seconds else time_run
        links = f"**{_title(name)}**<br>[read](read/{name}.ipynb) · [learn](learn/{name}.ipynb)"
        lines.append(f"| {links} | {asked} | {time_read} | {run} | {time_solve} | {needs} |")
        every.append([float(minutes.split()[-1]) for minutes in (time_read, run, time_solve)])
    sums = (f"**{sum(minutes):.0f}**" for minutes in zip(*every, strict=True))
    lines.append(f"| **all notebooks** | | {' | '.join(sums)} | |")
    return "\n".join([(HERE / "introduction.md").read_text(), *lines, ""])


def picture():
    """Return the first picture of 01 as a small JPEG: drawings with right and wrong answers of the model."""
    cells = nbformat.read(READ / f"{SYLLABUS[1]}.ipynb", as_version=4).cells
    pictures = (output.get("data", {}).get("image/png") for cell in cells for output in cell.get("outputs", ()))
    image = Image.open(io.BytesIO(base64.b64decode(next(filter(None, pictures))))).convert("RGB")
    file = io.BytesIO()
    image.reduce(2).save(file, "jpeg", quality=85, optimize=True)
    return file.getvalue()


def launch(path, repository=None):
    """Say how to open a notebook: badges where the project has a public address, else the command.

    Args:
        path: Path of the notebook from the root of the repository.
        repository: `"owner/name"` on GitHub, or `""` for no badges. Defaults to that in pyproject.toml.
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


def navigation(name, folder):
    """Link the previous and the next notebook, the index, and the other edition of this one, in `read` or `learn`."""
    if name not in SYLLABUS:
        return ""
    position = SYLLABUS.index(name)
    before, after = SYLLABUS[:position][-1:], SYLLABUS[position + 1 :][:1]
    links = [f"[← {_title(one)}]({one}.ipynb)" for one in before]
    links.append("[All notebooks](../README.md)")
    other, said = ("learn", "Work on this page") if folder == "read" else ("read", "With outputs and solutions")
    links.append(f"[{said}](../{other}/{name}.ipynb)")
    return " · ".join([*links, *(f"[{_title(one)} →]({one}.ipynb)" for one in after)])


def hidden(cell):
    """Return whether the code of a cell is folded, because only its result teaches."""
    return cell.cell_type == "code" and ("hide" in cell.metadata.get("tags", ()) or cell.source.startswith(_HIDDEN))


def _cells(name):
    return jupytext.read(SOURCES / f"{name}.py", fmt="py:percent").cells


def _title(name):
    """Return number and title of a notebook from its name, so that its neighbors do not depend on its source."""
    return name.replace("_", " ")


def _asks(call):
    return getattr(getattr(call, "func", None), "attr", "") in ("predict", "quiz")


def _without_guess(source, call):
    """Return the source of a call with `...` in place of its second argument, unless that is a name."""
    text = ast.get_source_segment(source, call)
    guess = call.args[1] if len(call.args) > 1 else None
    if guess is None or isinstance(guess, ast.Name):
        return text
    return text.replace(ast.get_source_segment(source, guess), "...", 1)


def _small_png(encoded):
    """Reduce a large PNG to 256 colors if that makes it smaller."""
    png = base64.b64decode(encoded)
    if len(png) < _LARGE_PNG:
        return encoded
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode() if len(file.getvalue()) < len(png) else encoded


def _finished(cells, name, folder, repository):
    links = navigation(name, folder)
    title, _, rest = cells[0].source.partition("\n")
    cells[0].source = f"{title}\n{f'{chr(10)}{links}{chr(10)}' if links else ''}{rest}"
    cells[0].source += "\n\n" + launch(f"notebooks/{folder}/{name}.ipynb", repository)
    if links:
        cells[-1].source += f"\n\n{links}"
    seen = {}
    for cell in cells:
        content = f"{cell.cell_type}\n{cell.source}"
        seen[content] = seen.get(content, 0) + 1
        cell.id = hashlib.sha256(f"{content}\n{seen[content]}".encode()).hexdigest()[:12]
        tags = cell.metadata.get("tags")
        folded = {"jupyter": {"source_hidden": True}} if hidden(cell) else {}
        cell.metadata = nbformat.NotebookNode(({"tags": tags} if tags else {}) | folded)
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})


def child_seconds():
    """Return the CPU seconds of all kernels that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _repository():
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    match = re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(\.git)?/?", project.get("urls", {}).get("Repository", ""))
    return match and match[1]


def main():
    """Build the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", choices=[*names(), []], metavar="NAME", help="by default all")
    parser.add_argument("--text", action="store_true", help="rewrite prose and keep the outputs")
    parser.add_argument("--boards", action="store_true", help="only update the scoreboards from the stored rows")
    parser.add_argument("--index", action="store_true", help="rewrite only README.md")
    parser.add_argument("--seconds", action="store_true", help="also store how long each takes")
    options = parser.parse_args()
    built, changed, seconds = options.name or names(), [], {}
    for name in built if options.boards else ():
        refresh_board(name)
    for name in () if options.index or options.boards else built:
        start, busy = time.perf_counter(), child_seconds()
        if options.seconds:
            os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp()  # a first run finds no features
        write(exercise(name), LEARN / f"{name}.ipynb")
        executed = reworded(name) if options.text else execute(lesson(name))
        if (scores := take_scores(executed)) is not None:
            file = MEASUREMENTS / "scoreboard" / f"{name[:2]}.json"
            file.parent.mkdir(exist_ok=True)
            before, now = file.exists() and file.read_text(), json.dumps(scores, indent=1) + "\n"
            changed += [name] if before != now else []
            file.write_text(now)
        write(executed, READ / f"{name}.ipynb")
        seconds[name] = round(child_seconds() - busy, 1)
        print(f"{name}: {time.perf_counter() - start:.0f} s, {seconds[name]:.0f} of CPU", file=sys.stderr)
    stale = [name for name in names() if changed and name > min(changed) and name not in built]
    if stale:
        print(f"These scoreboards show older rows; run it with --boards: {' '.join(stale)}", file=sys.stderr)
    if options.seconds:
        record(seconds)
    if options.index or not options.name:
        (HERE / "README.md").write_text(index())
        (HERE / "answers.jpg").write_bytes(picture())


if __name__ == "__main__":
    main()
