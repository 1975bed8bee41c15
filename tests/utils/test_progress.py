"""Progress is a bar in a terminal, and a few plain lines in a log file."""

import sys
import time

import pytest

from tlkeras.utils import progress as module


@pytest.fixture
def interval(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.2)
    return 0.2


def test_a_log_file_gets_a_plain_line_at_most_once_per_interval(interval, capsys):
    start = time.perf_counter()
    for _ in module.progress(range(100), description="predicting", unit="image"):
        time.sleep(0.01)
    lines = capsys.readouterr().err.split("\n")
    assert lines.pop() == ""
    assert 1 <= len(lines) <= (time.perf_counter() - start) / interval
    assert all(line.startswith("predicting: ") and "of 100 images" in line for line in lines)
    assert not any(character in "".join(lines) for character in "\r\x1b█")


def test_a_log_file_gets_nothing_of_what_is_done_at_once(capsys):
    with module.progress(total=3, description="reading", unit="file") as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_that_is_redrawn(interval, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(module.progress([1, 2], description="predicting", unit="image")) == [1, 2]
    assert capsys.readouterr().err.count("\r") >= 2
