"""The strategy `auto`: follow the advice; keep a fine-tuned model only if it beats the probe by more than chance."""

from dataclasses import replace
from time import perf_counter

from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.pipelines.probe import linear_probe
from tlkeras.selection.advise import plan_for
from tlkeras.selection.by_fine_tuning import predicted, refitted, train_by_fine_tuning
from tlkeras.selection.candidates import Tapped, block_names
from tlkeras.selection.images import images_to_choose_on
from tlkeras.selection.on_features import extract, train_on_features
from tlkeras.selection.outcome import right
from tlkeras.selection.rank import timed_with_features


def train_automatically(task):
    """Train a backbone on a task's images as `tlkeras.advise` recommends.

    The block that a probe reads and the kind of probe are chosen on the training and validation images. If fine-tuning
    is advised, the fine-tuned model must beat that probe by more than chance on the validation images: the lead must
    exceed one standard error of the paired difference, which treats images in the same group as dependent. A tie goes
    to the probe, which is simpler. The reported accuracy is measured on the test images.

    Args:
        task: `tlkeras.selection.outcome.Task`. If `task.probe` is not the default, that kind of probe is used.

    Returns:
        `Trained`, with `advised`, `kept`, `block` and `probe` among its choices, and `lead` and `lead_standard_error`
        if the two strategies were compared.
    """
    start, images = perf_counter(), task.images
    options = {"image_size": images.image_size, "resize": images.resize, "cache": task.cache, "verbose": task.verbose}
    tapped = Tapped(task.backbone, "all", **options)
    split, skipped = images_to_choose_on(images, task.seed)
    candidates, tables = timed_with_features([tapped], split)
    plan = plan_for(candidates, tables, split, skipped, image_size=images.image_size, seed=task.seed)
    best = plan.ranking.recommended
    chosen = {"block": best.candidate.block, "probe": best.probe} if task.probe == "logistic" else {}
    task = replace(task, cross_validate=False, tapped=tapped, smaller_sides=(), **chosen)
    advice = {"advised": plan.strategy, "block": task.block, "probe": task.probe}
    read = " + ".join(block_names(task.block))
    task.report("advice", perf_counter() - start, strategy=plan.strategy, features=read, probe=task.probe)
    if plan.strategy == "features":
        trained = train_on_features(task)
        return replace(trained, choices={**trained.choices, **advice, "kept": "features"})
    trained = _better_of_both(task)
    return replace(trained, choices={**trained.choices, **advice})


def _better_of_both(task):
    """Train a probe and a fine-tuned model on the training images, and keep the better one on validation images."""
    train, validation = task.images.train, task.images.validation
    _, features = extract(task)
    options = {"estimator": task.probe, "groups": train.groups, "seed": task.seed, "class_weight": task.class_weight}
    probe = linear_probe(features["train"], train.labels, **options)
    tuned = train_by_fine_tuning(replace(task, refit=False))
    answers = predicted(tuned.model, validation), probe.predict_proba(features["validation"])
    tuned_right, probe_right = (right(one, validation.labels) for one in answers)
    lead, error = mean_with_error(tuned_right - probe_right, validation.groups)
    if lead > error:
        kept, trained = "finetune", refitted(task, tuned) if task.refit else tuned
    else:
        kept, trained = "features", train_on_features(task)
    seconds = {**trained.seconds, "fine-tune": tuned.seconds["fine-tune"]}
    choices = {**trained.choices, "kept": kept, "lead": lead, "lead_standard_error": error}
    return replace(trained, choices=choices, seconds=seconds)
