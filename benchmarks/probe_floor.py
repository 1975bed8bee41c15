"""The floor under the standard deviations of a probe's scaler: accuracy and log loss with and without it.

    python benchmarks/probe_floor.py                          # clipart10 and the four styles; half an hour on two cores
    python benchmarks/probe_floor.py --quick                  # clipart10, 4 splits
    python benchmarks/probe_floor.py --data FOLDER [FOLDER ...]

Each split (three repeats of four grouped, stratified folds) fits `linear_probe`, C included, once per floor. The last
columns are the paired difference of accuracies from no floor, with its corrected interval, and the largest ratio of a
weight of the folded head to the median one.
"""

import argparse

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

import tlkeras
from tlkeras.pipelines import scaling
from tlkeras.pipelines.fold import folded_weights

DATA = ["data/clipart10", *(f"data/emoji4/{style}" for style in ("line", "noto", "rendered", "twemoji"))]
FLOORS = (1e-9, 0.1, 0.3)


def measured(features, labels, known, rest, groups):
    """Fit a probe; return its accuracy, log loss and the spread of the folded weights."""
    probe = tlkeras.linear_probe(features[known], labels[known], groups=groups[known])
    columns = np.searchsorted(probe.classes_, labels[rest])
    probabilities = probe.predict_proba(features[rest])
    weights = np.abs(folded_weights(probe[:1], probe[-1])[0])
    loss = -np.log(np.clip(probabilities[np.arange(len(rest)), columns], 1e-15, 1)).mean()
    return (probabilities.argmax(axis=1) == columns).mean(), loss, weights.max() / np.median(weights)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print("| data | floor | accuracy | log loss | difference | weights, largest to median |\n|---|---|---|---|---|---|")
    for folder in options.data[:1] if options.quick else options.data:
        images = tlkeras.load_images(folder, test_size=0, validation_size=0).train
        features, scores = tlkeras.FeatureExtractor().transform(images), {floor: [] for floor in FLOORS}
        for seed in range(1 if options.quick else 3):
            folds = StratifiedGroupKFold(4, shuffle=True, random_state=seed)
            for known, rest in folds.split(images.labels, images.labels, images.groups):
                for floor in FLOORS:
                    scaling.FLOOR = floor
                    scores[floor].append(measured(features, images.labels, known, rest, images.groups))
        table = {floor: np.transpose(rows) for floor, rows in scores.items()}
        for floor, (accuracy, loss, ratio) in table.items():
            compared = tlkeras.compare(accuracy, table[FLOORS[0]][0], train=len(known), test=len(rest))
            low, high = compared.interval
            print(
                f"| {folder} | {floor:g} | {accuracy.mean():.3f} | {loss.mean():.3f} "
                f"| {compared.difference:+.3f} ({low:+.3f} to {high:+.3f}) | {ratio.max():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
