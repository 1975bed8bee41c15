"""Claim: `tlkeras.advise` loses less accuracy than fixed rules, compared with trying everything.

    python benchmarks/advice.py [--data DIR...] [--seeds 1] [--finetune-minutes 0] [--reseed 10] [--quick]

Each data set is split (60% to learn from, 40% to answer) once per seed. A cell is a way to train: a backbone, read
at its output, at one of its last blocks or at three neighboring blocks by one of two linear probes, or fine-tuned. The
regret of a rule is the accuracy
of the best cell of a data set less that of the cell that the rule takes, both averaged over the splits. `advise` sees
the training images only. `--reseed` repeats the advice with other seeds of its folds: how often does it change, and was
what it changed to called a tie?

Results are kept in advice.json, so a rerun computes only what is missing. Fine-tuning takes minutes per cell; it runs
as long as `--finetune-minutes` says, smallest backbone first. Networks see 96 x 96 pixels, which makes that five times
faster.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import tlkeras
from tlkeras.selection.advise import plan_for
from tlkeras.selection.candidates import JOINED, Tapped, block_names

IMAGE_SIZE, TEST_SIZE = 96, 0.4
BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
DEFAULT, LARGEST = BACKBONES[0], BACKBONES[-1]
BLOCKS = ("block4", "block5", "block6", "block7", "output")
OWN = ("clipart10", "noto", "twemoji", "rendered", "line", "digits", "emoji4")
STYLES = OWN[1:5]
PROBES = ("logistic", "lda")
CAUTIOUS = {"Cs": (0.01,), "folds": 1}  # what cross-validation chooses nearly always; a temperature decides nothing


def images_of(name, seed=0, test_size=TEST_SIZE):
    """Load a data set by its name or folder; `train` is to be learned from, `test` to be answered."""
    options = {"seed": seed, "validation_size": 0, "test_size": test_size, "image_size": IMAGE_SIZE}
    if name == "digits":  # 50 of each
        digits = load_digits()
        chosen = np.concatenate([np.flatnonzero(digits.target == label)[:50] for label in range(10)])
        pixels = np.repeat((digits.images[chosen] * (255 / 16)).astype("uint8")[..., None], 3, axis=-1)
        return tlkeras.load_images(pixels, labels=digits.target[chosen], near_duplicates=False, **options)
    if name == "emoji4":  # all styles; an idea is on one side of a split

        def label_of(path):
            return path.split("/")[-2] if path.endswith(".jpg") else None

        return tlkeras.load_images("data/emoji4", label_of=label_of, groups=r"([^/]+)\.jpg$", **options)
    return tlkeras.load_images(
        f"data/emoji4/{name}" if name in STYLES else name if name not in OWN else f"data/{name}", **options
    )


def features_of(name):
    """Compute the features of a whole data set.

    Returns:
        `(candidates, rows, cells)`: the candidates of `advise`, a dict per candidate from paths to features, and a dict
        from the names of cells to such dicts, which also holds the blocks that are read alone.
    """
    whole = images_of(name, test_size=0)
    whole = whole.train.join(whole.validation, whole.test)
    candidates, rows, cells = [], [], {}
    for backbone in BACKBONES:
        tapped = Tapped(backbone, "all", image_size=IMAGE_SIZE)
        listed, widths = tapped.candidates(len(whole.class_names)), []
        for one, table in zip(listed, tapped.features(whole), strict=True):
            widths.append(one.width - sum(widths[1 - JOINED :]) if one.block else one.width)
            candidates.append(one)
            rows.append(dict(zip(whole.paths, table, strict=True)))
            if one.end in BLOCKS:
                cells[f"{backbone} {place(one)}"] = rows[-1]
                alone = table[:, -widths[-1] :]  # the columns of the last block it reads
                cells[f"{backbone} {one.end}"] = dict(zip(whole.paths, alone, strict=True))
    return candidates, rows, cells


def place(candidate):
    """Name what a candidate reads, such as `block4-block6`."""
    names = block_names(candidate.block)
    return "-".join(dict.fromkeys([names[0], names[-1]]))


def fill_probes(kept, name, seeds, reseed):
    """Compute the cells of probes and the advice for some splits of a data set."""
    wanted = [seed for seed in range(seeds) if not {f"{name} {seed} plan", f"{name} {seed} best"} <= kept.keys()]
    if not wanted and not (reseed and f"{name} reseed" not in kept):
        return
    candidates, rows, cells = features_of(name)
    for seed in wanted:
        images = images_of(name, seed)
        train, test = images.train, images.test
        for cell, of in cells.items():
            for probe in PROBES:
                key = f"{name} {seed} {cell} {probe}"
                if key not in kept:
                    known, unknown = (np.stack([of[path] for path in part.paths]) for part in (train, test))
                    fitted = tlkeras.linear_probe(known, train.labels, estimator=probe, groups=train.groups, **CAUTIOUS)
                    kept[key] = float((fitted.predict(unknown) == test.labels).mean())
        tables = [np.stack([of[path] for path in train.paths]) for of in rows]
        plan = plan_for(candidates, tables, train, image_size=IMAGE_SIZE, seed=seed)
        kept[f"{name} {seed} plan"] = [plan.strategy, *_recommended(plan.ranking), len(train)]
        kept[f"{name} {seed} best"] = _recommended_row(plan.ranking.best)
        prior = plan.ranking.prior.candidate
        print(f"{name} {seed}: {kept[f'{name} {seed} plan']}; prior {prior.backbone}", flush=True)
    if reseed and f"{name} reseed" not in kept:
        train = images_of(name, test_size=0).train
        tables = [np.stack([of[p] for p in train.paths]) for of in rows]
        plans = [plan_for(candidates, tables, train, image_size=IMAGE_SIZE, seed=seed) for seed in range(reseed)]
        first = plans[0].ranking
        ties = [_recommended_row(row)[:2] for row in first.ties]
        answers = [_recommended(plan.ranking)[:2] for plan in plans]
        changed = [answer for answer in answers if answer != answers[0]]
        kept[f"{name} reseed"] = {
            "seeds": reseed,
            "changed": len(changed),
            "of them ties": sum(answer in ties for answer in changed),
            "strategy changed": sum(plan.strategy != plans[0].strategy for plan in plans),
        }
        print(f"{name} reseed: {kept[f'{name} reseed']}", flush=True)


def _recommended(ranking):
    return _recommended_row(ranking.recommended)


def _recommended_row(row):
    return [row.candidate.backbone, place(row.candidate), row.probe]


def fill_fine_tuning(kept, save, names, minutes):
    """Fine-tune on the first split of each data set until the time is up."""
    start = time.perf_counter()
    for backbone in BACKBONES:
        for name in names:
            key = f"{name} 0 {backbone} finetune"
            if key in kept or time.perf_counter() - start > 60 * minutes:
                continue
            images = images_of(name)
            keras.utils.set_random_seed(0)
            model = tlkeras.image_classifier(backbone, images.class_names, image_size=IMAGE_SIZE)
            tlkeras.fine_tune(model, images.train, verbose=False)
            answers = model.predict(images.test.batches(32), verbose=0).argmax(axis=1)
            kept[key] = float((answers == images.test.labels).mean())
            keras.backend.clear_session()
            save()
            print(f"{key}: {kept[key]:.3f}", flush=True)


def rules(kept, name, seed):
    """Return the cell that each rule takes; None where it was not computed."""
    strategy, backbone, block, probe, images = kept[f"{name} {seed} plan"]
    tuned = f"{name} {seed} {DEFAULT} finetune"
    cells = {
        "advise": f"{name} {seed} {backbone} {block} {probe}",
        "its most accurate": " ".join([f"{name} {seed}", *kept.get(f"{name} {seed} best", [])]),
        "largest affordable, probe": f"{name} {seed} {LARGEST} output logistic",
        "always the probe (Lite0)": f"{name} {seed} {DEFAULT} output logistic",
        "rule of thumb (Lite0)": f"{name} {seed} {DEFAULT} output logistic" if images < 1000 else tuned,
        "always fine-tune (Lite0)": tuned,
    }
    if strategy == "finetune" and f"{name} {seed} {backbone} finetune" in kept:
        cells["advise"] = f"{name} {seed} {backbone} finetune"
    return {rule: kept.get(cell) for rule, cell in cells.items()}


def report(kept, names, seeds):
    """Print regrets over all splits, then the first split, where fine-tuning was tried."""
    done = [name for name in names if all(f"{name} {seed} plan" in kept for seed in range(seeds))]
    if not done:
        return
    regrets = {}
    print(f"\n{f'regret, splits: {seeds}':<28}{''.join(f'{Path(name).name[:9]:>10}' for name in done)}      mean")
    for rule in rules(kept, done[0], 0):
        row = []
        for name in done:
            first, ends = f"{name} 0 ", (*PROBES, "finetune")
            cells = [key.removeprefix(first) for key in kept if key.startswith(first) and key.endswith(ends)]
            tried = [[kept.get(f"{name} {seed} {cell}") for seed in range(seeds)] for cell in cells]
            best = max(np.mean(one) for one in tried if None not in one)
            taken = [rules(kept, name, seed)[rule] for seed in range(seeds)]
            row.append(None if None in taken else best - np.mean(taken))
        cells = "".join(f"{'-' if one is None else format(one, '.3f'):>10}" for one in row)
        known = [one for one in row if one is not None]
        print(f"{rule:<28}{cells}{f'{np.mean(known):.3f}' if known else '-':>10}")
        if len(known) == len(row):
            regrets[rule] = float(np.mean(row))
    tuned = [name for name in done if f"{name} 0 {DEFAULT} finetune" in kept]
    print(f"\n{'accuracy, split 0':<28}{''.join(f'{Path(name).name[:9]:>10}' for name in tuned)}      mean")
    for rule in rules(kept, done[0], 0) if tuned else ():
        row = [rules(kept, name, 0)[rule] for name in tuned]
        if None not in row:
            print(f"{rule:<28}{''.join(f'{one:>10.3f}' for one in row)}{np.mean(row):>10.3f}")
    changes = [kept[f"{name} reseed"] for name in done if f"{name} reseed" in kept]
    if changes:
        total, changed = sum(one["seeds"] - 1 for one in changes), sum(one["changed"] for one in changes)
        ties, strategy = sum(one["of them ties"] for one in changes), sum(one["strategy changed"] for one in changes)
        print(f"\nReseeded {total} times: {changed} other candidates recommended, {ties} of them called ties; ", end="")
        print(f"another strategy {strategy} times.")
    print(f"Lowest mean regret: {min(regrets, key=regrets.get)}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="*", default=list(OWN), help="names of our data sets, or folders")
    parser.add_argument("--seeds", type=int, default=1, help="splits per data set")
    parser.add_argument("--reseed", type=int, default=0, help="seeds of the folds of the advice")
    parser.add_argument("--finetune-minutes", type=float, default=0)
    parser.add_argument("--quick", action="store_true", help="print what was kept, and compute nothing")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("advice.json"))
    options = parser.parse_args()
    kept = json.loads(options.results.read_text()) if options.results.exists() else {}

    def save():
        options.results.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n")

    if not options.quick:
        with threadpool_limits(1, user_api="blas"):
            for name in options.data:
                fill_probes(kept, name, options.seeds, options.reseed)
                save()
        fill_fine_tuning(kept, save, options.data, options.finetune_minutes)
    report(kept, options.data, options.seeds)


if __name__ == "__main__":
    main()
