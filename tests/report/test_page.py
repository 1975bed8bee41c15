"""The page and the model card of a run, rendered from plain data: nothing is lost, nothing is executed."""

import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tlkeras.report.exports import add_export
from tlkeras.report.model_card import render_card
from tlkeras.report.page import render_page
from tlkeras.report.sections import image_map
from tlkeras.report.sections.calibration import reliability_bins
from tlkeras.report.sections.image_map import plane
from tlkeras.report.sections.mistakes import class_rows, confusion
from tlkeras.report.sections.pictures import confident_mistakes, suspect_labels, unsure_answers


class Reader(HTMLParser):
    """Collect tags, texts and attributes, and check that tags close in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.attributes, self.open = [], [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] != "style":
            self.texts.append(text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"names": ("benign", "malignant")},
        {"names": tuple(f"class {number}" for number in range(100)), "images": 400},
        {"several": True},
        {"features": None, "read": None, "explain": None, "events": (), "parts": (), "files": {}},
    ],
    ids=["three", "two", "hundred", "labels", "bare"],
)
def test_a_page_is_whole_loads_nothing_and_has_a_place_for_every_link(made_facts, changes):
    page = render_page(made_facts(**changes))
    read = Reader(page)
    assert not {"script", "iframe", "object", "form"} & set(read.tags) and len(page) < 500_000
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for name, value in read.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith(("data:", "#"))
        if name == "href" and value.startswith("#"):
            assert value[1:] in ids
    assert "url(" not in page and "default-src 'none'" in page


def test_the_number_its_interval_baseline_and_what_it_is_of_come_first(made_facts):
    facts = made_facts()
    text = " ".join(Reader(render_page(facts)).texts)
    scores = facts.scores
    for words in (
        f"{100 * scores['accuracy']:.1f}%",
        "90 images in 5-fold cross-validation",
        "a model that had not seen it",
        "Expect 70% to 90%",
        f"{100 * scores['majority_accuracy']:.1f}%",
        "tlkeras fit photos --output photos-run",
        "bad.jpg",
    ):
        assert words in text


def test_hostile_names_are_text_everywhere(made_facts, hostile):
    facts = made_facts(
        hostile, 120, name=hostile[0], command=" ".join(hostile), paths=[hostile[index % 6] for index in range(120)]
    )
    page, card = render_page(facts), render_card(facts)
    read = Reader(page)
    assert "script" not in read.tags and read.tags.count("title") == page.count("<title>")
    assert any(hostile[0] in text for text in read.texts) and any(hostile[2] in text for text in read.texts)
    assert "\udcff" not in page + card and "\x00" not in page + card
    (page + card).encode()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["model-index"][0]["name"] == hostile[0]
    table = [line for line in card.splitlines() if line.startswith("| ") and "%" in line]
    assert len(table) == 6 and {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {6}


def test_the_model_card_has_a_header_that_the_hub_reads_and_the_honest_number(made_facts):
    facts = made_facts()
    header = yaml.safe_load(render_card(facts).split("---\n")[1])
    assert header["library_name"] == "keras" and header["pipeline_tag"] == "image-classification"
    (metric,) = header["model-index"][0]["results"][0]["metrics"]
    assert metric["type"] == "accuracy" and metric["value"] == pytest.approx(facts.scores["accuracy"], abs=1e-4)
    several = yaml.safe_load(render_card(made_facts(several=True)).split("---\n")[1])
    assert [one["type"] for one in several["model-index"][0]["results"][0]["metrics"]] == [
        "mean_average_precision",
        "f1",
    ]


def test_mistakes_are_the_most_confident_wrong_answers_and_unsure_ones_the_least_confident_right_ones(made_facts):
    probabilities = np.array([[0.9, 0.1], [0.45, 0.55], [0.3, 0.7], [0.2, 0.8], [0.51, 0.49]])
    facts = made_facts(("cat", "dog"), labels=np.array([1, 0, 1, 1, 0]), probabilities=probabilities)
    assert confident_mistakes(facts) == [(0, 0), (1, 1)]
    assert unsure_answers(facts) == [(4, 0), (2, 1), (3, 1)]


def test_of_several_labels_the_wrong_decision_farthest_from_its_threshold_is_shown(made_facts):
    facts = made_facts(
        ("red", "round"),
        several=True,
        labels=np.array([[1, 0], [0, 1], [1, 1]]),
        probabilities=np.array([[0.1, 0.9], [0.2, 0.8], [0.9, 0.35]]),
        thresholds=(0.5, 0.4),
    )
    assert confident_mistakes(facts) == [(0, 1), (2, 1)]
    assert unsure_answers(facts) == [(1, 0)]


def test_a_planted_wrong_label_is_suspected(made_facts):
    facts = made_facts(images=60)
    labels = facts.labels.copy()
    probabilities = np.where(np.eye(3)[labels] > 0, 0.9, 0.05)
    labels[7] = (labels[7] + 1) % 3
    wrong = made_facts(images=60, labels=labels, probabilities=probabilities)
    assert suspect_labels(wrong) == [(7, int(probabilities[7].argmax()))]
    several = made_facts(
        images=60,
        several=True,
        labels=np.eye(3)[labels],
        probabilities=np.where(np.eye(3)[facts.labels] > 0, 0.9, 0.05),
        thresholds=(0.5, 0.5, 0.5),
    )
    assert {index for index, _ in suspect_labels(several)} == {7}


def test_the_confusion_table_has_all_counts_and_its_pairs_are_the_most_frequent(made_facts):
    facts = made_facts(images=300)
    counts, section = np.array(facts.scores["confusion"]), confusion(facts)
    assert [[cell["images"] for cell in row["cells"]] for row in section["rows"]] == counts.tolist()
    off = counts[~np.eye(3, dtype=bool)]
    assert [pair["images"] for pair in section["pairs"]] == sorted(off[off > 0].tolist(), reverse=True)
    assert section["wrong"] == off.sum()
    f1 = [row["f1"] for row in class_rows(facts)["rows"]]
    assert f1 == sorted(f1)


def test_reliability_bins_hold_the_share_and_its_wilson_interval():
    from scipy.stats import binomtest

    stated, right = np.repeat([0.95, 0.25], [40, 10]), np.repeat([True, False, True, False], [38, 2, 3, 7])
    low, high = reliability_bins(stated, right)
    assert (high["share"], high["images"], low["share"]) == (0.95, 40, 0.3)
    interval = binomtest(38, 40).proportion_ci(0.95, "wilson")
    assert (high["low"], high["high"]) == pytest.approx((interval.low, interval.high), abs=1e-4)


def test_the_map_spreads_what_differs():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(10, 6)) * 0.1 + np.eye(6)[at] * 3 for at in (0, 3)])
    points, _, kept = plane(features)
    assert points.shape == (20, 2) and (kept is None or 0.5 < kept <= 1)
    first, second = points[:10], points[10:]
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > 5 * first.std(axis=0).max()
    assert plane(np.ones((4, 5)))[0].shape == (4, 2)


def test_curves_and_rates_of_fine_tuning_are_drawn_and_written(made_facts):
    epochs = [
        {"phase": "fine-tune", "stage": "choose", "epoch": number, "loss": 1 / number, "val_loss": 1.2 / number,
         "val_accuracy": 0.5 + number / 10, "epochs": 3, "run": 1, "learning_rate": 1e-3 / number, "seconds": 2.0}
        for number in (1, 2, 3)
    ]  # fmt: skip
    read = Reader(render_page(made_facts(events=epochs)))
    text = " ".join(read.texts)
    assert "epochs" not in read.texts
    assert "val loss" in text and "0.00033" in text and "loss by epoch" in str(read.attributes)


def test_an_export_is_put_into_a_page_that_exists_and_replaces_an_earlier_one_of_its_format(made_facts, tmp_path):
    report = {
        "format": "litert",
        "why": "int8 is <smaller>.",
        "quantization": "int8",
        "images": {"count": 85, "what": "held-out images"},
        "candidates": [
            {"quantization": "int8", "bytes": 3_600_000, "agreement": 0.988, "ms_1": 11.25},
            {"quantization": "none", "bytes": 13_000_000, "agreement": 1.0, "ms_1": 24.0, "failed": "too slow"},
        ],
    }
    page = tmp_path / "report.html"
    page.write_text(render_page(made_facts()), "utf-8")
    add_export(page, report)
    once = page.read_text("utf-8")
    text = " ".join(Reader(once).texts)
    for words in ("int8 is <smaller>.", "3.6 MB", "98.8%", "ms, 1 thread", "too slow", "85 held-out images"):
        assert words in text
    add_export(page, report)
    assert page.read_text("utf-8") == once
    add_export(page, report | {"format": "onnx"})
    assert {"export-litert", "export-onnx"} <= {value for _, value in Reader(page.read_text("utf-8")).attributes}


def test_pictures_of_a_model_that_cannot_be_explained_have_no_map(made_facts):
    page = render_page(made_facts(explain=lambda pixels, classes: None))
    assert "Most confident mistakes" in page and "bright where" not in page


def test_umap_makes_the_map_where_it_is_installed(made_facts, monkeypatch):
    class UMAP:
        def __init__(self, **options):
            assert options["random_state"] == 0

        def fit_transform(self, features):
            np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
            return features[:, :2]

    monkeypatch.setattr(image_map, "find_spec", lambda name: name == "umap")
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    assert plane(np.random.default_rng(0).normal(size=(20, 6)))[1:] == ("UMAP", None)
    assert "(UMAP)" in " ".join(Reader(render_page(made_facts())).texts)
