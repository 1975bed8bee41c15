"""What `fit` hands over to the report, and that a report that fails costs nothing else."""

import re
import shlex

import pytest
import typer

import tlkeras
from tlkeras.cli import runs as commands
from tlkeras.report import page
from tlkeras.runs.command import command_of
from tlkeras.runs.fitting import fit


def options(line):
    """Parse a command line as `tlkeras fit` does."""
    app = typer.Typer()
    app.command()(commands.fit)
    words = shlex.split(line)
    assert words[:2] == ["tlkeras", "fit"]
    return typer.main.get_command(app).make_context("fit", words[2:]).params


def test_the_command_gives_the_same_arguments_to_the_command_line():
    given = {
        "source": "my photos/$HOME",
        "output": "runs/a b",
        "refit": False,
        "epochs": 7,
        "minutes": 2.5,
        "classes": ("cat", "it's"),
        "columns": {"path": "file", "label": ["a", "b"]},
        "per_class": 5,
        "near_duplicates": False,
        "seed": 3,
        "overwrite": True,
        "verbose": False,
    }
    parsed = options(command_of(given, fit))
    assert (parsed["source"], str(parsed["output"])) == ("my photos/$HOME", "runs/a b")
    assert parsed["columns"] == ["path=file", "label=a", "label=b"] and list(parsed["classes"]) == ["cat", "it's"]
    for name in ("refit", "epochs", "minutes", "per_class", "near_duplicates", "seed"):
        assert parsed[name] == given[name]
    assert not parsed["overwrite"] and parsed["backbone"] == "efficientnet_lite0"


def test_images_in_memory_are_made_again_by_a_call():
    assert (
        command_of({"source": object(), "output": "run", "seed": 2}, fit) == "tlkeras.fit(object, output='run', seed=2)"
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "clip & art"
    return tlkeras.fit("data/clipart10", output, per_class=6, verbose=False)


@pytest.mark.slow
def test_fit_writes_a_page_with_pictures_and_maps_and_a_model_card(run):
    html = run.report.read_text("utf-8")
    assert "<h1><bdi>clip &amp; art</bdi></h1>" in html
    assert html.count("bright where it supports") >= 8 and 'id="map"' in html and len(html) < 2_000_000
    assert f"{100 * run.metrics['scores']['accuracy']:.1f}%" in html
    assert "tlkeras fit data/clipart10 --output" in html and "--per-class 6" in html
    assert re.search(r"^library_name: keras$", (run.path / "model_card.md").read_text("utf-8"), re.MULTILINE)
    assert "report.html" in run._repr_html_() and "clip &amp; art" in run._repr_html_()


@pytest.mark.slow
def test_a_report_that_fails_is_a_warning_and_the_run_is_whole(tmp_path, monkeypatch):
    def fail(facts):
        raise ValueError("no page today")

    monkeypatch.setattr(page, "render_page", fail)
    with pytest.warns(UserWarning, match="no page today"):
        run = tlkeras.fit("data/clipart10", tmp_path / "run", per_class=4, verbose=False)
    assert run.report is None and "report.html" not in run._repr_html_()
    assert tlkeras.load_run(tmp_path / "run").predict("data/clipart10/bug/bee.jpg")[0]["class"]
