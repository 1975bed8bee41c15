"""The public function `advise`: choose a backbone, and whether to fine-tune it, based on the user's own images."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkeras.backbones.catalog import listed_info
from tlkeras.selection.candidates import block_names
from tlkeras.selection.plan import Choice, Plan, rule_of_thumb
from tlkeras.selection.rank import compare, gather
from tlkeras.selection.ranking import PROBES

#: Images per class below which fine-tuning is not advised: too few would remain to see whether it helped.
FEWEST_PER_CLASS = 10

#: Images below which fine-tuning is not advised.
FEWEST_IMAGES = 1000

#: Accuracy of the probe above which fine-tuning is not advised, because the possible gain is within chance.
GOOD_PROBE = 0.95

#: Time of a training step per image, as a multiple of a LiteRT prediction on one core (docs/performance.md).
TRAINING_TIMES = 17

#: Minutes for training all blocks above which only the last ones are trained.
LONGEST = 240

#: Defaults of `tlkeras.fine_tune`.
EPOCHS, LEARNING_RATE, LAYER_DECAY = 4, 3e-4, 0.9


def advise(
    images: Any,
    backbones: Sequence[str] | str | None = None,
    *,
    max_params: float | None = None,
    max_madds: float | None = None,
    max_ms: float | None = None,
    max_file_size: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    cache: bool | str | os.PathLike = True,
    seed: int = 0,
    verbose: bool = False,
) -> Plan:
    """Recommend how to train a classifier: which backbone to use, and which layers to train and how, with reasons.

    Backbones and their blocks are compared by probes on their features (see `tlkeras.rank`). The accuracy of the best
    probe and the number of images then decide whether fine-tuning is worth the time: a probe that is nearly always
    correct leaves nothing to gain, and on our data sets of a few hundred images, fine-tuning was not more accurate than
    the advised probe (docs/choosing.md). Producing the advice requires no fine-tuning. `tlkeras fit --strategy auto`
    follows the advice. If that command fine-tunes, it compares the result with the probe on held-out images and keeps
    the better model.

    Args:
        images: As in `tlkeras.rank`. Test images are not used.
        backbones: Names of backbones. Defaults to all backbones whose weights are on this machine.
        max_params: Maximum number of parameters, not counting the head, as in `tlkeras.rank`. This and the other
            budgets default to None, which means no limit.
        max_madds: Maximum number of multiply-adds per image.
        max_ms: Maximum time per image on this machine, in milliseconds.
        max_file_size: Maximum size, in bytes, of a classifier's float32 weights.
        image_size: Side length in pixels, or `(height, width)`. Defaults to the size that each backbone was trained at.
        cache: As in `tlkeras.FeatureExtractor`.
        seed: Seed for the folds. Defaults to 0.
        verbose: Whether to show progress on stderr.

    Returns:
        `Plan`, which prints as a list of choices. To carry it out, run `plan.command` or call
        `tlkeras.fine_tune(plan=plan)`.

    Raises:
        InputError: As in `tlkeras.rank`.

    Example:

    >>> import tlkeras
    >>> images = tlkeras.load_images("data/clipart10", per_class=8)
    >>> plan = tlkeras.advise(images, ["efficientnet_lite0"], image_size=96)
    >>> plan.backbone, plan.strategy, plan.rule_of_thumb
    ('efficientnet_lite0', 'features', 'head')

    Reference: Kumar et al., 2022, https://arxiv.org/abs/2202.10054, on training a probe before fine-tuning.
    """
    budgets = {"max_params": max_params, "max_madds": max_madds, "max_ms": max_ms, "max_file_size": max_file_size}
    settings = {"image_size": image_size, "cache": cache, "seed": seed, "verbose": verbose}
    return plan_for(*gather(images, backbones, "all", budgets, **settings), image_size=image_size, seed=seed)


def plan_for(candidates, tables, split, skipped=(), *, image_size=None, seed=0) -> Plan:
    """Build a plan from candidates whose features are known.

    Args:
        candidates: List of `Candidate`, each a whole backbone.
        tables: Features of each candidate, arrays of shape `(images, width)`.
        split: `ImageSplit` of the images.
        skipped: Files that cannot be read.
        image_size: Size of the images that the features were computed from; None for each backbone's default.
        seed: Seed for the folds.

    Returns:
        `Plan`.
    """
    ranking = compare(candidates, tables, split, skipped, seed)
    row, whole = ranking.recommended, _whole(ranking)
    strategy, trains = _strategy(row, whole, split)
    tuned = strategy.value == "finetune"
    if tuned:
        row, trains = whole, _trained(whole.candidate, len(split))
    if image_size is None:
        info = listed_info(row.candidate.backbone)
        image_size = info.default_size if info else max(split.image_size)
    choices = (_backbone(ranking, row), *_readout(ranking, row, tuned), strategy, trains)
    return Plan(
        strategy=strategy.value,
        trains=trains.value,
        backbone=row.candidate.backbone,
        block=row.candidate.block,
        image_size=image_size,
        probe=row.probe,
        epochs=EPOCHS if tuned else 0,
        learning_rate=LEARNING_RATE if tuned else None,
        layer_decay=LAYER_DECAY if tuned else None,
        augmentation=tuned,
        choices=(*choices, *_settings(tuned, image_size)),
        rule_of_thumb=rule_of_thumb(ranking.images),
        ranking=ranking,
    )


def _strategy(row, whole, split):
    """Choose between a probe and fine-tuning; return two `Choice` objects: the strategy and the weights to train."""
    labels = split.labels if split.multilabel else np.eye(len(split.class_names))[split.labels]
    fewest = min(len(np.unique(split.groups[column > 0])) for column in labels.T)
    accuracy, error = row.accuracy, row.standard_error
    measured = f"The best probe has an accuracy of {accuracy:.3f} ± {error:.3f}"
    frozen = Choice("trains", "head", "default", "The backbone stays frozen.")
    if accuracy >= GOOD_PROBE:
        certainty = "clear" if accuracy - error > GOOD_PROBE else "tie"
        return Choice("strategy", "features", certainty, f"{measured}, which leaves little to gain."), frozen
    if fewest < FEWEST_PER_CLASS or len(split) < FEWEST_IMAGES:
        reason = (
            f"{measured}. With {len(split):,} images ({fewest} in the smallest class), start with the probe: on our "
            "data sets of a few hundred images, fine-tuning was not more accurate (docs/choosing.md)."
        )
        return Choice("strategy", "features", "default", reason), frozen
    if whole is None:
        return Choice(
            "strategy", "features", "default", f"{measured}, and no whole backbone meets the budgets."
        ), frozen
    certainty = "clear" if accuracy + error < GOOD_PROBE else "tie"
    reason = f"{measured}: a weak probe, and enough images to learn from. The better model is kept."
    return Choice("strategy", "finetune", certainty, reason), frozen


def _whole(ranking):
    """Return the row to fine-tune: the most accurate whole backbone, or None if none meets the budgets."""
    rows = [row for row in ranking.rows if row.candidate.block is None and row.accuracy is not None]
    return max(rows, key=lambda row: row.accuracy, default=None)


def _trained(candidate, images):
    """Choose the weights to train."""
    minutes = EPOCHS * images * (candidate.milliseconds or 0) * TRAINING_TIMES / 60_000
    time = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    if minutes > LONGEST:
        reason = f"Training all blocks would take about {time}. If only the last ones train, the others run just once."
        return Choice("trains", "last", "default", reason)
    reason = "All blocks, at a low learning rate, starting from the probe, with BatchNorm in inference mode."
    return Choice("trains", "all", "default", reason + (f" About {time} on this machine." if minutes >= 1 else ""))


def _backbone(ranking, row):
    """Explain the choice of the backbone."""
    one, compared = row.candidate, {other.candidate.backbone for other in ranking.rows}
    if len(compared) == 1:
        return Choice("backbone", one.backbone, "default", "The only backbone that was compared.")
    ties = sorted({tie.candidate.backbone for tie in ranking.ties} - {one.backbone})
    if ties:
        reason = f"The cheapest within one standard error of the best. Equally good: {', '.join(ties)}."
        return Choice("backbone", one.backbone, "tie", reason)
    reason = f"The most accurate by more than one standard error: {row.accuracy:.3f} ± {row.standard_error:.3f}."
    return Choice("backbone", one.backbone, "clear", reason)


def _readout(ranking, row, tuned):
    """Explain the choice of block and of probe."""
    if tuned:
        return
    if row.over_output is not None and len(ranking.rows) > len({one.candidate.backbone for one in ranking.rows}):
        gain, error = row.over_output
        if row.candidate.block is None:
            certainty, reason = "tie", "No earlier block is both as accurate and cheaper."
        elif gain > error:
            certainty = "clear"
            reason = (
                f"{gain:+.3f} ± {error:.3f} over the output in the quick scores, more than one standard error. The "
                "images may be unlike those used for pretraining."
            )
        else:
            certainty, reason = "tie", "Within one standard error of the best candidate, and cheaper than the output."
        yield Choice("block", ", ".join(block_names(row.candidate.block)), certainty, reason)
    yield Choice("probe", row.probe, "tie", f"{PROBES[row.probe].capitalize()} was at least as accurate.")


def _settings(tuned, image_size):
    """List the choices that do not depend on the images."""
    size = Choice("image size", image_size, "default", "The size of the images that the features were computed from.")
    if not tuned:
        return (size,)
    return (
        size,
        Choice("epochs", EPOCHS, "default", "The default of `fine_tune`."),
        Choice(
            "learning rate",
            LEARNING_RATE,
            "default",
            "The default of `fine_tune`, for the top block. With few images, 1e-4 made no difference beyond chance, "
            "and with 1e-3 nothing was better than the probe (docs/performance.md).",
        ),
        Choice("layer decay", LAYER_DECAY, "default", "Each block learns a tenth more slowly than the one above it."),
        Choice(
            "augmentation",
            "by domain",
            "default",
            "Which changes preserve labels depends on the kind of images. Pass a --domain, such as photo or drawing.",
        ),
    )
