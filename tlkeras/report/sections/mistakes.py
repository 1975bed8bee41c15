"""The sections on confused classes and on the scores per class."""

import numpy as np

from tlkeras.report.charts import heat_map
from tlkeras.report.wording import percent

#: Largest number of classes for which the confusion matrix is a table of numbers instead of a chart.
MOST_IN_TABLE = 20
_PAIRS = 10


def confusion(facts):
    """Return the confusion matrix and the most frequent mistakes, or None if an image may have several labels."""
    if facts.multilabel:
        return None
    counts, names = np.asarray(facts.scores["confusion"]), facts.class_names
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals[:, None], 1)
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = [
        {"true": names[row], "answer": names[column], "images": int(wrong[row, column]), "of": int(totals[row])}
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    section = {"pairs": pairs, "wrong": int(wrong.sum()), "names": names, "rows": None, "chart": None}
    if len(names) <= MOST_IN_TABLE:
        cells = [[_cell(counts[at], shares[at], at[0] == at[1]) for at in row] for row in _places(len(names))]
        section["rows"] = [{"name": name, "cells": row} for name, row in zip(names, cells, strict=True)]
    else:
        label = f"Confusion matrix of {len(names)} classes. The table lists the most frequent mistakes."
        section["chart"] = heat_map(shares, counts, names, label)
    return section


def _places(number):
    return [[(row, column) for column in range(number)] for row in range(number)]


def _cell(images, share, hit):
    return {"images": int(images), "depth": round(float(share) ** 0.7, 3), "kind": "hit" if hit else "miss"}


def class_rows(facts):
    """Return the column names and rows of a table of scores per class or label, with the lowest F1 first."""
    several = facts.multilabel
    names = ["Images", *(["Threshold"] if several else []), "Precision", "Recall", "F1", *(["AP"] if several else [])]
    rows = []
    for one in facts.scores["labels" if several else "classes"]:
        values = [percent(one["precision"], 0), percent(one["recall"], 0), percent(one["f1"], 0)]
        if several:
            values = [f"{one['threshold']:.2f}", *values, percent(one["average_precision"], 0)]
        rows.append({"name": one["name"], "f1": one["f1"], "values": [f"{one['images']:,}", *values]})
    rows.sort(key=lambda row: -1.0 if row["f1"] is None else row["f1"])
    return {"columns": names, "rows": rows, "kind": "Label" if several else "Class"}
