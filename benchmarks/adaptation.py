"""What adaptation without target labels gains: between styles of emoji4 and on corrupted drawings; which to label.

    python benchmarks/adaptation.py                 # all parts; half an hour on two cores
    python benchmarks/adaptation.py --part styles   # one of: styles, corruptions, label-order
    python benchmarks/adaptation.py --quick         # one seed

Between styles, one name of an emoji is on one side: a probe learns from four fifths of the names in one style and is
measured on the other names in another style. The unlabeled images are all images of the other style, or, with
`--strict`, those of the measured names only, which are half of the names then. The settings were chosen on six of
the twelve directions; the mean of the other six is reported beside them.
"""

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from tlkeras.adaptation.alignment import FeatureAlignment
from tlkeras.adaptation.domain_probe import former_weight
from tlkeras.adaptation.self_train import fit_with_unlabeled
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import linear_probe

STYLES = ("noto", "twemoji", "rendered", "line")
CHOSEN_ON = {
    ("noto", "twemoji"),
    ("twemoji", "rendered"),
    ("rendered", "line"),
    ("line", "noto"),
    ("noto", "line"),
    ("twemoji", "noto"),
}
SHARED = ("bird", "bug", "clothing", "fruit", "mammal", "vehicle")  # classes of emoji4 that clipart10 has, too
DATA, CACHE = Path("data"), Path(".adaptation_features")
C, FOR_STATISTICS = 0.01, 128


def features(names):
    """Read features from the cache, or compute all of them."""
    if not stored(*names):
        compute_features()
    return {name: np.load(CACHE / f"{name}.npy") for name in names}


def stored(*names):
    """Return whether all of these tables have been computed."""
    return all((CACHE / f"{name}.npy").exists() for name in names)


def compute_features():
    """Compute features with the statistics of ImageNet, and with those of each style or corruption.

    Tables that exist are not computed again, so an interrupted run continues where it stopped.
    """
    import tlkeras

    CACHE.mkdir(exist_ok=True)
    network = tlkeras.backbone("efficientnet_lite0", pooling="avg")
    initial = network.get_weights()

    def extract(name, pixels, **adapting):
        if stored(name):
            return
        network.set_weights(initial)
        if adapting:
            few = np.sort(np.random.default_rng(0).permutation(len(pixels))[:FOR_STATISTICS])
            if "source" in adapting:
                adapting["source"] = adapting["source"][few]
            tlkeras.adapt_batchnorm(network, pixels[few], batch_size=16, **adapting)
        np.save(CACHE / f"{name}.npy", tlkeras.FeatureExtractor(network, cache=False).transform(pixels))
        print(f"computed: {name}", flush=True)

    files = sorted((DATA / "emoji4" / "noto").glob("*/*.jpg"))
    np.save(CACHE / "emoji_names.npy", np.array([file.stem for file in files]))
    np.save(CACHE / "emoji_classes.npy", np.array([file.parent.name for file in files]))
    for style in STYLES:
        if stored(f"{style}_plain", f"{style}_own"):
            continue
        pixels = tlkeras.read_images([DATA / "emoji4" / style / file.parent.name / file.name for file in files])
        extract(f"{style}_plain", pixels)
        extract(f"{style}_own", pixels, prior=0)
    images = tlkeras.load_images(DATA / "clipart10")
    drawings = images.train.join(images.validation, images.test)
    np.save(CACHE / "clipart_labels.npy", drawings.labels)
    np.save(CACHE / "clipart_groups.npy", drawings.groups)
    np.save(CACHE / "clipart_classes.npy", np.array(drawings.class_names)[drawings.labels])
    clean = tlkeras.read_images(drawings.paths)
    extract("clean_plain", clean)
    extract("clean_own", clean, prior=0)
    for kind in ("noise", "dark", "blur"):
        if stored(*(f"{kind}_{way}" for way in ("plain", "own", "source", "half"))):
            continue
        pixels = tlkeras.corrupt(clean, kind, 3)
        extract(f"{kind}_plain", pixels)
        extract(f"{kind}_own", pixels, prior=0)
        extract(f"{kind}_source", pixels, prior=0, source=clean)
        extract(f"{kind}_half", pixels, source=clean)


def dealt(groups, parts, seed):
    """Deal groups to parts at random; return the part of each image."""
    names, inverse = np.unique(groups, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(names))[inverse] % parts


def square_roots(features):
    return np.sqrt(np.maximum(features, 0))


def style_probes(source, rows, labels):
    """Fit one probe per kind of features: a dict from the kind to source features and a probe of them."""
    plain, own = source["plain"][rows], source["own"][rows]
    kinds = {"plain": plain, "roots": square_roots(plain), "own": own, "both": np.concatenate([plain, own], axis=1)}
    return {kind: (table, linear_probe(table, labels[rows], Cs=[C])) for kind, table in kinds.items()}


def style_answers(probes, target, labels, seen):
    """Return the answers of each method to the target images `seen`: a dict from its name to class numbers.

    Args:
        probes: `style_probes` of the source.
        target: Dict from "plain" and "own" to features of all target images.
        labels: Class numbers of the source images.
        seen: Boolean array, which target images are given without labels.
    """
    plain, own = target["plain"][seen], target["own"][seen]
    tables = {"plain": plain, "roots": square_roots(plain), "own": own, "both": np.concatenate([plain, own], axis=1)}
    aligned = {kind: FeatureAlignment().fit(probes[kind][0], target=one).transform(one) for kind, one in tables.items()}

    def trained(kind):
        source, probe = probes[kind]
        return np.log(fit_with_unlabeled(probe, labeled_features(source, labels), aligned[kind])[1] + 1e-12)

    logits = {
        "nothing": probes["plain"][1].predict_log_proba(plain),
        "standardize": probes["plain"][1].predict_log_proba(aligned["plain"]),
        "standardize square roots": probes["roots"][1].predict_log_proba(aligned["roots"]),
        "BatchNorm": probes["own"][1].predict_log_proba(own),
        "BatchNorm, standardize": probes["own"][1].predict_log_proba(aligned["own"]),
        "both networks": probes["both"][1].predict_log_proba(aligned["both"]),
        "standardize, self-train": trained("plain"),
        "both networks, self-train": trained("both"),
    }
    for networks, name in ((1, "standardize"), (2, "both networks")):  # what `tlkeras.adapt` does
        for suffix in ("", ", self-train"):
            agreement = (logits["nothing"].argmax(axis=1) == logits[name].argmax(axis=1)).mean()
            weight = former_weight(agreement, networks)
            joint = weight * logits["nothing"] + (1 - weight) * logits[name + suffix]
            logits[f"{name}{suffix}, averaged"] = joint
    return {name: one.argmax(axis=1) for name, one in logits.items()}


def styles(seeds, strict):
    """Print the accuracy of each method in each direction."""
    names = [f"{style}_{kind}" for style in STYLES for kind in ("plain", "own")]
    table = features([*names, "emoji_names", "emoji_classes"])
    labels = np.unique(table["emoji_classes"], return_inverse=True)[1]
    sets = {style: {kind: table[f"{style}_{kind}"] for kind in ("plain", "own")} for style in STYLES}
    scores, probes = {}, {}
    for direction in permutations(STYLES, 2):
        for seed in seeds:
            parts = dealt(table["emoji_names"], 2 if strict else 5, seed)
            test = parts == 0
            seen = test if strict else np.ones(len(test), bool)
            key = direction[0], seed
            if key not in probes:
                probes[key] = style_probes(sets[direction[0]], ~test, labels)
            answers = style_answers(probes[key], sets[direction[1]], labels[~test], seen)
            for name, answer in answers.items():
                right = (answer == labels[seen])[test[seen]].mean()
                scores.setdefault(name, {}).setdefault(direction, []).append(right)
        print(f"{direction[0]} -> {direction[1]}: ", end="")
        print(", ".join(f"{name} {np.mean(one[direction]):.3f}" for name, one in scores.items()), flush=True)
    print(f"\n{'method':36} {'mean':>6} {'chosen on':>10} {'others':>7} {'worst gain':>11}")
    for name, by_direction in scores.items():
        means = {one: np.mean(values) for one, values in by_direction.items()}
        gains = [means[one] - np.mean(scores["nothing"][one]) for one in means]
        groups = [[means[one] for one in means if (one in CHOSEN_ON) == inside] for inside in (True, False)]
        print(
            f"{name:36} {np.mean(list(means.values())):6.3f} {np.mean(groups[0]):10.3f} {np.mean(groups[1]):7.3f} "
            f"{min(gains):+11.3f}"
        )


def corruptions(seeds):
    """Print how much of the accuracy that a corruption costs comes back, on held-out drawings."""
    kinds, ways = ("noise", "dark", "blur"), ("plain", "own", "source", "half")
    table = features(["clipart_labels", "clipart_groups", "clean_plain", *(f"{k}_{w}" for k in kinds for w in ways)])
    labels = table["clipart_labels"]
    print(f"{'corruption':10} {'clean':>6} {'plain':>6} {'AdaBN':>6} {'source':>7} {'prior':>6} {'align':>6}")
    probes = {}
    for kind in kinds:
        rows = []
        for seed in seeds:
            parts = dealt(table["clipart_groups"], 5, seed)
            for part in range(5):
                test = parts == part
                if (seed, part) not in probes:
                    probes[seed, part] = linear_probe(table["clean_plain"][~test], labels[~test], Cs=[C])
                probe = probes[seed, part]
                shown = [table["clean_plain"], *(table[f"{kind}_{way}"] for way in ways)]
                align = FeatureAlignment().fit(table["clean_plain"][~test], target=table[f"{kind}_plain"])
                shown.append(align.transform(table[f"{kind}_plain"]))
                rows.append([(probe.predict(one[test]) == labels[test]).mean() for one in shown])
        print(f"{kind:10} " + " ".join(f"{value:6.3f}" for value in np.mean(rows, axis=0)), flush=True)


def label_orders(seeds):
    """Print accuracy by the number of labels, for random order and for `label_order`."""
    from tlkeras.adaptation.label_order import label_order

    table = features(["clipart_labels", "clipart_groups", "clean_plain", "emoji_names", "emoji_classes", "noto_plain"])
    digits = load_digits()
    emoji = np.unique(table["emoji_classes"], return_inverse=True)[1]
    sets = {
        "clipart10": (table["clean_plain"], table["clipart_labels"], table["clipart_groups"]),
        "emoji4 noto": (table["noto_plain"], emoji, table["emoji_names"]),
        "digits": (StandardScaler().fit_transform(digits.data[:600]), digits.target[:600], np.arange(600)),
    }
    for name, (columns, labels, groups) in sets.items():
        curves = {"random": [], "label_order": []}
        for seed in seeds:
            test = dealt(groups, 4, seed) == 0
            pool = np.flatnonzero(~test)
            steps = [round(share * len(pool)) for share in (0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)]
            orders = {"random": np.random.default_rng(seed).permutation(len(pool)), "label_order": []}
            paths = [str(row) for row in pool]
            for step in steps:
                known = np.full(len(pool), None, object)
                known[orders["label_order"]] = labels[pool][orders["label_order"]]
                more = step - len(orders["label_order"])
                asked = label_order(paths, columns[pool], labels=known, count=more, seed=seed).order
                orders["label_order"] = [*orders["label_order"], *asked]
            for way, order in orders.items():
                curves[way].append([_accuracy(columns, labels, pool[order[:step]], test) for step in steps])
        means = {way: np.mean(rows, axis=0) for way, rows in curves.items()}
        reached = np.flatnonzero(means["label_order"] >= means["random"][-1])
        print(f"\n{name}: labels  {'  '.join(f'{step:5d}' for step in steps)}")
        for way, values in means.items():
            print(f"{way:>12}        {'  '.join(f'{value:.3f}' for value in values)}")
        where = f"{steps[reached[0]]} labels" if len(reached) else "more labels"
        print(f"{where} in this order are as good as {steps[-1]} at random", flush=True)


def _accuracy(columns, labels, rows, test):
    """Measure a probe that learned from some images; one class alone is always answered."""
    if len(np.unique(labels[rows])) < 2:
        return (labels[test] == labels[rows[0]]).mean()
    return (linear_probe(columns[rows], labels[rows], Cs=[C]).predict(columns[test]) == labels[test]).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("styles", "corruptions", "label-order"))
    parser.add_argument("--strict", action="store_true", help="unlabeled images of the measured names only")
    parser.add_argument("--quick", action="store_true", help="one seed instead of five")
    options = parser.parse_args()
    seeds = range(1 if options.quick else 5)
    parts = {
        "styles": lambda: styles(seeds, options.strict),
        "corruptions": lambda: corruptions(seeds),
        "label-order": lambda: label_orders(seeds),
    }
    for name, part in parts.items():
        if options.part in (None, name):
            print(f"\n## {name}", flush=True)
            part()


if __name__ == "__main__":
    main()
