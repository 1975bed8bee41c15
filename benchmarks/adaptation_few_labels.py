"""Five labels per class of a new style, or none: a retrained probe, LP-FT and adaptation, between styles of emoji4.

    python benchmarks/adaptation_few_labels.py              # probes and adaptation, 12 directions, 5 seeds
    python benchmarks/adaptation_few_labels.py --fine-tune  # LP-FT beside them: 2 directions, 1 seed, 96 pixels
    python benchmarks/adaptation_few_labels.py --quick      # one seed

One name of an emoji is on one side: everything learns from four fifths of the names in one style, and from five images
per class of these names in the other style, and is measured on the other names in the other style. Adaptation sees all
images of the other style, without labels. Features come from `benchmarks/adaptation.py`.

Fine-tuning takes `tlkeras.fine_tune` on both labeled sets together, last two blocks, trunk computed once, 6 epochs; its
start is the probe of both sets, and its end the mean of probe and fine-tuned weights. There all features are those of
96-pixel images.
"""

import argparse
from itertools import permutations

import numpy as np
from adaptation import DATA, FOR_STATISTICS, STYLES, C, dealt, features

from tlkeras.adaptation.alignment import FeatureAlignment
from tlkeras.adaptation.domain_probe import former_weight
from tlkeras.adaptation.self_train import fit_with_unlabeled
from tlkeras.pipelines.labeled import labeled_features
from tlkeras.pipelines.probe import linear_probe

PER_CLASS = 5
FINE_TUNED = (("line", "noto"), ("noto", "line"))
PIXELS = 96


def on_features(seeds):
    """Compare labels of the target with adaptation, in all directions between styles, on stored features."""
    names = [f"{style}_{kind}" for style in STYLES for kind in ("plain", "own")]
    table = features([*names, "emoji_names", "emoji_classes"])
    labels = np.unique(table["emoji_classes"], return_inverse=True)[1]
    tables = {s: [table[f"{s}_plain"], np.hstack([table[f"{s}_plain"], table[f"{s}_own"]])] for s in STYLES}
    scores, known = {}, {}
    for source, target in permutations(STYLES, 2):
        for seed in seeds:
            test = dealt(table["emoji_names"], 5, seed) == 0
            rows, others, shots = deal_rows(labels, test, seed)
            if (source, seed) not in known:
                known[source, seed] = [linear_probe(one[rows], labels[rows], Cs=[C]) for one in tables[source]]
            for name, answer in answers_of(tables[source], tables[target], labels, rows, shots, known[source, seed]):
                scores.setdefault(name, []).append((answer[others] == labels[others]).mean())
    print_means(scores)


def deal_rows(labels, test, seed):
    """Return rows to learn from, rows to measure on, and a few of the former per class, which have target labels."""
    rng = np.random.default_rng(seed)
    rows, others = np.flatnonzero(~test), np.flatnonzero(test)
    shots = [rng.permutation(rows[labels[rows] == one])[:PER_CLASS] for one in np.unique(labels)]
    return rows, others, np.concatenate(shots)


def answers_of(source, target, labels, rows, shots, known):
    """Yield (name, class numbers of all target images) for each way to use unlabeled images and a few labels.

    Args:
        source: Features of the source, of one network and of both.
        target: The same for the target.
        labels: Class numbers of the images; those of a name are the same in source and target.
        rows: Source images with labels.
        shots: Target images with labels.
        known: Probes of the source, for one network and for both.
    """
    every = labels[np.concatenate([rows, shots])]
    former = known[0].predict_log_proba(target[0])
    alignment = FeatureAlignment().fit(source[1][rows], target=target[1])
    aligned = alignment.transform(target[1])
    adapted = known[1].predict_log_proba(aligned)
    _, trained = fit_with_unlabeled(known[1], labeled_features(source[1][rows], labels[rows]), aligned)
    joined = linear_probe(np.concatenate([source[0][rows], target[0][shots]]), every, Cs=[C])
    both = linear_probe(np.concatenate([source[1][rows], aligned[shots]]), every, Cs=[C])
    weight = former_weight((former.argmax(axis=1) == adapted.argmax(axis=1)).mean(), 2)
    logits = {
        "source only": former,
        "target labels only": linear_probe(target[0][shots], labels[shots], Cs=[C]).predict_log_proba(target[0]),
        "source and target labels": joined.predict_log_proba(target[0]),
        "adapted, no target labels": weight * former + (1 - weight) * adapted,
        "adapted, self-training, no labels": weight * former + (1 - weight) * np.log(trained + 1e-12),
        "adapted, with target labels": both.predict_log_proba(aligned),
    }
    for name, one in logits.items():
        yield name, one.argmax(axis=1)


def on_pixels():
    """Compare fine-tuning with the others in a few directions, on features of small images."""
    import tlkeras

    files = sorted((DATA / "emoji4" / "noto").glob("*/*.jpg"))
    names, classes = [file.stem for file in files], [file.parent.name for file in files]
    class_names, labels = np.unique(classes, return_inverse=True)
    network = tlkeras.backbone("efficientnet_lite0", image_size=PIXELS, pooling="avg")
    initial, pixels, tables = network.get_weights(), {}, {}
    for style in sorted(set(sum(FINE_TUNED, ()))):
        paths = [DATA / "emoji4" / style / file.parent.name / file.name for file in files]
        pixels[style] = tlkeras.read_images(paths, PIXELS)
        network.set_weights(initial)
        plain = tlkeras.FeatureExtractor(network, cache=False).transform(pixels[style])
        few = np.sort(np.random.default_rng(0).permutation(len(files))[:FOR_STATISTICS])
        tlkeras.adapt_batchnorm(network, pixels[style][few], prior=0)
        own = tlkeras.FeatureExtractor(network, cache=False).transform(pixels[style])
        tables[style] = [plain, np.hstack([plain, own])]
    rows_of_table = {}
    for source, target in FINE_TUNED:
        rows, others, shots = deal_rows(labels, dealt(names, 5, 0) == 0, 0)
        known = [linear_probe(one[rows], labels[rows], Cs=[C]) for one in tables[source]]
        for name, answer in answers_of(tables[source], tables[target], labels, rows, shots, known):
            rows_of_table.setdefault(name, []).append((answer[others] == labels[others]).mean())
        model = tlkeras.image_classifier("efficientnet_lite0", classes=list(class_names), image_size=PIXELS)
        both = np.concatenate([pixels[source][rows], pixels[target][shots]])
        data = both, labels[np.concatenate([rows, shots])]
        tlkeras.fine_tune(model, data, epochs=6, blocks=2, C=C, cache=True, verbose=False)
        tuned = model.predict(pixels[target][others], verbose=0).argmax(axis=1)
        rows_of_table.setdefault("LP-FT, source and target labels", []).append((tuned == labels[others]).mean())
        print(f"{source} -> {target}: " + ", ".join(f"{name} {one[-1]:.3f}" for name, one in rows_of_table.items()))
    print_means(rows_of_table)


def print_means(scores):
    """Print the mean accuracy of each way, and its gain over the source alone."""
    print(f"{'':34} {'mean':>6} {'gain':>7}")
    for name, values in scores.items():
        print(f"{name:34} {np.mean(values):6.3f} {np.mean(values) - np.mean(scores['source only']):+7.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fine-tune", action="store_true", help="compare LP-FT too, on small images")
    parser.add_argument("--quick", action="store_true", help="one seed instead of five")
    options = parser.parse_args()
    if options.fine_tune:
        on_pixels()
    else:
        on_features(range(1 if options.quick else 5))


if __name__ == "__main__":
    main()
