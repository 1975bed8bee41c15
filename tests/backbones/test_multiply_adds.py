"""The computed figures of the catalog come from benchmarks/multiply_adds.py, which is held to closed forms here."""

import importlib.util
from pathlib import Path

import keras
import pytest
from keras import layers

from tlkeras import backbone_info, list_backbones

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "multiply_adds.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("multiply_adds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "layer, expected",
    [
        (layers.Conv2D(5, 3, padding="same"), 8 * 8 * 5 * 3 * 3 * 4),
        (layers.Conv2D(8, 3, strides=2, padding="same", groups=2), 4 * 4 * 8 * 3 * 3 * 2),
        (layers.DepthwiseConv2D(3, padding="same"), 8 * 8 * 4 * 3 * 3),
        (layers.SeparableConv2D(5, 3, padding="same"), 8 * 8 * 4 * 3 * 3 + 8 * 8 * 4 * 5),
        (layers.Dense(7), 8 * 8 * 4 * 7),
        (layers.EinsumDense("bhwc,cd->bhwd", (8, 8, 3)), 8 * 8 * 4 * 3),
        (layers.BatchNormalization(), 0),
        (layers.GlobalAveragePooling2D(), 0),
    ],
)
def test_layers_count_as_in_their_closed_form(script, layer, expected):
    inputs = keras.Input((8, 8, 4))
    assert script.multiply_adds(keras.Model(inputs, layer(inputs))) == expected


def test_attention_counts_its_projections_and_both_products_of_all_pairs(script):
    inputs, tokens, width = keras.Input((4, 4, 16)), 16, 16
    x = layers.Reshape((tokens, width))(inputs)
    model = keras.Model(inputs, layers.MultiHeadAttention(num_heads=2, key_dim=8)(x, x))
    assert script.multiply_adds(model) == 4 * tokens * width**2 + 2 * tokens**2 * width


def test_convnext_tiny_is_what_its_paper_adds_up_to(script):
    """Stem, downsampling, and blocks of a 7 x 7 depthwise and two dense layers (Liu et al., 2022)."""
    widths, depths, sides = (96, 192, 384, 768), (3, 3, 9, 3), (56, 28, 14, 7)
    stem = 56**2 * 96 * 4 * 4 * 3
    downsampling = sum(side**2 * width * 2 * 2 * width // 2 for side, width in zip(sides[1:], widths[1:], strict=True))
    blocks = sum(
        depth * side**2 * (7 * 7 * width + 2 * 4 * width**2)
        for depth, side, width in zip(depths, sides, widths, strict=True)
    )
    assert backbone_info("convnext_tiny").multiply_adds == round(stem + downsampling + blocks, -5)


def test_vit_base_is_what_its_paper_adds_up_to(script):
    """Patches, and blocks of four projections, two products of all pairs and two dense layers (Dosovitskiy, 2020)."""
    patches, tokens, width = 14**2, 14**2 + 1, 768
    blocks = 12 * (12 * tokens * width**2 + 2 * tokens**2 * width)
    expected = round(patches * 16**2 * 3 * width + blocks, -5)
    assert backbone_info("hub:vit_base_patch16_224_imagenet").multiply_adds == expected


@pytest.mark.parametrize("name", list_backbones(family="swin"))
def test_the_last_of_four_maps_of_a_swin_is_one_window_at_the_least(script, name):
    """Patches of 4 x 4 are merged 2 x 2 three times (Liu et al., 2021)."""
    window = script.architectures()[name]["arguments"]["window_size"]
    assert backbone_info(name).minimum_size == 4 * 2**3 * window


#: One of each provider and way of building, and one with attention; the script itself goes through all.
SAMPLE = (
    "efficientnet_lite0",
    "mobilenet_v2",
    "hub:deit_tiny_distilled_patch16_224_imagenet",
    "hub:resnet_vd_18_imagenet",
    "cv:resnet18_v2",
)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_catalog_holds_what_the_script_counts(script, name):
    info = backbone_info(name)
    if ":" in name:
        pytest.importorskip({"hub": "keras_hub", "cv": "keras_cv"}[name.partition(":")[0]])
    assert script.measured(name) == {
        key: getattr(info, key) for key in ("parameters", "width", "multiply_adds", "minimum_size")
    }


def test_every_backbone_has_an_architecture_to_count_on_and_all_that_can_be_counted(script):
    assert set(script.architectures()) == set(list_backbones("hub:*") + list_backbones("cv:*"))
    for name in list_backbones():
        info = backbone_info(name)
        counted = (info.parameters, info.width, info.multiply_adds, info.default_size, info.minimum_size)
        assert None not in counted, name
