"""The plan of fine-tuning fits the minutes, prefers all blocks, and survives a kill."""

from types import SimpleNamespace

import pytest

from tlkeras.backbones.catalog import backbone_info, list_backbones
from tlkeras.selection import by_fine_tuning
from tlkeras.selection.budget import VIEWS, Pace, full_pace, minutes_for, smaller_sides, views_kept, within_minutes


def task(**options):
    """A task of 160 training images: ten steps per epoch."""
    images = SimpleNamespace(train=range(160), validation=range(48), test=range(48), image_size=(224, 224))
    defaults = {"refit": False, "epochs": 4, "checkpoint": None, "verbose": False, "on_event": None}
    defaults |= {"callbacks": (), "domain": None, "smaller_sides": ()}
    return SimpleNamespace(images=images, learnable=range(256), **{**defaults, **options})


def test_steps_and_forward_passes_are_counted():
    # 40 steps; passes over 160 training, 6 times 48 validation and 48 test images, at a third of a step per 16 images
    assert minutes_for(task(), full_pace(3.0), epochs=4) == pytest.approx((40 + (160 + 6 * 48 + 48) / 48) * 3 / 60)
    # 64 more steps and 256 more passes for a model of all images
    assert minutes_for(task(refit=True), full_pace(3.0), 4) == pytest.approx((104 + (416 + 6 * 48 + 48) / 48) * 3 / 60)


@pytest.mark.parametrize(
    ("epochs", "views", "passes"),
    [
        (8, 1, 160 * (1 + 1) + 48 + 48),
        (8, 4, 160 * (1 + 4 + 1) + 48 + 48),  # the first view is drawn again for the fifth epoch
        (3, 4, 160 * (1 + 3) + 48 * 5 + 48),  # more views than epochs: nothing is kept
    ],
)
def test_with_a_kept_trunk_steps_are_short_and_images_pass_once_per_view(epochs, views, passes):
    assert minutes_for(task(), Pace(0.1, 0.02, views), epochs) == pytest.approx(
        (10 * epochs * 0.1 + passes * 0.02) / 60
    )


def test_steps_of_the_top_alone_are_timed_without_the_trunk_unless_callbacks_see_the_model(monkeypatch):
    calls = []

    def noted(model, train, **options):
        calls.append(options)
        if "callbacks" in options:
            options["callbacks"].seconds = 3.0
            return
        for seconds in (9.0, 0.4, 0.2):
            options["on_event"]({"phase": "fine-tune", "epoch": 1, "seconds": seconds, "steps_per_epoch": 4})

    monkeypatch.setattr(by_fine_tuning, "fine_tune", noted)
    monkeypatch.setattr(by_fine_tuning, "_classifier", lambda task: None)
    job = task()
    job.images.train = type("Split", (), {"__len__": lambda self: 160, "take": lambda self, indices: None})()
    assert by_fine_tuning._step_seconds(job, 3) == pytest.approx(0.05) and calls[-1]["cache"] is True
    for other, blocks in ((job, None), (SimpleNamespace(**{**vars(job), "callbacks": ["own"]}), 3)):
        assert by_fine_tuning._step_seconds(other, blocks) == 3.0 and calls[-1]["cache"] is False
    assert (views_kept(job), views_kept(task(domain="photos")), views_kept(task(callbacks=["own"]))) == (1, VIEWS, None)


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
    assert within_minutes(task(minutes=minutes), seconds.get) == {**plan, "side": None}


@pytest.mark.parametrize(
    ("minutes", "epochs", "side"),
    # At full size, two epochs of the top block take 10 s; all passes, at a third of 3 s per 16 images, take 26 s.
    [(0.6, 2, None), (0.35, 3, 160), (0.2, 2, 128), (0.01, 1, 128)],
)
def test_smaller_images_are_the_last_resort_and_cost_as_their_pixels(minutes, epochs, side):
    seconds = {None: 3.0, 3: 1.0, 1: 0.5}
    plan = within_minutes(task(minutes=minutes, smaller_sides=(160, 128)), seconds.get)
    assert (plan["epochs"], plan["blocks"], plan["side"]) == (epochs, 1, side)


def test_networks_of_patches_or_with_weights_per_size_keep_their_image_size():
    assert smaller_sides("efficientnet_lite2", 260) == (192, 128)
    sized = [info for info in map(backbone_info, list_backbones()) if info.prefix_tokens is not None]
    assert sized and not any(smaller_sides(info.name, info.default_size) for info in sized)


def test_a_plan_is_kept_over_a_kill_and_reported(tmp_path):
    events = []
    first = within_minutes(task(minutes=1.5, checkpoint=tmp_path / "new", on_event=events.append), lambda blocks: 3.0)
    assert [(event["phase"], event["epochs"]) for event in events] == [("plan", 2)]
    again = within_minutes(task(minutes=1.5, checkpoint=tmp_path / "new"), lambda blocks: 0.001)
    assert again == first
