"""Claim: with few images, the mean of probes of several C is no more accurate than one that cross-validation chooses.

For each set, probes learn from 3, 5 and 9 images per class (10, 20 and 40 where there are two classes) and are measured
on the rest, near-duplicates of the training images apart:

- `chosen`: `tlkeras.linear_probe`, whose C is chosen by cross-validation;
- `C=...`: one fixed C;
- `mean of 3`: the mean of the logits of C = 0.001, 0.01 and 0.1, which is one linear classifier with the mean of their
  coefficients; `mean of 6`: of all six C that `linear_probe` chooses from;
- `probabilities`: the mean of the probabilities of the same three;
- `lda`, `chosen + lda`: linear discriminant analysis, and the mean of both kinds' probabilities.

    python benchmarks/averaging.py [--seeds 8] [--data DIR ...] [--quick]

Prints accuracy and log loss, and their paired differences from `chosen`, with standard errors over sets, sizes and
seeds.
"""

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras
from tlkeras.pipelines.logistic import MAX_ITERATIONS
from tlkeras.pipelines.regularization import DEFAULT_CS

DATA = Path(__file__).parents[1] / "data"
STYLES = ("noto", "twemoji", "rendered", "line")
GRID = (1e-3, 1e-2, 1e-1)


def features_of(name):
    """Features, labels and groups of a set."""
    extractor = tlkeras.FeatureExtractor(verbose=True)
    if name == "digits":
        data = load_digits()
        pixels = np.repeat((data.images * 15.9).astype("uint8")[..., None], 3, axis=-1)
        return extractor.transform(pixels), data.target, np.arange(len(pixels))
    images = tlkeras.load_images(name, test_size=0, validation_size=0).train
    return extractor.transform(images), images.labels, images.groups


def averaged_probe(features, labels, Cs=GRID):
    """The mean of logistic regressions of several C, as one."""
    scaler = StandardScaler().fit(features)
    probe = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
    parts = []
    for C in sorted(Cs):
        probe.set_params(C=C).fit(scaler.transform(features), labels)
        parts.append((probe.coef_.copy(), probe.intercept_.copy()))
    probe.coef_, probe.intercept_ = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
    return Pipeline([("scaler", scaler), ("classifier", probe)])


def answers(train, labels, test, seed):
    """Probabilities of the test images by each way."""
    chosen = tlkeras.linear_probe(train, labels, seed=seed).predict_proba(test)
    alone = {C: averaged_probe(train, labels, Cs=(C,)).predict_proba(test) for C in GRID}
    lda = tlkeras.linear_probe(train, labels, estimator="lda", seed=seed).predict_proba(test)
    return {
        "chosen": chosen,
        **{f"C={C:g}": one for C, one in alone.items()},
        "mean of 3": averaged_probe(train, labels).predict_proba(test),
        "mean of 6": averaged_probe(train, labels, Cs=DEFAULT_CS).predict_proba(test),
        "probabilities": np.mean(list(alone.values()), axis=0),
        "lda": lda,
        "chosen + lda": (chosen + lda) / 2,
    }


def scores(features, labels, groups, per_class, seed):
    """Accuracy and log loss of each way on the images that are not among the `per_class` learned from."""
    rng = np.random.default_rng(1000 * seed + per_class)
    train = np.concatenate([rng.permutation(np.flatnonzero(labels == one))[:per_class] for one in np.unique(labels)])
    rest = np.flatnonzero(~np.isin(groups, groups[train]))
    found = answers(features[train], labels[train], features[rest], seed)
    truth = np.searchsorted(np.unique(labels), labels[rest])
    accuracy = [np.mean(one.argmax(axis=1) == truth) for one in found.values()]
    loss = [-np.log(np.clip(one[np.arange(len(truth)), truth], 1e-9, 1)).mean() for one in found.values()]
    return list(found), accuracy, loss


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--data", nargs="*", default=[], help="more folders with one folder per class")
    parser.add_argument("--quick", action="store_true", help="clipart10, two seeds")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = [DATA / "clipart10"]
    if options.quick:
        options.seeds = 2
    else:
        names += [*(DATA / "emoji4" / style for style in STYLES), "digits", *options.data]
    rows = []
    for name in names:
        features, labels, groups = features_of(name)
        few = (3, 5, 9) if len(np.unique(labels)) > 4 else (10, 20, 40)
        found = [scores(features, labels, groups, k, seed) for seed in range(options.seeds) for k in few]
        rows += found
        show(Path(name).name, found)
    show("all", rows)


def show(name, rows):
    ways = rows[0][0]
    accuracy, loss = (np.array([row[i] for row in rows]) for i in (1, 2))
    print(f"\n{name:<16}{'accuracy':>10}{'difference':>18}{'log loss':>10}{'difference':>18}")
    for i, way in enumerate(ways):
        cells = [way.ljust(16)]
        for values in (accuracy, loss):
            gain = values[:, i] - values[:, 0]
            cells += [f"{values[:, i].mean():10.3f}", f"{gain.mean():+10.4f} ± {gain.std() / len(gain) ** 0.5:.4f}"]
        print("".join(cells), flush=True)


if __name__ == "__main__":
    main()
