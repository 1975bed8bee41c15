"""Labeled images that cannot be used, from any source: one sentence, exit status 2, and nothing half-written."""

import csv
import json
import sys

import numpy as np
import pytest
from PIL import Image

from tlkeras import cli


@pytest.fixture
def rows(tmp_path):
    """Write twelve images, and return the rows of a table of them."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        name = f"{number:02}.png"
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), "uint8")).save(tmp_path / "images" / name)
        rows.append({"path": f"images/{name}", "label": "ab"[number % 2], "patient": f"p{number // 2}"})
    return rows


def write_csv(folder, rows):
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "table.csv"


def write_parquet(folder, rows):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {name: [row[name] or None for row in rows] for name in rows[0]}
    parquet.write_table(pyarrow.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


def write_hugging_face(folder, rows):
    """Write a folder of images with `metadata.jsonl`, as `imagefolder` of the package datasets reads."""
    lines = [{"file_name" if name == "path" else name: row[name] or None for name in row} for row in rows]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def no_label(rows):
    return [{name: row[name] for name in ("path", "patient")} for row in rows]


def no_path(rows):
    return [{name: row[name] for name in ("label", "patient")} for row in rows]


def missing_file(rows):
    return [{**row, "path": row["path"].replace("03", "99")} for row in rows]


def one_class(rows):
    return [{**row, "label": "a"} for row in rows]


def empty_label(rows):
    return [{**row, "label": "" if number < 11 else row["label"]} for number, row in enumerate(rows)]


def straddling_group(rows):
    return [{**row, "split": "train" if number < 7 else "test"} for number, row in enumerate(rows)]


#: What the sentence names.
FAULTS = {
    no_label: "label",
    no_path: "path",
    missing_file: "99.png",
    one_class: "class",
    empty_label: "",
    straddling_group: "p3",
}


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_hugging_face])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_faulty_source_gets_one_sentence_and_leaves_nothing(rows, tmp_path, monkeypatch, capsys, write, fault):
    if write is write_hugging_face and fault is no_path:
        pytest.skip("such metadata describes a plain folder of images")
    source = write(tmp_path, fault(rows))
    before = sorted(tmp_path.iterdir())
    options = ["--groups", "patient", "--image-size", "32", "--strict", "--quiet"]
    monkeypatch.setattr(sys, "argv", ["tlkeras", "fit", str(source), "-o", str(tmp_path.parent / "run"), *options])
    with pytest.raises(SystemExit) as end:
        cli.main()
    error = capsys.readouterr().err.splitlines()
    assert end.value.code == 2, error
    assert error[-1].startswith("tlkeras: ") and FAULTS[fault] in error[-1], error
    assert sum(line.startswith("tlkeras: ") for line in error) == 1, error
    assert sorted(tmp_path.iterdir()) == before and not (tmp_path.parent / "run").exists()


def test_an_unknown_data_set_gets_one_sentence(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(sys, "argv", ["tlkeras", "fit", "tfds:no_such_set", "-o", str(tmp_path / "run"), "--quiet"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    error = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and "no_such_set" in error[-1], error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [("fit", "none.csv", "-o", "run"), ("predict", "none", "none.png")])
def test_a_path_that_does_not_exist_is_reported_before_keras_is_loaded(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tlkeras", *command])
    with pytest.raises(SystemExit) as end:
        cli.main()
    error = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and len(error) == 1 and "'none" in error[0], error
