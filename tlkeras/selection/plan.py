"""The result of `advise`: a plan for training, with a reason and a certainty for each choice."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Literal

from tlkeras.selection.ranking import COLUMNS, Ranking

#: Column where the reasons begin.
_INDENT = 15


@dataclass(frozen=True)
class Choice:
    """One choice in a plan.

    Attributes:
        name: Name of the choice, such as `"backbone"`.
        value: The chosen value.
        certainty: `"clear"` if the images support the choice by more than one standard error, `"tie"` if the support is
            weaker, and `"default"` if the choice does not depend on the images.
        reason: The reason for the choice, with the evidence, in one sentence.
    """

    name: str
    value: object
    certainty: Literal["clear", "tie", "default"]
    reason: str


@dataclass(frozen=True)
class Plan:
    """A plan for training a classifier on given images. It prints as a list of choices with their reasons.

    Attributes:
        strategy: `"features"` (a probe on frozen features) or `"finetune"`, as in `tlkeras.fit`.
        trains: `"head"`, `"last"` (the top blocks) or `"all"`.
        backbone: Name of the backbone.
        block: Name of the block that a probe reads, or names of several blocks, as in `tlkeras.FeatureExtractor`; None
            for the backbone's output or if the plan is to fine-tune.
        image_size: Side length of the images in pixels, or `(height, width)`.
        epochs: Number of fine-tuning epochs; 0 for a probe.
        probe: `"logistic"` or `"lda"`, as in `tlkeras.linear_probe`.
        learning_rate: Peak learning rate of fine-tuning, or None.
        layer_decay: Factor that multiplies the learning rate from each block to the one below it, or None.
        augmentation: Whether to augment images, with the augmentations that are allowed for the domain.
        choices: A `Choice`, with its reason, for each of the settings above.
        rule_of_thumb: The layers to train according to the number of images alone: `"head"` below 1,000, `"last"` up to
            100,000, and `"all"` above.
        ranking: `Ranking` of the backbones and their blocks, on which the choices are based.
    """

    strategy: Literal["features", "finetune"]
    trains: Literal["head", "last", "all"]
    backbone: str
    block: str | tuple[str, ...] | None
    image_size: int | tuple[int, int]
    probe: str
    epochs: int
    learning_rate: float | None
    layer_decay: float | None
    augmentation: bool
    choices: tuple[Choice, ...]
    rule_of_thumb: Literal["head", "last", "all"]
    ranking: Ranking

    @property
    def disagrees(self) -> bool:
        """Whether the rule of thumb would train different layers."""
        return self.trains != self.rule_of_thumb

    def choice(self, name: str) -> Choice:
        """Return a choice by its name, such as `"strategy"`."""
        return next(one for one in self.choices if one.name == name)

    @property
    def fine_tune_options(self) -> dict:
        """Keyword arguments that make `tlkeras.fine_tune` carry out the plan, as its argument `plan` does.

        A plan that trains only the head has `epochs=0`, so `fine_tune` ends after the probe.
        """
        options = {"epochs": self.epochs}
        if self.strategy == "finetune":
            options |= {"learning_rate": self.learning_rate, "layer_decay": self.layer_decay}
            options["blocks"] = LAST_BLOCKS if self.trains == "last" else None
        return options

    @property
    def command(self) -> str:
        """Command that carries out the plan: the strategy `auto` calls `advise` again, for the chosen backbone."""
        size = f" --image-size {self.image_size}" if isinstance(self.image_size, int) else ""
        return f"tlkeras fit DIR -o RUN --backbone {self.backbone}{size} --strategy auto"

    def to_json(self) -> dict:
        """Return the plan as a dict that JSON supports."""
        skipped = {"choices", "ranking"}
        values = {name: value for name, value in vars(self).items() if name not in skipped}
        return {
            **values,
            "disagrees": self.disagrees,
            "choices": [asdict(one) for one in self.choices],
            "command": self.command,
            "fine_tune_options": self.fine_tune_options,
            "ranking": self.ranking.to_json(),
        }

    def __str__(self) -> str:
        lines = [str(self.ranking), "", "Plan"]
        for one in self.choices:
            lines.append(f"{one.name:<{_INDENT}}{one.value}  ({one.certainty})")
            lines.append(_filled(one.reason))
        agreement = "The plan disagrees" if self.disagrees else "The plan agrees"
        lines.append(f"{'rule of thumb':<{_INDENT}}{self.rule_of_thumb}")
        lines.append(_filled(f"Based on the number of images alone: {RULE}. {agreement}."))
        return "\n".join([*lines, "", self.command])


#: Number of blocks below the head to train if the plan says `"last"`.
LAST_BLOCKS = 3

RULE = "the head below 1,000 images, the last blocks up to 100,000, and all blocks above"


def rule_of_thumb(images: int) -> str:
    """Return the layers to train according to the number of images alone, a rule found in many tutorials.

    Example:

    >>> [rule_of_thumb(count) for count in (400, 5_000, 1_000_000)]
    ['head', 'last', 'all']
    """
    return "head" if images < 1_000 else "last" if images <= 100_000 else "all"


def _filled(text):
    indent = " " * _INDENT
    return textwrap.fill(text, COLUMNS, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
