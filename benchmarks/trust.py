"""Can answers be trusted? Calibration of probabilities, images of unknown classes, and distances between domains.

calibration: a probe learns from two thirds of the images, a temperature is chosen by its own folds, and both are
measured on the rest, clean and corrupted (severity 3), until each image is measured once; then again with other seeds.
Beside the default probe stands scikit-learn's default, C=1. "chance" is the error of a perfectly calibrated model on as
many images: its mean, and what it exceeds once in 20 times.
unknown: one class at a time is left out. A rejector learns from three quarters of the other images and must tell the
class from the remaining quarter. Its threshold promises 5% false alarms; the last columns say how many images of
left-out classes it catches, how many its own report says, and how many false alarms there are on fresh images of all
classes. Beside it: the Mahalanobis distance on the same features, and energy and maximum probability of a probe.
domains: proxy A-distance between the styles of emoji4, and between the halves of one.

Groups (near-duplicates; in emoji4, the drawings of one thing) stay on one side of every split.

Run: python benchmarks/trust.py [calibration unknown domains] [--seeds 5] [--quick] [--data DIR ...]
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

import tlkeras
from tlkeras.evaluation.calibration import scale_temperature
from tlkeras.evaluation.rejection_fitting import keep_references
from tlkeras.evaluation.rejector import embed
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import FALLBACK_C

STYLES = ("line", "noto", "rendered", "twemoji")
DATA = ["data/clipart10", *(f"data/emoji4/{style}" for style in STYLES)]
CORRUPTIONS = ("noise", "dark", "blur")
EXTRACTOR = tlkeras.FeatureExtractor()


def loaded(folder):
    """Return all images of a folder as one split, and their features."""
    images = tlkeras.load_images(folder, test_size=0, validation_size=0).train
    return images, EXTRACTOR.transform(images)


def split(images, parts, seed):
    """Split off one of several parts: rows to learn from and rows to measure on."""
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    return next(folds.split(images.labels, images.labels, images.groups))


def calibration(folders, seeds):
    print(
        "| data | probe | images | temperature | accuracy | error | scaled | chance, mean | up to | log loss | scaled |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for folder in folders:
        images, features = loaded(folder)
        pixels = images.read()
        tables = {"clean": features}
        tables |= {kind: EXTRACTOR.transform(tlkeras.corrupt(pixels, kind)) for kind in CORRUPTIONS}
        for probe, options in (("default", {}), ("C=1", {"Cs": [1.0]})):
            measured, temperatures = {kind: [] for kind in tables}, []
            for seed in range(seeds):
                answers = predicted(images, tables, seed, temperatures, **options)
                for kind, pair in answers.items():
                    pair = [tlkeras.reliability(images.labels, one, groups=images.groups) for one in pair]
                    assert pair[0].accuracy == pair[1].accuracy
                    measured[kind].append([figures(one) for one in pair])
            for kind, pairs in measured.items():
                before, after = np.mean(pairs, axis=0)
                errors = " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*one[1:4]) for one in (before, after))
                print(
                    f"| {Path(folder).name} | {probe} | {kind} | {np.mean(temperatures):.2f} | {before[0]:.3f} "
                    f"| {errors} | {after[4]:.3f} | {after[5]:.3f} | {before[6]:.2f} | {after[6]:.2f} |",
                    flush=True,
                )


def predicted(images, tables, seed, temperatures, **options):
    """Predict each image by a probe that has not seen it: a dict from table to raw and scaled probabilities."""
    shape = 2, len(images.labels), len(images.class_names)
    answers = {kind: np.empty(shape) for kind in tables}
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    for known, rest in folds.split(images.labels, images.labels, images.groups):
        learned = tables["clean"][known], images.labels[known]
        found = tlkeras.cross_validate_probe(*learned, groups=images.groups[known], **options)
        temperatures.append(tlkeras.fit_temperature(images.labels[known], found.probabilities))
        for kind, table in tables.items():
            raw = found.probe.predict_proba(table[rest])
            answers[kind][:, rest] = raw, scale_temperature(raw, temperatures[-1])
    return answers


def figures(one):
    """Return accuracy, error with interval, what chance would give, and log loss of a `Reliability`."""
    error, noise = one.expected_calibration_error, (one.noise, one.noise_limit)
    return [one.accuracy, error, *one.interval, *noise, one.log_loss]


def unknown(folders, seeds):
    print("| data | score | AUROC | worst class | caught | as reported | false alarms (promised 0.050) |")
    print("|---|---|---|---|---|---|---|")
    for folder in folders:
        images, features = loaded(folder)
        aurocs, caught, reported, alarms = {}, [], [], []
        for seed in range(seeds):
            known, fresh = split(images, 4, seed)
            learned = features[known], images.labels[known]
            rejector = tlkeras.fit_rejection(*learned, groups=images.groups[known], seed=seed)
            reported.append(rejector.report.caught)
            alarms.append(rejector.is_unknown(features[fresh]).mean())
            for left_out in np.unique(images.labels):
                rows = known[images.labels[known] != left_out]
                data = labeled_features(features[rows], images.labels[rows], images.groups[rows])
                nearest = keep_references(data, np.arange(len(rows)), rejector.false_alarms)
                caught.append(nearest.is_unknown(features[images.labels == left_out]).mean())
                probe = tlkeras.linear_probe(features[rows], images.labels[rows], Cs=[FALLBACK_C], folds=1)
                functions = {
                    "nearest neighbor": nearest.measure,
                    "Mahalanobis": mahalanobis(nearest, images.labels[rows]),
                    "energy": lambda table, probe=probe: -logsumexp(probe.decision_function(table), axis=1),
                    "max probability": lambda table, probe=probe: -probe.predict_proba(table).max(axis=1),
                }
                for score, function in functions.items():
                    area = judge(function, images, features, fresh, left_out)
                    aurocs.setdefault(score, []).append(area)
        for score, values in aurocs.items():
            by_class = np.reshape(values, (seeds, -1)).mean(axis=0)
            line = f"| {Path(folder).name} | {score} | {by_class.mean():.3f} | {by_class.min():.3f} "
            if score == "nearest neighbor":
                line += f"| {np.mean(caught):.3f} | {np.mean(reported):.3f} | {np.mean(alarms):.3f} "
            print(line + ("|" if score == "nearest neighbor" else "| | | |"), flush=True)


def mahalanobis(rejector, labels):
    """Make the distance from the nearest class mean in units of the spread within classes, on the same features."""
    means = np.stack([rejector.references[labels == one].mean(axis=0) for one in np.unique(labels)])
    rest = rejector.references - means[np.searchsorted(np.unique(labels), labels)]
    spread = LedoitWolf(store_precision=False, assume_centered=True).fit(rest).covariance_
    axes = np.linalg.inv(np.linalg.cholesky(spread)).T
    centers = means @ axes

    def distance(table):
        points = embed(table, rejector.center, rejector.scale) @ axes
        return np.min([((points - center) ** 2).sum(axis=1) for center in centers], axis=0)

    return distance


def judge(distance, images, features, fresh, left_out):
    """Compute the AUROC of telling a left-out class from fresh images of known classes."""
    known = fresh[images.labels[fresh] != left_out]
    strange = np.flatnonzero(images.labels == left_out)
    truth = np.repeat([0, 1], [len(known), len(strange)])
    return roc_auc_score(truth, distance(features[np.r_[known, strange]]))


def domains():
    parts = {style: loaded(f"data/emoji4/{style}") for style in STYLES}
    names = {style: np.array([Path(path).stem for path in images.paths]) for style, (images, _) in parts.items()}
    print("| domains | distance | 95% interval | assigned wrongly |")
    print("|---|---|---|---|")
    table, labels = parts["noto"][1], parts["noto"][0].labels
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    rows = {"two halves of noto": tlkeras.domain_distance(table[half], table[~half])}
    for first, second in combinations(STYLES, 2):
        groups = names[first], names[second]
        rows[f"{first}, {second}"] = tlkeras.domain_distance(parts[first][1], parts[second][1], groups=groups)
    for name, found in rows.items():
        low, high = found.interval
        print(f"| {name} | {found.distance:.2f} | {low:.2f} to {high:.2f} | {found.error:.3f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["calibration", "unknown", "domains"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one seed, clipart10 only")
    parser.add_argument("--data", nargs="+", default=DATA)
    options = parser.parse_args()
    folders, seeds = (options.data[:1], 1) if options.quick else (options.data, options.seeds)
    for part in options.parts:
        print(f"\n{part}\n")
        if part == "domains":
            domains()
        else:
            {"calibration": calibration, "unknown": unknown}[part](folders, seeds)


if __name__ == "__main__":
    main()
