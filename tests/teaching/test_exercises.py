"""Every exercise refuses what is not right yet, and accepts whatever is right."""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import tlkeras
from tlkeras import InputError, teaching
from tlkeras.teaching import NotYet, check

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)


def _exercises():
    found = []
    for name in build.names():
        cells = build.exercise(name).cells
        source = "\n".join(cell.source for cell in cells)
        stubs = [cell.source for cell in cells if "exercise" in cell.metadata.get("tags", ())]
        stubs = [stub for stub in stubs if "teaching.quiz(" not in stub]
        found += [
            pytest.param(number, answer, "\n".join(stubs), id=number)
            for number, answer in re.findall(r'teaching\.check\("([\w.]+)", (\w+)', source)
        ]
    return found


@pytest.mark.parametrize("number, answer, stubs", _exercises())
def test_the_stub_that_a_learner_starts_from_is_refused(number, answer, stubs):
    names = {"teaching": teaching, "np": np, "tlkeras": tlkeras}
    exec(compile(ast.parse(stubs), "stubs", "exec"), names)
    with pytest.raises(NotYet):
        check(number, names[answer], *[0.5] * 3 if not callable(names[answer]) else ())


def test_an_exercise_that_does_not_exist_is_named():
    with pytest.raises(InputError, match=r"no exercise '77\.1'"):
        check("77.1", 1)
    with pytest.raises(InputError, match=r"no exercise '01\.9'"):
        check("01.9", 1)


def test_a_learner_sees_one_line_and_no_traceback():
    with pytest.raises(NotYet) as caught:
        check("01.1", "all of them", 0.3, 0.2)
    assert caught.value._render_traceback_() == [f"Not yet: {caught.value}"]
