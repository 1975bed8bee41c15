"""Backbones from KerasHub: presets that it publishes, and directories with presets of your own.

Convolutional networks, MobileNetV5, ViT, DeiT, Swin and the vision towers of CLIP, MetaCLIP 2, SigLIP and SigLIP 2
become one flat graph of core layers. DINOv2 and DINOv3 become a flat graph too, but keep some KerasHub layers, so
KerasHub must be installed to load a saved model.
"""

import contextlib
import math
import sys
from pathlib import Path

import keras

from tlkeras.backbones.catalog import kaggle_folder, listed_info, preset_on_disk
from tlkeras.backbones.equivalents import layer_scale, rms_norm
from tlkeras.backbones.preprocessing import Preprocessing
from tlkeras.backbones.unroll import lay_out
from tlkeras.backbones.weights import load_weights, reads_weights
from tlkeras.backbones.windows import check_sides, window_attention, windowed_block
from tlkeras.errors import InputError, first_line, warn
from tlkeras.utils.naming import suggestions

#: Replacements, by class name, for KerasHub layers whose own code cannot be expanded or that equal a core layer.
REWRITTEN = {
    "SwinTransformerBlock": windowed_block,
    "WindowAttention": window_attention,
    "RmsNorm2d": rms_norm,
    "LayerScale2d": layer_scale,
}


def build_hub(preset, image, weights):
    """Build a KerasHub backbone, preceded by the pixel scaling from the image converter of its preset.

    Args:
        preset: A preset's name (`"vit_base_patch16_224_imagenet"`), a handle (`"kaggle://..."`, `"hf://..."`) or a
            directory written by `save_to_preset`.
        image: The size and channels of the images, as an `ImageInput`.
        weights: `"imagenet"` for the preset's weights, None for random weights, or the path of a weights file.

    Returns:
        `(model, prefix_tokens)`: a functional `keras.Model` that maps raw pixels to the last feature map or tokens, and
        the number of leading tokens that are not patches (0 for a feature map).

    Raises:
        InputError: KerasHub is not installed; or the preset is not available, is not an image network, or cannot
            process images of this size.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise InputError(
            f"`hub:{preset}` needs KerasHub, which is not installed. Run: pip install keras-hub"
        ) from error
    name = _known(preset, keras_hub)
    preset = _source(name, keras_hub)
    encoder = image_encoder(_load(preset, keras_hub, weights == "imagenet"))
    model = last_map(encoder)
    shape = _image_shape(preset, model)
    converter = _converter(preset, keras_hub)
    size = shape[0] or (converter.image_size or (224,))[0] if converter else shape[0] or 224
    inputs, x = image.connect(f"hub:{name}", size, _minimum_size(name))
    if type(encoder).__name__ == "SwinTransformerBackbone":
        check_sides(f"hub:{name}", encoder, *x.shape[1:3])
    if None not in shape and shape != x.shape[1:3]:
        encoder = _load_at(x.shape[1:], shape, preset, name, keras_hub, weights == "imagenet")
        model = last_map(encoder)
    pending = weights not in ("imagenet", None) and not reads_weights(model, weights)
    if converter is None:
        warn(f"The preset {preset} has no image converter, so the network receives unscaled pixels in [0, 255].")
    elif converter.scale is not None or converter.offset is not None:
        x = Preprocessing(_constant(converter.scale, 1.0), _constant(converter.offset, 0.0))(x)
    result = _laid_out(model, inputs, x, name)
    if pending:  # a file that does not fit KerasHub's network may have been saved by us
        load_weights([result], weights)
    return result, _prefix_tokens(model, getattr(encoder, "patch_size", None))


def image_encoder(model):
    """Return the vision encoder of an image-text model (CLIP, SigLIP); return any other model unchanged."""
    return getattr(model, "vision_encoder", model)


def last_map(model):
    """Return the network up to its last feature map or tokens.

    HGNetV2 returns the feature maps of all stages; only the last one is kept. SigLIP pools its tokens with an attention
    layer, which is left out.
    """
    if type(model).__name__ == "SigLIPVisionEncoder":
        return keras.Model(model.input, model.head.input)
    return keras.Model(model.input, [*model.output.values()][-1]) if isinstance(model.output, dict) else model


def name_blocks(network):
    """Rename the blocks of a MobileNetV5 by stage, since KerasHub's names depend on which models were built before.

    Args:
        network: A KerasHub backbone, which is changed only if it is a MobileNetV5.

    Returns:
        The same network.
    """
    if type(network).__name__ == "MobileNetV5Backbone":
        kinds = ("EdgeResidual", "UniversalInvertedResidual", "MobileAttention")
        blocks = (layer for layer in network.layers if type(layer).__name__ in kinds)
        for stage, count in enumerate(network.stackwise_num_blocks, 1):
            for place in range(1, count + 1):
                next(blocks).name = f"stage{stage}_block{place}"
    return network


def _minimum_size(name):
    info = listed_info(f"hub:{name}")
    return info.minimum_size if info else 1


def _laid_out(model, inputs, x, name):
    try:
        result = lay_out(name_blocks(model), inputs, x, REWRITTEN)
    except ValueError as error:
        raise InputError(
            f"The preset `hub:{name}` does not accept images of shape {x.shape[1:]}: {first_line(error)}"
        ) from error
    if 0 in result.output.shape:
        raise InputError(f"The preset `hub:{name}` needs larger images. Received: images of shape {x.shape[1:]}.")
    return result


def _known(preset, keras_hub):
    """Return the name of a preset in KerasHub's spelling; return a directory or handle unchanged."""
    if "://" in preset:
        return preset
    if Path(preset).is_dir():
        if not Path(preset, "config.json").is_file():
            raise InputError(
                f"{preset} is not a KerasHub preset: it has no config.json, which `save_to_preset` writes."
            )
        return preset
    # Presets with an image converter: nothing else in the registry separates images from text and audio.
    known = {name.lower().replace("-", "_"): name for name in keras_hub.layers.ImageConverter.presets}
    try:
        return known[preset.lower().replace("-", "_")]
    except KeyError:
        raise InputError(
            f"KerasHub has no image preset {preset!r}, and there is no such directory.{suggestions(preset, known)}"
        ) from None


def _source(preset, keras_hub):
    """Return the folder of a preset if it is on disk, even if a user put the files there; otherwise return its name."""
    return str(preset_on_disk(_handle(preset, keras_hub), "keras_hub") or preset)


def _handle(preset, keras_hub):
    return keras_hub.models.Backbone.presets.get(preset, {}).get("kaggle_handle", preset)


def _load_at(shape, built_for, preset, name, keras_hub, load_preset_weights):
    """Load the network for images of a requested shape; the weights of most transformers fit only one shape."""
    load = keras_hub.models.Backbone.from_preset
    try:
        encoder = image_encoder(load(preset, load_weights=load_preset_weights, image_shape=tuple(shape)))
        if tuple(keras.tree.flatten(encoder.input)[0].shape[1:]) != tuple(shape):
            raise ValueError(f"it is built for {built_for[0]} x {built_for[1]} pixels")
        return encoder
    except Exception as error:  # h5py and Keras each raise their own exceptions
        reason = first_line(error)
        if load_preset_weights:
            reason = f"its weights are for {built_for[0]} x {built_for[1]} pixels"
        raise InputError(
            f"The preset `hub:{name}` does not accept images of shape {tuple(shape)}: {reason}."
        ) from error


def _load(preset, keras_hub, load_preset_weights):
    if not Path(preset).is_dir():
        print(f"tlkeras: downloading the KerasHub preset {preset}", file=sys.stderr)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return keras_hub.models.Backbone.from_preset(preset, load_weights=load_preset_weights)
    except Exception as error:  # kagglehub, huggingface_hub, h5py and Keras each raise their own exceptions
        reason = first_line(error)
        if Path(preset).is_dir():
            raise InputError(f"The KerasHub preset in {preset} cannot be read: {reason}") from error
        handle = _handle(preset, keras_hub)
        page = handle.replace("kaggle://", "https://www.kaggle.com/models/").replace("hf://", "https://huggingface.co/")
        folder = (
            kaggle_folder(handle) if handle.startswith("kaggle://") else "a directory DIR, which you pass as 'hub:DIR'"
        )
        raise InputError(
            f"The KerasHub preset {preset} cannot be downloaded ({reason}). Download config.json, "
            f"image_converter.json and model.weights.h5 from {page} on a machine with internet access, and copy them "
            f"to {folder}."
        ) from error


def _image_shape(preset, model):
    """Return the height and width that the network was built for; a side is None if any length is accepted."""
    tensors = keras.tree.flatten(model.input)
    features = keras.tree.flatten(model.output)
    if len(tensors) != 1 or len(tensors[0].shape) != 4 or len(features) != 1 or len(features[0].shape) not in (3, 4):
        raise InputError(
            f"The preset `hub:{preset}` is a {type(model).__name__}, which does not map one batch of images to one "
            "feature map."
        )
    return tensors[0].shape[1:3]


def _converter(preset, keras_hub):
    try:
        return keras_hub.layers.ImageConverter.from_preset(preset)
    except (FileNotFoundError, ValueError):  # the preset has no converter, or this kind of backbone has none
        return None


def _constant(value, default):
    """Return an image converter's scale or offset as a float, or as a tuple with one float per channel."""
    if value is None:
        return default
    values = keras.tree.flatten(value)
    return float(values[0]) if len(values) == 1 else tuple(map(float, values))


def _prefix_tokens(model, patch):
    """Count the tokens that are not patches: class, distillation and register tokens, which KerasHub puts first."""
    if patch is None or len(model.output.shape) != 3:
        return 0
    height, width = patch if isinstance(patch, tuple | list) else (patch, patch)
    sides = keras.tree.flatten(model.input)[0].shape[1:3]
    patches = math.prod(side // step for side, step in zip(sides, (height, width), strict=True))
    # Hierarchical transformers (Swin) merge patches and have no other tokens.
    return max(0, model.output.shape[1] - patches)
