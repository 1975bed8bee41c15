"""What is written of a run on a GPU, and that nothing is where there is none."""

import importlib.util
from pathlib import Path

import keras
import pytest

_spec = importlib.util.spec_from_file_location("gpu", Path(__file__).parents[2] / "notebooks" / "gpu.py")
gpu = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gpu)


def test_a_section_names_device_versions_times_and_results():
    text = gpu.section("numpy", ["Some GPU"], [("01_a", 12.3, True), ("02_b", 4.0, False)])
    assert "## numpy: 1 of 2 passed" in text
    assert "Some GPU" in text and keras.__version__ in text
    assert "| 01_a | 12 | passed |" in text and "| 02_b | 4 | failed |" in text


def test_without_a_gpu_the_page_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(gpu, "devices", lambda backend: [])
    before = gpu.PAGE.read_text()
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()
    assert gpu.PAGE.read_text() == before


def test_a_run_adds_its_section_to_the_page(monkeypatch, tmp_path):
    page = tmp_path / "gpu.md"
    page.write_text("What is there stays.\n")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    monkeypatch.setattr(gpu, "PAGE", page)
    monkeypatch.setattr(gpu, "devices", lambda backend: ["Some GPU"])
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    (tmp_path / "read").mkdir()
    (tmp_path / "read" / "empty.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with pytest.raises(SystemExit):
        gpu.main()
    assert page.read_text().startswith("What is there stays.\n\n## numpy: ")
    assert "| empty |" in page.read_text()
