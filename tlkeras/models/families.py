"""Families of networks whose layer names indicate which block a layer belongs to."""

import re
from collections.abc import Sequence

from tlkeras.models.layer_tree import has_kernel
from tlkeras.models.tracing import Unit

#: Naming rules of each family: a pattern for the beginning of a layer's name, and the block's name. A layer that
#: matches no pattern (`post_bn`, a shortcut called `conv2d_94`) belongs to the block before it.
FAMILIES: dict[str, tuple[tuple[str, str], ...]] = {
    "EfficientNet": ((r"stem_", "stem"), (r"block(\d+)[^_\d]+_", r"block\1"), (r"top_", "top")),
    "VGG, Xception": ((r"block(\d+)_", r"block\1"),),
    "ResNet, DenseNet": ((r"conv1_", "stem"), (r"conv(\d+)_block", r"conv\1_x"), (r"pool(\d+)_", r"conv\1_x")),
    "ResNet, DenseNet of KerasHub and KerasCV": ((r"conv1_|stem_", "stem"), (r"(?:.*_)?stack_?(\d+)_", r"stack\1")),
    "MobileNet": ((r"conv1(_bn)?$", "stem"), (r"conv_[dp]w_(\d+)", r"block\1")),
    "MobileNetV2": (
        (r"(bn_)?Conv1", "stem"),
        (r"(expanded_conv)_", r"\1"),
        (r"(block_\d+)_", r"\1"),
        (r"Conv_1", "top"),
    ),
    "MobileNetV3": (
        (r"[Cc]onv(_bn|_BatchNorm)?$", "stem"),
        (r"(expanded_conv(?:_\d+)?)_", r"\1"),
        (r"[Cc]onv_1", "top"),
    ),
    "MobileNetV5": ((r"conv_stem", "stem"), (r"stage(\d+)_block", r"stage\1"), (r"msfa", "top")),
    "ConvNeXt": (
        (r".*_stem", "stem"),
        (r".*_stage_(\d+)_", r"stage_\1"),
        (r".*_downsampling_block_0", "stage_1"),
        (r".*_downsampling_block_1", "stage_2"),
        (r".*_downsampling_block_2", "stage_3"),
    ),
    "NASNet": (
        (r"stem_|.*_stem_\d+$", "stem"),
        (r"(?:separable|adjust|reduction)_.*_reduce_(\d+)$", r"reduce_\1"),
        (r"(?:separable|adjust|normal)_.*_(\d+)$", r"cell_\1"),
    ),
    "Swin": ((r"patch_embedding", "stem"), (r"stage_(\d+)(?:_blocks_|_downsample_|$)", r"stage_\1")),
    "CSPDarkNet": ((r"stem_", "stem"), (r"(dark\d+)_", r"\1")),
}

#: A family is recognized if its patterns match at least this fraction of the units.
_RECOGNIZED = 0.6


def divide_by_names(trunk: Sequence[Unit]) -> tuple[list[tuple[str, list[Unit]]], list[Unit]] | None:
    """Divide a network of a known family into the blocks that its layer names indicate.

    A prefix that all layers share (`left_` in `left_block1_conv`) is ignored.

    Args:
        trunk: Units below the head, in graph order.

    Returns:
        `(groups, added)`: pairs of a block's name and its units, and the units that were added on top of the network.
        The first added unit is the first one with a kernel after the last unit that matches the family's patterns. The
        result is None if no family matches.

    Example:

    >>> import keras
    >>> from tlkeras.models.tracing import units
    >>> base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    >>> model = keras.Model(base.input, keras.layers.Conv2D(4, 1, name="new")(base.output))
    >>> groups, added = divide_by_names(units(model))
    >>> groups[-1][0], [unit.path for unit in added]
    ('top', [('new',)])
    """
    for start in dict.fromkeys((0, _shared_prefix([name for unit in trunk for name in unit.path[-1:]]))):
        named = max(
            ([_block_name(rules, unit, start) for unit in trunk] for rules in FAMILIES.values()), key=_named_share
        )
        if _named_share(named) >= _RECOGNIZED and len(set(named)) > 1:
            break
    else:
        return None
    last = max(i for i, name in enumerate(named) if name)
    kernels = (i for i in range(last + 1, len(trunk)) if any(map(has_kernel, trunk[i].layers)))
    end = next(kernels, len(trunk))
    current = next(filter(None, named))
    groups: dict[str, list[Unit]] = {}
    for unit, name in zip(trunk[:end], named[:end], strict=True):
        current = name or current
        groups.setdefault(current, []).append(unit)
    return list(groups.items()), list(trunk[end:])


def _shared_prefix(names: Sequence[str]) -> int:
    """Return the length of the longest prefix that all names share and that ends in an underscore."""
    first, last = min(names, default=""), max(names, default="")
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length].rfind("_") + 1


def _block_name(rules: Sequence[tuple[str, str]], unit: Unit, start: int) -> str | None:
    """Find a unit's block name with a family's patterns, trying its own name first, then those of enclosing layers."""
    for part in reversed(unit.path):
        for pattern, name in rules:
            if match := re.match(pattern, part[start:]):
                return match.expand(name)
    return None


def _named_share(named: Sequence[str | None]) -> float:
    return sum(name is not None for name in named) / len(named)
