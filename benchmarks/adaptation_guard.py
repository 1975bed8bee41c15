"""Does adaptation ever do harm? Accuracy before and after, in 32 directions with large and small shifts.

    python benchmarks/adaptation_guard.py           # features in an hour on two cores, then a few minutes
    python benchmarks/adaptation_guard.py --quick   # one part of five
    python benchmarks/adaptation_guard.py --self-training   # a column more, in several times as long

The directions: between the four styles of emoji4 (15 classes); between each style and clipart10, both ways (six shared
classes, which have other shares); and between clean, noisy, dark and blurred drawings of clipart10 (six classes). The
names or groups are dealt to five parts. A probe learns from four parts of the source and is measured on the fifth part
of the target, or on all of it where the two share no names. The unlabeled images are all images of the target.

`averaged` is what `tlkeras.adapt` does: the logits of both networks, standardized, are averaged with those of the probe
that is not adapted. `one network` is the same with `--no-batchnorm`, and `self-trained` with self-training. `half`
always averages equally. Features come from `benchmarks/adaptation.py`.
"""

import argparse
from itertools import permutations

import numpy as np
from adaptation import SHARED, STYLES, C, dealt, features

from tlkeras.adaptation.alignment import FeatureAlignment
from tlkeras.adaptation.domain_probe import former_weight
from tlkeras.adaptation.self_train import fit_with_unlabeled
from tlkeras.pipelines.fold import folded_weights
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import linear_probe

CLIPART = ("clean", "noise", "dark", "blur")
METHODS = ("nothing", "standardize", "both networks", "half", "averaged", "one network")


def domains():
    """Return a dict from name to (features, features of the copy, labels, groups)."""
    names = [f"{style}_{kind}" for style in STYLES for kind in ("plain", "own")]
    names += [f"{kind}_{which}" for kind in CLIPART[1:] for which in ("plain", "own")]
    known = ("emoji_names", "emoji_classes", "clipart_labels", "clipart_groups", "clipart_classes")
    table = features([*names, *known, "clean_plain", "clean_own"])
    classes, drawn = table["emoji_classes"], table["clipart_classes"]
    every, some, six = np.ones(len(classes), bool), np.isin(classes, SHARED), np.isin(drawn, SHARED)
    result = {}
    for style in STYLES:
        both = [table[f"{style}_{kind}"].astype("float64") for kind in ("plain", "own")]
        for suffix, rows in (("", every), (", six classes", some)):
            labels = np.unique(classes[rows], return_inverse=True)[1]
            result[style + suffix] = (*(one[rows] for one in both), labels, table["emoji_names"][rows])
    labels = np.unique(drawn[six], return_inverse=True)[1]
    for kind in CLIPART:
        both = [table[f"{kind}_{which}"][six].astype("float64") for which in ("plain", "own")]
        result[kind] = (*both, labels, np.char.add("group ", table["clipart_groups"][six].astype(str)))
    return result


def directions():
    """Return the groups of directions: a dict from title to pairs of names."""
    small = [f"{style}, six classes" for style in STYLES]
    return {
        "between styles": list(permutations(STYLES, 2)),
        "style to clipart10": [(one, "clean") for one in small],
        "clipart10 to style": [("clean", one) for one in small],
        "clean and corrupted": list(permutations(CLIPART, 2)),
    }


def right(source, target, parts, cache, self_training):
    """Measure each method; float array of shape `(parts, methods)`."""
    rows = []
    for part in range(parts):
        (plain, own, labels, groups), (new, new_own, truth, new_groups) = source[1], target[1]
        known = dealt(groups, 5, 0) != part
        shared = set(groups) == set(new_groups)
        measured = dealt(new_groups, 5, 0) == part if shared else np.ones(len(truth), bool)
        wide, new_wide = np.concatenate([plain, own], axis=1), np.concatenate([new, new_own], axis=1)
        key = source[0], part
        if key not in cache:
            cache[key] = [linear_probe(one[known], labels[known], Cs=[C]) for one in (plain, wide)]
        former, probe = cache[key]
        logits, aligned = [_logits(former, new)], []
        for one, learned, others in ((former, plain, new), (probe, wide, new_wide)):
            aligned.append(FeatureAlignment().fit(learned[known], target=others).transform(others))
            logits.append(_logits(one, aligned[-1]))
        weights = [former_weight(_agreement(logits[0], one), n) for n, one in enumerate(logits[1:], 1)]
        for share, adapted in ((0.5, logits[2]), (weights[1], logits[2]), (weights[0], logits[1])):
            logits.append(share * logits[0] + (1 - share) * adapted)
        if self_training:
            trained, _ = fit_with_unlabeled(probe, labeled_features(wide[known], labels[known]), aligned[1])
            logits.append(weights[1] * logits[0] + (1 - weights[1]) * _logits(trained, aligned[1]))
        rows.append([(one.argmax(axis=1) == truth)[measured].mean() for one in logits])
    return np.array(rows)


def _agreement(*logits):
    former, adapted = (one.argmax(axis=1) for one in logits)
    return (former == adapted).mean()


def _logits(probe, table):
    kernel, bias = folded_weights(probe[:-1], probe[-1])
    return table @ kernel + bias


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one part instead of five")
    parser.add_argument("--self-training", action="store_true", help="measure self-training too")
    options = parser.parse_args()
    table, cache, every = domains(), {}, []
    methods = [*METHODS, "self-trained"] if options.self_training else METHODS
    print(f"| direction | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    for title, pairs in directions().items():
        means = []
        for pair in pairs:
            source, target = ((name, table[name]) for name in pair)
            parts = 1 if options.quick else 5
            means.append(right(source, target, parts, cache, options.self_training).mean(axis=0))
            print(f"| {pair[0]} to {pair[1]} | {_row(means[-1])} |", flush=True)
        every += means
        print(f"| **{title}, mean** | {_row(np.mean(means, axis=0))} |")
        print(f"| **{title}, worst gain** | {_row(np.min(np.array(means) - np.array(means)[:, :1], axis=0), '+')} |")
    print(f"| **all, mean** | {_row(np.mean(every, axis=0))} |")
    print(f"| **all, worst gain** | {_row(np.min(np.array(every) - np.array(every)[:, :1], axis=0), '+')} |")


def _row(values, sign=""):
    return " | ".join(f"{value:{sign}.3f}" for value in values)


if __name__ == "__main__":
    main()
