"""The images of a run are listed again as `fit` listed them."""

import json
from collections import Counter
from types import SimpleNamespace

from PIL import Image

from tlkeras.runs.images import options_read_with, source_files


def test_the_source_of_a_run_is_read_with_the_options_that_fit_was_given(tmp_path):
    for i in range(8):
        Image.new("RGB", (4, 4), (30 * i, 0, 0)).save(tmp_path / f"{i}.png")
    table = tmp_path / "tables" / "cells.csv"
    table.parent.mkdir()
    table.write_text(
        "\n".join(["f,what", *(f"{i}.png,{'dark;' if i % 4 else ''}{'red' if i % 2 else 'gray'}" for i in range(8))])
    )
    options = {"columns": {"path": "f", "label": "what"}, "root": tmp_path, "label_separator": ";", "multilabel": None}
    data = json.loads(json.dumps({"source": str(table), "reading": options_read_with({**options, "seed": 3})}))
    run = SimpleNamespace(metrics={"data": data}, class_names=("red", "dark"), thresholds=(0.5, 0.5))
    assert Counter(file.label for file in source_files(run)) == {("red", "dark"): 4, ("dark",): 2, (): 2}
    moved = table.rename(tmp_path / "cells.csv")  # next to the images, so that it needs no root
    assert len(source_files(run, moved)) == 8
