"""Facts of runs that were never trained: labels, and probabilities that are mostly right."""

import numpy as np
import pytest

from tlkeras.evaluation.metrics import score
from tlkeras.evaluation.several_labels import score_labels
from tlkeras.report.facts import Facts, Part

HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted\" & 'single'",
    "$HOME {{ 7*7 }} {% x %}",
    "مرحبا بالعالم",
    "🐝 bee",
    "new\nline|pipe `tick`\x00\udcff</title>",
)


def _made_facts(names=("cat", "dog", "owl"), images=90, several=False, **changes):
    rng, count = np.random.default_rng(0), len(names)
    if several:
        labels = (rng.random((images, count)) < 0.4).astype("float32")
        probabilities = 1 / (1 + np.exp(-(labels * 4 - 2 + rng.normal(size=labels.shape))))
        scores = score_labels(labels, probabilities, names)
        thresholds, counts = tuple(one.threshold for one in scores.labels), labels.sum(axis=0)
    else:
        labels = np.arange(images) % count
        odds = np.exp(rng.normal(size=(images, count)) + 2.5 * np.eye(count)[labels])
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        scores = score(labels, probabilities.argmax(axis=1), names, majority=0)
        thresholds, counts = None, np.bincount(labels, minlength=count)
    metrics = {
        "scores": scores.to_dict(),
        "measured": {
            "by": "cross-validation",
            "folds": 5,
            "expected": [0.7, 0.9],
            "learned_from": images,
            "refitted": True,
        },
        "backbone": "efficientnet_lite0",
        "strategy": "features",
        "choices": {"C": 0.1, "folds": 5},
        "image_size": [32, 32],
        "resize": "stretch",
        "seed": 0,
        "data": {"source": "photos", "skipped": [{"path": "bad.jpg", "reason": "it is empty"}]},
        "versions": {"tlkeras": "0.1.0", "keras": "3.15.1"},
        "seconds": {"features": 1.5, "probe": 0.5},
    }
    facts = {
        "name": "photos-run",
        "class_names": names,
        "metrics": metrics,
        "paths": [f"{index}.jpg" for index in range(images)],
        "labels": labels,
        "probabilities": probabilities,
        "thresholds": thresholds,
        "features": rng.normal(size=(images, 8)),
        "parts": [Part("train", counts, images), Part("test", counts, images, given=True)],
        "events": [{"phase": "features", "seconds": 1.5, "images": images, "time": "2026-01-02T03:04:05Z"}],
        "near_duplicates": 4,
        "command": "tlkeras fit photos --output photos-run",
        "read": lambda indices: np.full((len(indices), 32, 32, 3), 90, "uint8"),
        "explain": lambda pixels, classes: np.ones((len(pixels), 4, 4), "float32"),
        "files": {"model.keras": 14_000_000},
    }
    return Facts(**{**facts, **changes})


@pytest.fixture
def made_facts():
    """Return the function that makes facts."""
    return _made_facts


@pytest.fixture
def hostile():
    """Return names that try to become markup, commands, templates or errors."""
    return HOSTILE
