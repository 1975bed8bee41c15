"""Imports point one way, between rooms and within them; files are small; public names have types."""

import ast
import functools
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tlkeras"
ARCHITECTURE = (PACKAGE.parent / "docs" / "architecture.md").read_text().split("## Rooms")[1].split("## How state")[0]

# As drawn in docs/architecture.md, from the ground up; a room is a file or a folder of the package.
FLOORS = [
    ["_version", "errors", "utils"],
    ["models", "data", "augment", "backbones", "optimizers"],
    ["features", "pipelines", "evaluation", "checks"],
    ["training", "adaptation", "selection", "report", "runs", "exporters", "serving"],
    ["teaching", "cli", "__main__", "_registration"],
]
RANK = {room: rank for rank, room in enumerate(room for floor in FLOORS for room in floor)}
STUB = ast.parse((PACKAGE / "__init__.pyi").read_text()).body
PUBLIC = {alias.name: node.module for node in STUB for alias in node.names}


def _room(path):
    return path.parts[0].removesuffix(".py")


def _file(module):
    """Return the path of a module, relative to the package."""
    path = Path(*module.split(".")[1:])
    return path / "__init__.py" if (PACKAGE / path).is_dir() else path.with_suffix(".py")


def _imports(tree):
    """Return the paths of all files of the package that a file imports, inside functions too."""
    modules = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import; name the module in full"
            within = [f"{node.module}.{alias.name}" for alias in node.names]
            modules += [one if (PACKAGE / _file(one)).exists() else node.module for one in within]
    return {_file(module) for module in modules if module.startswith("tlkeras.")}


@functools.cache
def _trees():
    """Parse the files of the package, by their paths."""
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
    return {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in files}


@functools.cache
def _all_imports():
    return {path: _imports(tree) for path, tree in _trees().items()}


def test_a_file_imports_from_its_left_and_from_below_only():
    for path, imported in _all_imports().items():
        assert _room(path) in RANK, f"{_room(path)} has no floor; add it here and in docs/architecture.md"
        for other in imported:
            above = _room(other) != _room(path) and RANK[_room(other)] >= RANK[_room(path)]
            assert not above, f"{path} imports {other}, which is above it"


def test_no_files_import_each_other_in_a_circle():
    try:
        TopologicalSorter(_all_imports()).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' <- '.join(map(str, error.args[1]))}")


def test_a_folder_within_a_room_does_not_import_the_files_that_are_made_of_it():
    for path, imported in _all_imports().items():
        for above in imported:
            if _room(above) == _room(path) and above.parent in path.parent.parents:
                made_of_it = any(path.parent in (one.parent, *one.parents) for one in _all_imports()[above])
                assert not made_of_it, f"{path} imports {above}, which is made of it"


def test_files_and_functions_are_small():
    for path, tree in _trees().items():
        assert len((PACKAGE / path).read_text().splitlines()) <= 300, f"{path} has more than 300 lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 60, f"{node.name} in {path} has {lines} lines"


def test_no_room_has_the_name_of_a_public_function():
    assert not set(RANK) & set(PUBLIC)


def test_the_architecture_page_names_every_room_and_file():
    for room in RANK:
        assert room == "_version" or room in ARCHITECTURE, f"docs/architecture.md does not name {room}"
    for path in _trees():
        named = path.name == "__init__.py" or f"`{path.stem}`" in ARCHITECTURE or f"`{path.parts[1]}/`" in ARCHITECTURE
        assert named or path.parent == Path(), f"docs/architecture.md does not name {path}"


def _definition(module, name):
    """Find the class or function of a public name."""
    path = _file(f"tlkeras.{module}")
    for node in _trees()[path].body:
        if getattr(node, "name", None) == name:
            return node
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _definition(node.module.removeprefix("tlkeras."), name)
    raise AssertionError(f"{path} has no {name}")


def _functions(node):
    """Return a function itself, or the methods of a class that are called from outside."""
    inner = node.body if isinstance(node, ast.ClassDef) else [node]
    return [one for one in inner if isinstance(one, ast.FunctionDef) and (one.name[0] != "_" or one.name == "__init__")]


def test_public_names_have_types_and_a_docstring():
    for name, module in PUBLIC.items():
        definition = _definition(module, name)
        assert ast.get_docstring(definition), f"{name} has no docstring"
        for function in _functions(definition):
            given = function.args
            arguments = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs]
            bare = [one.arg for one in arguments if one and one.annotation is None and one.arg not in ("self", "cls")]
            bare += ["what it returns"] * (function.returns is None and function.name != "__init__")
            assert not bare, f"{function.name} of {name} has no type for {', '.join(bare)}"


def test_each_export_format_has_a_runtime_an_inspector_a_reader_of_labels_and_a_mark():
    from tlkeras.exporters import comparison_figure, inspection, labels, opening, options, runtimes

    formats = set(options.MODEL_FILES)
    for table in (runtimes.RUNTIMES, inspection._INSPECTORS, labels._INSIDE, comparison_figure._MARKS):
        assert set(table) == formats
    assert {*opening._SUFFIXES.values(), "saved_model"} == formats
    assert set(options.QUANTIZATIONS) == set(options.FORMATS) == formats | {"web"}
