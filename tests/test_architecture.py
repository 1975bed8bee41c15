"""Imports point one way: to the same room, to the left on the same floor, or down; public names have types."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tlkeras"

# As drawn in docs/architecture.md, from the ground up; a room is a file or a folder of the package.
FLOORS = [
    ["_version", "errors", "utils"],
    ["models", "data", "augment", "backbones", "optimizers"],
    ["features", "pipelines", "evaluation", "checks"],
    ["training", "selection", "runs"],
    ["teaching", "cli", "__main__", "_registration"],
]
RANK = {room: rank for rank, room in enumerate(room for floor in FLOORS for room in floor)}


def _room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import; name the module in full"
            names = [node.module if node.module != "tlkeras" else f"tlkeras.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("tlkeras."))


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_imports_from_its_left_and_from_below_only(path):
    room = _room(path)
    assert room in RANK, f"{room} stands on no floor; give it one here and in docs/architecture.md"
    for other in _imported_rooms(path):
        assert other == room or RANK[other] < RANK[room], f"{path} imports {other}, which stands above it"


def test_the_drawing_names_every_room():
    drawing = (PACKAGE.parent / "docs" / "architecture.md").read_text().split("## Rooms")[1].split("## ")[0]
    for room in RANK:
        assert room == "_version" or room in drawing, f"docs/architecture.md does not name {room}"


def _definition(module, name):
    """The class or function of a public name, looked for where the package has it from."""
    path = PACKAGE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text()).body:
        if getattr(node, "name", None) == name:
            return node
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _definition(node.module.removeprefix("tlkeras."), name)
    raise AssertionError(f"{path} has no {name}")


def _functions(node):
    """A function itself; of a class those that are called from outside."""
    inner = node.body if isinstance(node, ast.ClassDef) else [node]
    return [one for one in inner if isinstance(one, ast.FunctionDef) and (one.name[0] != "_" or one.name == "__init__")]


STUB = ast.parse((PACKAGE / "__init__.pyi").read_text()).body
PUBLIC = {alias.name: node.module for node in STUB for alias in node.names}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_has_types(name):
    for function in _functions(_definition(PUBLIC[name], name)):
        given = function.args
        arguments = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs]
        bare = [one.arg for one in arguments if one and one.annotation is None and one.arg not in ("self", "cls")]
        bare += ["what it returns"] * (function.returns is None and function.name != "__init__")
        assert not bare, f"{function.name} of {name} has no type for {', '.join(bare)}"
