"""Exercises of `07_augmentation`: right answers of any kind pass, wrong ones do not."""

from dataclasses import replace

import keras
import pytest

import tlkeras
from tlkeras.teaching import NotYet, check, quiz


@pytest.mark.parametrize(
    "prediction, differences, right",
    [
        ("worse", [-0.10, -0.08, -0.12, -0.02], True),
        ("the same", [-0.10, 0.08, 0.01, -0.02], True),
        ("worse", [-0.10, 0.03, 0.01, -0.02], True),
        ("the same", [-0.10, -0.08, -0.12, -0.02], False),
        ("better", [-0.10, -0.08, -0.12, -0.02], False),
        ("worse", [0.10, 0.08, 0.12, 0.02], False),
        (-0.1, [-0.10, -0.08, -0.12, -0.02], False),
    ],
)
def test_07_1_is_judged_by_what_was_measured(prediction, differences, right, capsys):
    if right:
        check("07.1", prediction, differences)
        printed = capsys.readouterr().out
        assert printed.startswith("07.1 is right") and "95% interval" in printed.replace("\n", " ")
    else:
        with pytest.raises(NotYet):
            check("07.1", prediction, differences)


def test_07_quiz_accepts_only_that_labels_decide(capsys):
    quiz("07", "b")
    assert "What a label means" in capsys.readouterr().out
    for wrong in "ac":
        with pytest.raises(NotYet, match=f"[(]{wrong}[)] is wrong"):
            quiz("07", wrong)


SIGNS = tlkeras.AugmentationPolicy(
    scale=0.3, light=0.3, why={"horizontal_flip": "Off: arrows.", "scale": "Distance.", "light": "Weather."}
)


ALL_WEATHER = tlkeras.AugmentationPolicy(
    small_rotation=8,
    scale=0.3,
    light=0.4,
    blur=0.2,
    noise=0.1,
    why=dict.fromkeys(("horizontal_flip", "small_rotation", "scale", "light", "blur", "noise"), "Because."),
)


@pytest.mark.parametrize(
    "policy", [SIGNS, ALL_WEATHER, tlkeras.augmentation_policy("document")], ids=["few", "many", "a domain's"]
)
def test_07_2_takes_any_policy_without_flips_and_with_reasons(policy, capsys):
    check("07.2", policy)
    assert "each with its reason" in capsys.readouterr().out


@pytest.mark.parametrize(
    "policy, message",
    [
        ("document", "AugmentationPolicy"),
        (tlkeras.augmentation_policy("photo"), "keep left"),
        (replace(SIGNS, vertical_flip=True), "upright"),
        (replace(SIGNS, any_direction=True), "upright"),
        (replace(SIGNS, small_rotation=90), "fallen"),
        (replace(SIGNS, light=0.0), "light"),
        (replace(SIGNS, blur=0.2), "no reason for: blur"),
        (replace(SIGNS, why={"scale": "Distance.", "light": "Weather."}), "horizontal_flip"),
    ],
)
def test_07_2_refuses_others(policy, message):
    with pytest.raises(NotYet, match=message):
        check("07.2", policy)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))


def _symmetries(horizontal, vertical="unsafe"):
    verdicts = {"horizontal_flip": horizontal, "vertical_flip": vertical}
    return [tlkeras.Symmetry(name, 0.9, 0.6, 0.02, verdict) for name, verdict in verdicts.items()]


def test_07_3_takes_layers_of_any_kind_that_use_no_unsafe_flip(images, capsys):
    check("07.3", tlkeras.augmentation("drawing"), _symmetries("safe"), images)
    check("07.3", keras.layers.RandomFlip("horizontal"), _symmetries("undecided"), images)
    check("07.3", keras.Sequential([keras.layers.RandomRotation(0.1)]), _symmetries("unsafe"), images)
    assert "horizontal_flip is safe" in capsys.readouterr().out


@pytest.mark.parametrize(
    "layers, symmetries, message",
    [
        (keras.layers.RandomFlip("horizontal_and_vertical"), _symmetries("safe"), "vertical_flip"),
        (tlkeras.augmentation("drawing"), _symmetries("unsafe"), "horizontal_flip"),
        (keras.Sequential([keras.layers.RandomFlip("vertical")]), _symmetries("safe"), "vertical_flip"),
        (keras.layers.Rescaling(1.0, offset=300), _symmetries("safe"), "left"),
        (keras.layers.CenterCrop(16, 16), _symmetries("safe"), "shape"),
        (tlkeras.augmentation("drawing"), ["safe"], "check_symmetry"),
        (tlkeras.augmentation("drawing"), [], "check_symmetry"),
        (None, _symmetries("safe"), "function"),
    ],
)
def test_07_3_refuses_others(images, layers, symmetries, message):
    with pytest.raises(NotYet, match=message):
        check("07.3", layers, symmetries, images)
