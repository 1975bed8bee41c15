"""Claim: the figures of the catalog that can be computed are those of the networks.

    python benchmarks/multiply_adds.py ["efficientnet*"]

A multiply-add is one product that is added to a sum: convolutions, dense layers and attention have them, element-wise
operations and pooling do not. Each network is built as its weights were published, from explicit arguments
(architectures.json) where its provider would fetch even these, and traced for one image of its default size. No weight
is allocated, so the largest needs no more memory than the smallest. Prints, for each backbone, its parameters, its
width, its multiply-adds (to 100,000) and its minimum size, and marks with * what the catalog says otherwise.
"""

import argparse
import functools
import json
import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

import tlkeras
from tlkeras.backbones.hub import REWRITTEN, last_map
from tlkeras.backbones.unroll import lay_out

LARGEST_MINIMUM = 384  # pixels, as no network needs more


def measured(name):
    """The figures of one backbone, by the catalog's names for them."""
    info = tlkeras.backbone_info(name)
    with keras.StatelessScope(initialize_variables=False):  # variables of a shape and no value
        model = build(name, info.default_size)
        figures = {
            "parameters": model.count_params(),
            "width": model.output_shape[-1],
            "multiply_adds": round(multiply_adds(model, info.default_size), -5),
            "minimum_size": minimum_size(name, model.output_shape[-1]),
        }
    keras.backend.clear_session()
    return figures


def build(name, size):
    """The network of a backbone, for square images of `size` pixels."""
    if not name.startswith(("hub:", "cv:")):
        return tlkeras.backbone(name, weights=None, image_size=size)
    entry = architectures()[name]
    arguments = dict(entry.get("arguments", {}))
    if name.startswith("cv:"):
        import keras_cv

        arguments |= {"include_rescaling": True, "input_shape": (size, size, 3)}
        return getattr(keras_cv.models, entry["constructor"])(**arguments)
    if "timm" in entry:
        network = _of_timm(entry["timm"])
    else:
        import keras_hub

        network = getattr(keras_hub.models, entry["constructor"])(**{**arguments, "image_shape": (size, size, 3)})
        network = last_map(network)
    image = keras.Input((size, size, 3))
    return lay_out(network, image, image, REWRITTEN)


@functools.cache
def architectures():
    """By backbone: constructor and arguments, or the name in timm of the network that its provider converted."""
    return json.loads(Path(__file__).with_name("architectures.json").read_text(encoding="utf-8"))


def _of_timm(name):
    from keras_hub.src.utils.timm.preset_loader import TimmPresetLoader

    architecture, _, tag = name.partition(".")
    loader = TimmPresetLoader("", {"architecture": architecture, "pretrained_cfg": {"tag": tag}})
    return last_map(loader.load_backbone(loader.check_backbone_class(), load_weights=False))


def multiply_adds(model, size=None):
    """Counts the products in the TensorFlow program of a model for one image of `size` pixels, or of its own size."""
    (image,) = keras.tree.flatten(model.input)
    shape = (1, *(size or side for side in image.shape[1:3]), image.shape[3])

    def program(pixels):
        return model(keras.tree.pack_sequence_as(model.input, [pixels]), training=False)

    return _of_graph(tf.function(program).get_concrete_function(tf.TensorSpec(shape)).graph)


def _of_graph(graph):
    return sum(_of_operation(operation, graph) for operation in graph.get_operations())


def _of_operation(operation, graph):
    """Each output sums over what is not in its own shape: the kernel, or the common dimension."""
    kind, shapes = operation.type, [tensor.shape for tensor in operation.inputs]
    if kind == "Conv2D":  # a kernel of a grouped convolution is as deep as one group
        return _size(operation) * math.prod(shapes[1][:3])
    if kind == "DepthwiseConv2dNative":
        return _size(operation) * math.prod(shapes[1][:2])
    if kind in ("MatMul", "BatchMatMulV2"):
        transposed = operation.get_attr("transpose_a" if kind == "MatMul" else "adj_x")
        return _size(operation) * shapes[0][-2 if transposed else -1]
    if kind == "Einsum":
        names = "".join(operation.get_attr("equation").decode().partition("->")[0].split(","))
        sides = (side for shape in shapes for side in shape)
        return math.prod(dict(zip(names, sides, strict=True)).values())
    if kind in ("PartitionedCall", "StatefulPartitionedCall"):
        return _of_graph(graph._get_function(operation.get_attr("f").name).graph)
    return 0


def _size(operation):
    return math.prod(operation.outputs[0].shape)


def minimum_size(name, width):
    """Smallest height and width, in pixels, of which one position of all `width` channels is left."""
    arguments = architectures().get(name, {}).get("arguments", {})
    step = arguments.get("patch_size", 1)
    if "window_size" in arguments:  # Swin merges its patches after each stage but the last
        step *= 2 ** (len(arguments["depths"]) - 1)
    return next(size for size in range(step, LARGEST_MINIMUM + 1, step) if _works(name, size, width))


def _works(name, size, width):
    try:
        shape = build(name, size).output_shape
    except Exception:  # of Keras, KerasHub or TensorFlow, each of its own kind
        return False
    return 0 not in shape and shape[-1] == width


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pattern", nargs="?", default="*", help="names of backbones, with shell wildcards")
    for name in tlkeras.list_backbones(parser.parse_args().pattern):
        info = tlkeras.backbone_info(name)
        cells = (f"{key} {value}{'' if getattr(info, key) == value else '*'}" for key, value in measured(name).items())
        print(name, *cells, sep="  ", flush=True)


if __name__ == "__main__":
    main()
