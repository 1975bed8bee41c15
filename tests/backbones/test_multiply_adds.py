"""The multiply-adds of the catalog come from benchmarks/multiply_adds.py, which is held to closed forms here."""

import importlib.util
from pathlib import Path

import keras
import pytest
from keras import layers

from tlkeras import backbone, backbone_info

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "multiply_adds.py"


@pytest.fixture(scope="module")
def multiply_adds():
    spec = importlib.util.spec_from_file_location("multiply_adds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.multiply_adds


@pytest.mark.parametrize(
    "layer, expected",
    [
        (layers.Conv2D(5, 3, padding="same"), 8 * 8 * 5 * 3 * 3 * 4),
        (layers.Conv2D(8, 3, strides=2, padding="same", groups=2), 4 * 4 * 8 * 3 * 3 * 2),
        (layers.DepthwiseConv2D(3, padding="same"), 8 * 8 * 4 * 3 * 3),
        (layers.SeparableConv2D(5, 3, padding="same"), 8 * 8 * 4 * 3 * 3 + 8 * 8 * 4 * 5),
        (layers.Dense(7), 8 * 8 * 4 * 7),
        (layers.BatchNormalization(), 0),
        (layers.GlobalAveragePooling2D(), 0),
    ],
)
def test_layers_count_as_in_their_closed_form(multiply_adds, layer, expected):
    inputs = keras.Input((8, 8, 4))
    assert multiply_adds(keras.Model(inputs, layer(inputs))) == expected


def test_what_cannot_be_counted_is_not_passed_over(multiply_adds):
    inputs = keras.Input((10, 16))
    outputs = layers.MultiHeadAttention(num_heads=2, key_dim=8)(inputs, inputs)
    with pytest.raises(TypeError, match="MultiHeadAttention"):
        multiply_adds(keras.Model(inputs, outputs))


def test_convnext_tiny_is_what_its_paper_adds_up_to(multiply_adds):
    """Stem, downsampling, and blocks of a 7 x 7 depthwise and two dense layers (Liu et al., 2022)."""
    widths, depths, sides = (96, 192, 384, 768), (3, 3, 9, 3), (56, 28, 14, 7)
    stem = 56**2 * 96 * 4 * 4 * 3
    downsampling = sum(side**2 * width * 2 * 2 * width // 2 for side, width in zip(sides[1:], widths[1:], strict=True))
    blocks = sum(
        depth * side**2 * (7 * 7 * width + 2 * 4 * width**2)
        for depth, side, width in zip(depths, sides, widths, strict=True)
    )
    assert multiply_adds(backbone("convnext_tiny", weights=None)) == stem + downsampling + blocks


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_the_catalog_holds_what_the_script_counts(multiply_adds, name):
    assert multiply_adds(backbone(name, weights=None)) / 1e6 == pytest.approx(
        backbone_info(name).multiply_adds, rel=1e-3
    )
