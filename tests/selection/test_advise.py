"""Plans follow from the strength of the best probe and the number of images, and say how sure they are."""

import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import tlkeras
from tlkeras.errors import InputError
from tlkeras.selection.advise import plan_for
from tlkeras.selection.candidates import Candidate
from tlkeras.selection.plan import rule_of_thumb
from tlkeras.training.steps.options import Options


def case(per_class, strength, block_strength=None, seed=0):
    """Return candidates, features and a split; `strength` says how well the classes can be told apart."""
    labels = np.arange(3 * per_class) % 3
    names = np.array([f"{i}.png" for i in range(len(labels))])
    split = tlkeras.ImageSplit(names, labels, ("a", "b", "c"), (8, 8), "stretch", np.arange(len(labels)), names)
    generator = np.random.default_rng(seed)
    candidates, tables = [], []
    for block, one in (("early", block_strength), (None, strength)):
        if one is not None:
            candidates.append(Candidate("net", block, 6, 1000, 50 if block else 100, 0.7, 2.0, 3))
            tables.append(generator.normal(size=(len(labels), 6)) + one * np.eye(6)[labels])
    return candidates, tables, split


@pytest.mark.parametrize(
    ("per_class", "strength", "strategy", "trains", "certainty"),
    [
        (60, 8, "features", "head", "clear"),  # nothing to gain
        (60, 1, "features", "head", "default"),  # too few images to learn more than the probe
        (5, 1, "features", "head", "default"),
        (400, 1, "finetune", "all", "clear"),  # a weak probe, and enough images
        (400, 8, "features", "head", "clear"),  # many images do not make a good probe worse
    ],
)
def test_a_weak_probe_and_enough_images_are_the_sign_to_fine_tune(per_class, strength, strategy, trains, certainty):
    plan = plan_for(*case(per_class, strength), image_size=8)
    assert (plan.strategy, plan.trains, plan.choice("strategy").certainty) == (strategy, trains, certainty)
    assert plan.rule_of_thumb == rule_of_thumb(3 * per_class)
    assert plan.disagrees == (trains != plan.rule_of_thumb)
    assert (plan.fine_tune_options["epochs"] > 0) == (strategy == "finetune")


def test_the_reason_against_fine_tuning_is_what_was_measured():
    reason = plan_for(*case(60, 1), image_size=8).choice("strategy").reason
    assert "fine-tuning was not more accurate (docs/choosing.md)" in reason and "times as long" not in reason
    measured = (Path(__file__).parents[2] / "docs" / "performance.md").read_text("utf-8")
    table = measured.split("Accuracies on the first split")[1]
    advised, tuned = (
        [float(number) for number in re.search(rf"^\| {name} \|(.*)\|$", table, re.MULTILINE)[1].split("|")]
        for name in ("`advise`", "fine-tuning Lite0")
    )
    assert len(advised) == 5 and all(a >= b for a, b in zip(advised, tuned, strict=True))


def test_a_block_that_beats_the_output_is_advised_with_what_it_shows():
    plan = plan_for(*case(60, 0.5, block_strength=3), image_size=8)
    assert plan.block == "early" and plan.choice("block").certainty == "clear"
    assert "unlike those used for pretraining" in plan.choice("block").reason
    same = plan_for(*case(60, 6, block_strength=6), image_size=8)
    assert same.block == "early" and same.choice("block").certainty == "tie"  # cheaper, and as good


def test_fine_tuning_takes_the_whole_backbone():
    plan = plan_for(*case(400, 1, block_strength=1), image_size=8)
    assert plan.strategy == "finetune" and plan.block is None
    assert "block" not in [choice.name for choice in plan.choices]


def test_without_a_whole_backbone_within_the_budgets_nothing_is_fine_tuned():
    candidates, tables, split = case(400, 1, block_strength=1)
    plan = plan_for(candidates[:1], tables[:1], split, image_size=8)
    assert (plan.strategy, plan.block) == ("features", "early")
    assert "no whole backbone meets the budgets" in plan.choice("strategy").reason


def test_a_plan_prints_in_80_columns_and_as_json():
    plan = plan_for(*case(400, 1, block_strength=1), image_size=8)
    text = str(plan)
    assert "The plan disagrees" in " ".join(text.split())
    assert text.endswith("tlkeras fit DIR -o RUN --backbone net --image-size 8 --strategy auto")
    assert max(map(len, text.splitlines())) <= 80
    values = plan.to_json()
    assert values["trains"] == "all" and values["rule_of_thumb"] == "last"
    assert {choice["name"] for choice in values["choices"]} >= {"backbone", "strategy", "epochs", "learning rate"}


def test_fine_tune_carries_a_plan_out_and_takes_no_second_opinion():
    defaults = {name: one.default for name, one in inspect.signature(tlkeras.fine_tune).parameters.items()}
    given = Options(**{one.name: defaults[one.name] for one in dataclasses.fields(Options)})
    for strength in (1, 8):
        plan = plan_for(*case(400, strength), image_size=8)
        options = given.with_plan(plan, tlkeras.fine_tune)
        assert options == dataclasses.replace(given, **plan.fine_tune_options) and options.epochs == plan.epochs
    with pytest.raises(InputError, match=r"epochs.* together with `plan`"):
        dataclasses.replace(given, epochs=9).with_plan(plan, tlkeras.fine_tune)
    with pytest.raises(InputError, match="`plan` must be a plan"):
        given.with_plan("finetune", tlkeras.fine_tune)
