"""The strategy `auto`: both others, and the fine-tuned model only if it is better by more than chance."""

from dataclasses import replace

from tlkeras.pipelines.cross_validation import mean_with_error
from tlkeras.pipelines.probe import linear_probe
from tlkeras.selection.by_fine_tuning import predicted, refitted, train_by_fine_tuning
from tlkeras.selection.on_features import extract, train_on_features
from tlkeras.selection.outcome import right


def train_automatically(task):
    """Train both ways, and keep fine-tuning only if it is better by more than chance on the validation images.

    More than chance means a lead in accuracy of more than one standard error of the paired difference, which counts the
    images of a group as dependent. A tie goes to the probe, which is simpler. Both learn from the training images
    for this. The one that is kept is then measured and refitted as the strategy of its name does.

    Args:
        task: `tlkeras.selection.outcome.Task`.

    Returns:
        `Trained`, with `kept`, `lead` and `lead_standard_error` among its choices.
    """
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
