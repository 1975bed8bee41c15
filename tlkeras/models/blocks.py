"""Divide a model into blocks, the units used for freezing, setting learning rates, tapping features and cutting.

A block is what papers call a stage or a block, such as `block3` of an EfficientNet, `conv4_x` of a ResNet, or one
encoder layer of a ViT.
"""

from collections import Counter

import keras

from tlkeras.errors import InputError
from tlkeras.models.block_map import Block, BlockMap
from tlkeras.models.division import Division, Group, divide, number
from tlkeras.models.layer_tree import check_model
from tlkeras.models.tracing import Unit, units


def blocks(model: keras.Model) -> BlockMap:
    """Divide a model into blocks from stem to head, with every weight in exactly one block.

    Functional, Sequential, nested and subclassed models all work, before and after saving, because the division depends
    only on layer names and the graph. Networks of known families (`keras.applications`, KerasHub, KerasCV) get the
    block names that appear in their layer names. Other networks are divided where the resolution changes or, as in
    transformers, where a layer repeats. In a subclassed model without a graph, layers are taken in the order in which
    they were assigned to the model.

    The head is everything after the last spatial or token dimension: after global pooling, flattening or the selection
    of a class token. In a model with only dense layers, the head is the last layer. In a convolutional model that ends
    in softmax or sigmoid without a dense layer, the head is also the last layer. Layers that you add on top of a nested
    base, or of a network of a known family, belong to the head too.

    Parallel towers share blocks, counted from the head, regardless of the order of the towers: the last block contains
    the last layers of all towers. Parallel layers are therefore unfrozen together, and have the same learning rate.

    Args:
        model: A built Keras model.

    Returns:
        A `BlockMap`.

    Raises:
        InputError: `model` is not a Keras model, has no weights yet, or is subclassed and contains models side by side,
            such as a teacher and a student.

    Example:

    >>> import keras
    >>> import tlkeras
    >>> model = keras.applications.MobileNetV2(weights=None, classes=10, input_shape=(32, 32, 3))
    >>> block_map = tlkeras.blocks(model)
    >>> block_map.names[:3], block_map.names[-3:]
    (('stem', 'expanded_conv', 'block_1'), ('block_16', 'top', 'head'))
    >>> block_map.block_of(model.get_layer("block_5_project"))
    Block('block_5', 6 layers, body)
    """
    check_model(model)
    if not model.built or not model.weights:
        raise InputError(
            f"The model {model.name!r} has no weights to map. Build it first, with `model.build(input_shape)` or by "
            "calling it on one batch."
        )
    parts = units(model)
    division = divide([unit for unit in parts if not unit.head])
    result = BlockMap(_named(division, [unit for unit in parts if unit.head]), parts, division.outside)
    placed = {id(weight) for block in result for weight in block.weights}
    missing = [weight.path for weight in model.weights if id(weight) not in placed]
    if missing:
        raise InputError(
            f"The model {model.name!r} has weights that do not belong to any of its layers: {', '.join(missing)}."
        )
    return result


def _named(division: Division, head: list[Unit]) -> list[Block]:
    """Create blocks from a division, put the head last, and add numbers to names that occur more than once."""
    groups = [
        (group.name, "stem" if group.name.rpartition("/")[2] == "stem" else "body", group)
        for group in number(division.groups)
    ]
    if division.added or head:
        groups.append(("head", "head", Group("head", division.added + head)))
    taken: Counter = Counter()
    result = []
    for name, role, group in groups:
        taken[name] += 1
        unique = name if taken[name] == 1 else f"{name}_{taken[name]}"
        layers = tuple(layer for unit in group.units for layer in unit.layers)
        result.append(Block(unique, layers, role, group.parallel))
    return result
