"""The code of docs/logging.md runs, on the log of a run."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import tlkeras

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text("utf-8")
EVENTS = [
    {"time": "2026-01-01T00:00:00.000+00:00", "phase": "features", "images": 427, "seconds": 12.5},
    {"time": "2026-01-01T00:01:00.000+00:00", "phase": "fine-tune", "stage": "choose", "epoch": 1, "loss": 0.75},
]


@pytest.fixture
def run_section(tmp_path, monkeypatch):
    metrics = {"backbone": "efficientnet_lite0", "strategy": "features", "resize": "stretch", "seed": 0}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text("{}")
    run = SimpleNamespace(log=EVENTS, metrics=metrics, path=tmp_path / "run")
    monkeypatch.setattr(tlkeras, "fit", lambda source, output: run)
    monkeypatch.chdir(tmp_path)

    def execute(title):
        exec(re.search(rf"## {title}\n\n```python\n(.*?)```", PAGE, re.DOTALL).group(1), {})

    return execute


def test_tensorboard_gets_the_numbers_of_every_event(run_section, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pytest.importorskip("tensorflow")
    run_section("TensorBoard")
    written = event_accumulator.EventAccumulator(str(tmp_path / "logs" / "clipart10"))
    written.Reload()
    assert set(written.Tags()["tensors"]) == {"features/images", "features/seconds", "fine-tune/loss"}
    assert written.Tensors("fine-tune/loss")[0].step == 1


def test_mlflow_gets_parameters_numbers_and_files(run_section, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    run_section("MLflow")
    logged = mlflow.last_active_run()
    assert logged.data.metrics["fine-tune/loss"] == 0.75 and logged.data.params["strategy"] == "features"
