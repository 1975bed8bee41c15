"""Counts the multiply-adds of the catalog's backbones on their built graphs, layer by layer.

    python benchmarks/multiply_adds.py                          # all that can be built without a network
    python benchmarks/multiply_adds.py "efficientnet_lite*"     # some

Convolutions and dense layers count, one for every multiplication that is followed by an addition; biases,
normalisation, activations and pooling do not. Each network takes one image of its default size. Prints a line a
backbone: name, millions of multiply-adds, what the catalog says, and the ratio of the two.
"""

import argparse
import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras import layers

import tlkeras

# Layers that have weights and yet no products that count.
_FREE = ("BatchNormalization", "LayerNormalization", "Normalization", "LayerScale")


def multiply_adds(model):
    """Counts the multiply-adds of one image through a flat functional model of known input size.

    Every weight of a kernel is used once at every output position, so a layer makes (positions) x (size of its
    kernel) of them. That holds for grouped and depthwise convolutions too, whose kernels are smaller.
    """
    return sum(_of_layer(layer) for layer in model.layers)


def _of_layer(layer):
    if not layer.weights or type(layer).__name__ in _FREE:
        return 0
    positions = math.prod(layer.output.shape[1:-1])
    if isinstance(layer, layers.SeparableConv2D):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return positions * sum(math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        return positions * math.prod(layer.kernel.shape)
    raise TypeError(f"{layer.name}: multiply-adds of a {type(layer).__name__} are not known")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pattern", nargs="?", default="*", help="names of backbones, with shell wildcards")
    for name in tlkeras.list_backbones(parser.parse_args().pattern):
        info = tlkeras.backbone_info(name)
        if info.provider not in ("tlkeras", "keras"):  # presets need a network for their architecture
            continue
        millions = multiply_adds(tlkeras.backbone(name, weights=None)) / 1e6
        known = info.multiply_adds
        ratio = f"{millions / known:.3f}" if known else "-"
        print(f"{name:24} {millions:10.1f} {known or '-':>10} {ratio:>7}", flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
