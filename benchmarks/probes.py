"""Logistic regression or shrunk LDA: which probe is right more often on the other half of the images?

A data set is halved at random with each group on one side (near-duplicates; in emoji4, the drawings of one thing).
Both probes learn from the features of one half, their strength chosen by cross-validation, and predict the other one.

Run: python benchmarks/probes.py [--halvings 10] [--data DIR ...]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from pathlib import Path

import numpy as np

import tlkeras

DATA = ["data/clipart10", *(f"data/emoji4/{style}" for style in ("line", "noto", "rendered", "twemoji"))]


def judged(estimator, features, labels, groups, first):
    """Return accuracy and log loss on the other half, and the processor seconds of fitting."""
    start = time.process_time()
    probe = tlkeras.linear_probe(features[first], labels[first], groups=groups[first], estimator=estimator)
    seconds = time.process_time() - start
    known = ~first & np.isin(labels, probe.classes_)
    answers = probe.predict_proba(features[known])
    right = np.searchsorted(probe.classes_, labels[known])
    loss = -np.log(np.clip(answers[np.arange(len(right)), right], 1e-15, 1)).mean()
    return (answers.argmax(axis=1) == right).mean(), loss, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--halvings", type=int, default=10)
    parser.add_argument("--data", nargs="+", default=DATA)
    options = parser.parse_args()
    print("| data | logistic regression | LDA | paired difference | log loss | processor seconds |")
    print("|---|---|---|---|---|---|")
    for folder in options.data:
        images = tlkeras.load_images(folder, test_size=0, validation_size=0).train
        features = tlkeras.FeatureExtractor().transform(images)
        rows = []
        for seed in range(options.halvings):
            groups = np.random.default_rng(seed).permutation(np.unique(images.groups))
            first = np.isin(images.groups, groups[: len(groups) // 2])
            rows.append([judged(one, features, images.labels, images.groups, first) for one in ("logistic", "lda")])
        table = np.array(rows)
        lead = table[:, 1, 0] - table[:, 0, 0]
        (log_accuracy, log_loss, log_seconds), (accuracy, loss, seconds) = table.mean(axis=0)
        error = lead.std(ddof=1) / np.sqrt(len(lead))
        print(
            f"| {Path(folder).name} | {log_accuracy:.3f} | {accuracy:.3f} | {lead.mean():+.3f} ± {error:.3f} ", end=""
        )
        print(f"| {log_loss:.2f}, {loss:.2f} | {log_seconds:.2f}, {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
