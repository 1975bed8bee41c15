"""`tlkeras check`: its table, its JSON, its exit status, and that nothing is ever lost."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tlkeras import cli


@pytest.fixture
def folder(tmp_path):
    """Two classes of eleven sound images each."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(11):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), "uint8")).save(tmp_path / "data" / name / f"{index}.png")
    return tmp_path / "data"


def check(*arguments):
    """Runs `tlkeras check` in this process and gives its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tlkeras", "check", "--no-labels", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code or 0


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_sound_folder_is_reported_as_such_with_status_0(folder, capsys):
    assert check(folder) == 0
    out = capsys.readouterr().out
    assert "22 images, 2 classes" in out and "nothing found" in out


def test_warnings_alone_leave_status_0_and_errors_give_1(folder, capsys):
    shutil.copy(folder / "cat" / "0.png", folder / "cat" / "copy.png")
    assert check(folder) == 0
    assert "cat/0.png = cat/copy.png" in capsys.readouterr().out
    (folder / "dog" / "empty.png").write_bytes(b"")
    assert check(folder) == 1
    assert "dog/empty.png  it is empty" in capsys.readouterr().out


def test_json_is_all_there_is_on_stdout_and_names_what_was_moved(folder, tmp_path, capsys):
    (folder / "dog" / "empty.png").write_bytes(b"")
    shutil.copy(folder / "cat" / "0.png", folder / "cat" / "copy.png")
    assert check(folder, "--json", "--fix", tmp_path / "away", "--sheets", tmp_path / "sheets") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["images"] == {"cat": 12, "dog": 11} and content["ok"] is False
    assert content["sheets"] == [str(tmp_path / "sheets" / "exact_duplicate.png")]
    assert content["moved"] == [
        {"from": str(folder / name), "to": str(tmp_path / "away" / name)} for name in ("dog/empty.png", "cat/copy.png")
    ]


def test_fix_moves_and_deletes_nothing_and_a_second_check_finds_nothing(folder, tmp_path, capsys):
    (folder / "dog" / "empty.png").write_bytes(b"")
    (folder / "dog" / "cut.png").write_bytes((folder / "dog" / "0.png").read_bytes()[:99])
    before = files(folder)
    assert check(folder, "--fix", tmp_path / "away") == 0
    assert {**files(folder), **files(tmp_path / "away")} == before
    assert set(files(tmp_path / "away")) == {"dog/empty.png", "dog/cut.png"}
    assert check(folder) == 0
    assert "nothing found" in capsys.readouterr().out


def test_what_fix_cannot_mend_keeps_status_1(folder, tmp_path):
    shutil.copy(folder / "cat" / "0.png", folder / "dog" / "cat.png")  # which label is right, only people know
    before = files(folder)
    assert check(folder, "--fix", tmp_path / "away") == 1
    assert files(folder) == before


def test_quarantine_within_the_folder_is_refused_before_anything_moves(folder, capsys):
    (folder / "dog" / "empty.png").write_bytes(b"")
    before = files(folder)
    assert check(folder, "--fix", folder / "away") == 2
    assert "is inside" in capsys.readouterr().err
    assert files(folder) == before


@pytest.mark.parametrize(
    "make, message", [(lambda path: None, "no directory"), (lambda path: path.mkdir(), "No images")]
)
def test_unusable_folder_gets_one_sentence_and_status_2(tmp_path, capsys, make, message):
    make(tmp_path / "x")
    assert check(tmp_path / "x") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err and "Traceback" not in captured.err
