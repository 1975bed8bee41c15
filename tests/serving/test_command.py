"""`tlkeras serve` says in a sentence what is missing."""

import socket

import pytest
from typer.testing import CliRunner

from tlkeras.cli import app
from tlkeras.errors import InputError


def failure(*arguments):
    """Run the command; return the error that it raises."""
    result = CliRunner().invoke(app, ["serve", *map(str, arguments)])
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert failure(tmp_path) == "`tlkeras serve` needs starlette and uvicorn. Run: pip install 'tlkeras[serve]'."


def test_a_folder_that_is_no_run_and_a_port_that_is_in_use_are_refused(monkeypatch, tmp_path, run):
    pytest.importorskip("starlette")
    assert "is not a run" in failure(tmp_path)
    monkeypatch.setattr("tlkeras.cli.serving.open_run", lambda path: run)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot be used: Address already in use" in failure(tmp_path, "--port", taken.getsockname()[1])
