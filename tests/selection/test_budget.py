"""The plan of fine-tuning fits the minutes, prefers all blocks, and survives a kill."""

from types import SimpleNamespace

import pytest

from tlkeras.selection.budget import minutes_for, within_minutes


def task(**options):
    """A task of 160 training images: ten steps per epoch."""
    images = SimpleNamespace(train=range(160), validation=range(48), test=range(48))
    defaults = {"refit": False, "epochs": 4, "checkpoint": None, "verbose": False, "on_event": None}
    return SimpleNamespace(images=images, **{**defaults, **options})


def test_steps_and_forward_passes_are_counted():
    # 40 steps; passes over 160 training, 6 times 48 validation and 48 test images, at a third of a step per 16 images
    assert minutes_for(task(), 3.0, epochs=4) == pytest.approx((40 + (160 + 6 * 48 + 48) / 48) * 3 / 60)
    assert minutes_for(task(refit=True), 3.0, 4) == pytest.approx((80 + (320 + 6 * 48 + 48) / 48) * 3 / 60)


@pytest.mark.parametrize(
    ("minutes", "plan"),
    [
        (60, {"epochs": 4, "blocks": None}),
        (1.5, {"epochs": 2, "blocks": None}),
        (1.1, {"epochs": 4, "blocks": 3}),
        (0.01, {"epochs": 1, "blocks": 1}),  # nothing fits
    ],
)
def test_all_blocks_come_first_then_the_top_alone(minutes, plan):
    seconds = {None: 3.0, 3: 1.0, 1: 0.5}
    assert within_minutes(task(minutes=minutes), seconds.get) == plan


def test_a_plan_is_kept_over_a_kill_and_reported(tmp_path):
    events = []
    first = within_minutes(task(minutes=1.5, checkpoint=tmp_path / "new", on_event=events.append), lambda blocks: 3.0)
    assert [(event["phase"], event["epochs"]) for event in events] == [("plan", 2)]
    again = within_minutes(task(minutes=1.5, checkpoint=tmp_path / "new"), lambda blocks: 0.001)
    assert again == first
