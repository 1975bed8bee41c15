"""How many of the labels that `check_images` suspects on clipart10 are wrong, and what other ways would find.

Truth is `data/clipart10/LABEL_NOISE.csv`, written by looking at all images before the suspects were known. It has 16
wrong labels, too few to choose a way by. So the ways are also compared on noise that is put into the sound images:
labels changed one by one, and labels of several like images changed to the same other class, as with the knots among
the boats. A second table has how many labels are suspected, and how many of these are wrong, on clipart10, on emoji4
and on folders given, with none, 3% and 10% of the labels changed: by `check_images`, and by the count of confident
learning. Run from the repository's root: `python benchmarks/label_suspects.py [FOLDER ...]`; `--quick` for one draw and
clipart10 alone.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.cluster import AgglomerativeClustering
from sklearn.preprocessing import normalize

import tlkeras
from tlkeras.checks.backbone_features import feature_function
from tlkeras.checks.suspects import find_suspects, folds_to_judge, held_out_probabilities
from tlkeras.data.duplicates import fingerprint, merge_groups, near_duplicate_groups
from tlkeras.data.listing import list_folder
from tlkeras.data.reading import open_rgb
from tlkeras.errors import InputError

DATA = Path("data/clipart10")
TRIALS, TOP = 15, 20


def out_of_fold(features, labels, groups, folds):
    """Class probabilities of each image from a probe that saw nothing of its group."""
    return held_out_probabilities(features, labels, folds_to_judge(labels, groups, folds, seed=0))


def with_clusters(features, labels, groups, size):
    """Groups joined with clusters of about `size` like images within each class."""
    clusters, unit = np.zeros(len(labels), int), normalize(features)
    for label in np.unique(labels):
        inside = np.flatnonzero(labels == label)
        clusters[inside] = 1000 * label + AgglomerativeClustering(len(inside) // size).fit_predict(unit[inside])
    return merge_groups(groups, clusters)


METHODS = {
    "near-duplicates in one fold (kept)": lambda x, y, groups: out_of_fold(x, y, groups, 10),
    "clusters of 2 in one fold": lambda x, y, groups: out_of_fold(x, y, with_clusters(x, y, groups, 2), 5),
    "clusters of 4 in one fold": lambda x, y, groups: out_of_fold(x, y, with_clusters(x, y, groups, 4), 5),
    "mean of the first and the third": lambda x, y, groups: (
        (out_of_fold(x, y, groups, 10) + out_of_fold(x, y, with_clusters(x, y, groups, 4), 5)) / 2
    ),
}


def ranking(probabilities, labels):
    """The images in order of suspicion: those that the probe labels otherwise, the least probable label first."""
    own = probabilities[np.arange(len(labels)), labels]
    return np.lexsort((own, probabilities.argmax(axis=1) == labels))


def with_noise(labels, features, lump, seed):
    """Changes 18 labels: 12 in lumps of `lump` like images to the same class, 6 one by one."""
    rng, noisy, wrong = np.random.default_rng(seed), labels.copy(), np.zeros(len(labels), bool)
    unit = normalize(features)
    for size in [lump] * (12 // lump) + [1] * 6:
        first = rng.choice(np.flatnonzero(~wrong))
        like = np.flatnonzero((labels == labels[first]) & ~wrong)
        chosen = like[np.argsort(-(unit[like] @ unit[first]))[:size]]
        noisy[chosen] = (labels[first] + rng.integers(1, 10)) % 10
        wrong[chosen] = True
    return noisy, wrong


def report_on_check_images(verdict):
    report = tlkeras.check_images(DATA)
    images = sum(report.images.values())
    suspects = [finding.paths[0] for finding in report.of("suspect_label")]
    print(f"check_images: {len(suspects)} suspects among {images} images")
    for name, kinds in (("wrong", {"wrong"}), ("wrong or doubtful", {"wrong", "doubtful"})):
        bad = {path for path, kind in verdict.items() if kind in kinds}
        precision, chance = len(bad & set(suspects[:TOP])) / TOP, len(bad) / images
        print(
            f"{name}: precision at {TOP} {precision:.2f}, at random {chance:.2f}, ratio {precision / chance:.1f}; "
            f"found {len(bad & set(suspects))} of {len(bad)}"
        )


def compare_methods(features, labels, groups, verdict):
    knots = np.array([key.startswith("boat/knot-") for key in verdict])
    signs = np.isin(
        list(verdict), ["vehicle/crossroads.jpg", "vehicle/curve-ahead.jpg", "vehicle/parking-romus-01.jpg"]
    )
    verdict = np.array(list(verdict.values()))
    sound = np.flatnonzero(verdict == "")
    x, y, together = features[sound], labels[sound], groups[sound]
    for name, method in METHODS.items():
        order = ranking(method(features, labels, groups), labels)
        wrong, wide = (verdict[order[:TOP]] == "wrong").sum(), (verdict[order[:TOP]] != "").sum()
        places = [np.flatnonzero(kind[order]).tolist() for kind in (knots, signs)]
        print(f"{name}: {wrong} wrong, {wide} wrong or doubtful; knots at {places[0]}, signs at {places[1]}")
        for lump in (1, 4):
            found = []
            for seed in range(TRIALS):
                noisy, wrong = with_noise(y, x, lump, seed)
                found.append(wrong[ranking(method(x, noisy, together), noisy)[:TOP]].sum())
            error = np.std(found, ddof=1) / np.sqrt(TRIALS)
            print(f"    of 18 put in, 12 of them in lumps of {lump}: {np.mean(found):.1f} +- {error:.1f}", flush=True)


def confident_learning(labels, probabilities):
    """As many of the least probable labels as the confident joint counts (Northcutt et al., 2021)."""
    own = probabilities[np.arange(len(labels)), labels]
    usual = [own[labels == one].mean() for one in range(probabilities.shape[1])]
    confident = np.where(probabilities >= usual, probabilities, -np.inf)
    count = (np.isfinite(confident.max(axis=1)) & (confident.argmax(axis=1) != labels)).sum()
    return ranking(probabilities, labels)[:count]


def compare_counts(folder, known, draws=3):
    """Print suspects and the wrong ones among them, for shares of labels that are changed."""
    names, files = list_folder(folder)
    files = [file for file in files if file.key not in known]
    labels = np.array([names.index(file.label) for file in files])
    groups = near_duplicate_groups([fingerprint(open_rgb(file.path, (64, 64))) for file in files])
    features = feature_function("efficientnet_lite0", (224, 224))([file.path for file in files])
    for share in (0, 0.03, 0.1):
        counts = []
        for seed in range(draws if share else 1):
            rng, noisy = np.random.default_rng(seed), labels.copy()
            wrong = rng.choice(len(labels), round(share * len(labels)), replace=False)
            noisy[wrong] = (labels[wrong] + rng.integers(1, len(names), len(wrong))) % len(names)
            probabilities = out_of_fold(features, noisy, groups, 10)
            estimated = [index for index, _ in find_suspects(noisy, probabilities)]
            found = [estimated, confident_learning(noisy, probabilities)]
            counts.append([number for one in found for number in (len(one), np.isin(one, wrong).sum())])
        means = np.mean(counts, axis=0)
        print(
            f"{folder}, {len(wrong)} of {len(labels)} labels changed: {means[0]:.1f} suspects, {means[1]:.1f} of them "
            f"wrong; by confident learning {means[2]:.1f}, {means[3]:.1f}",
            flush=True,
        )


def main():
    quick, folders = "--quick" in sys.argv, [one for one in sys.argv[1:] if one != "--quick"]
    with (DATA / "LABEL_NOISE.csv").open() as file:
        known = {row["file"]: row["verdict"] for row in csv.DictReader(file)}
    report_on_check_images(known)
    styles = sorted(path for path in Path("data/emoji4").iterdir() if path.is_dir())
    for folder in [DATA] if quick else [DATA, *styles, *folders]:
        compare_counts(folder, known if folder == DATA else {}, draws=1 if quick else 3)
    if quick:
        return
    names, files = list_folder(DATA)
    labels = np.array([names.index(file.label) for file in files])
    groups = near_duplicate_groups([fingerprint(open_rgb(file.path, (64, 64))) for file in files])
    verdict = {file.key: known.get(file.key, "") for file in files}
    for backbone, size in (("efficientnet_lite0", 224), ("efficientnet_lite2", 260)):
        print(f"\n{backbone}, the first {TOP}")
        try:
            features = feature_function(backbone, (size, size))([file.path for file in files])
        except InputError as error:
            print(error)
            continue
        compare_methods(features, labels, groups, verdict)


if __name__ == "__main__":
    main()
