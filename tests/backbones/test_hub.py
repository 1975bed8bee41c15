"""KerasHub presets, from a directory: raw pixels against the converter and the backbone of KerasHub itself."""

import functools
import re

import keras
import numpy as np
import pytest

from tlkeras import InputError, backbone, backbone_info, blocks, image_classifier, list_backbones, unfreeze
from tlkeras.backbones import hub

pytestmark = pytest.mark.slow

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed (extra 'hub')")


def images(size, channels=3):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, channels), dtype="uint8")


def tiny_vit():
    return keras_hub.models.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    ), keras_hub.layers.ViTImageConverter(image_size=(32, 32), scale=[1 / 127.5] * 3, offset=[-1.0] * 3)


def tiny_deit():
    return keras_hub.models.DeiTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32
    ), keras_hub.layers.DeiTImageConverter(image_size=(32, 32), scale=1 / 255)


def tiny_dinov2():
    return keras_hub.models.DINOV2Backbone(
        patch_size=8,
        num_layers=2,
        hidden_dim=32,
        num_heads=2,
        intermediate_dim=64,
        num_register_tokens=4,
        image_shape=(32, 32, 3),
        position_embedding_shape=(32, 32, 3),
    ), keras_hub.layers.DINOV2ImageConverter(image_size=(32, 32), scale=[0.01, 0.02, 0.03], offset=[-0.5, -0.4, -0.3])


def tiny_resnet():
    return keras_hub.models.ResNetBackbone(
        [64], [3], [64, 64], [1, 1], [1, 2], "basic_block"
    ), keras_hub.layers.ResNetImageConverter(image_size=(32, 32), scale=1 / 255)


def tiny_dinov3():
    return keras_hub.models.DINOV3Backbone(
        patch_size=8, num_layers=2, hidden_dim=32, num_heads=2, intermediate_dim=64, image_shape=(32, 32, 3)
    ), keras_hub.layers.DINOV3ImageConverter(image_size=(32, 32), scale=1 / 255)


def tiny_swin():
    return keras_hub.models.SwinTransformerBackbone(
        image_shape=(32, 32, 3), embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4
    ), keras_hub.layers.SwinTransformerImageConverter(image_size=(32, 32), scale=1 / 255)


def tiny_hgnetv2():
    return keras_hub.models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[16, 24],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[[8, 8, 16, 1, 2, 3], [16, 8, 24, 1, 2, 3]],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
        image_shape=(32, 32, 3),
    ), keras_hub.layers.HGNetV2ImageConverter(image_size=(32, 32), scale=1 / 255)


def text_encoder(kind, **arguments):
    """The text half of a model of images and texts, as small as can be; it is no part of the backbone."""
    sizes = {"vocabulary_size": 8, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
    make = getattr(keras_hub.models, f"{kind}TextEncoder")
    return make(**sizes, intermediate_dim=16, max_sequence_length=4, **arguments)


def tiny_image_text(kind, **arguments):
    models, layers = keras_hub.models, keras_hub.layers
    vision = getattr(models, f"{kind}VisionEncoder")(
        patch_size=8, hidden_dim=16, num_layers=2, num_heads=2, intermediate_dim=32, image_shape=(32, 32, 3)
    )
    both = getattr(models, f"{kind}Backbone")(vision, text_encoder(kind), **arguments)
    return both, getattr(layers, f"{kind}ImageConverter")(image_size=(32, 32), scale=1 / 127.5, offset=-1.0), vision


def tiny_metaclip_2():
    return tiny_image_text("MetaCLIP2", projection_dim=8)


def tiny_siglip():
    both, converter, vision = tiny_image_text("SigLIP")
    return both, converter, keras.Model(vision.input, vision.post_layer_norm.output)


def tiny_mobilenetv5():
    """Three stages with all that the published network has: residual blocks, attention, and the fusion of two maps."""
    sizes = {"dw_kernel_sizes": (0, 3, 0), "dw_start_kernel_sizes": (0, 3, 0), "dw_end_kernel_sizes": (0, 0, 0)}
    sizes |= {"exp_kernel_sizes": (3, 0, 0), "pw_kernel_sizes": (1, 0, 0), "kv_strides": (0, 0, 2)}
    sizes |= {"num_heads": (0, 0, 2), "key_dims": (0, 0, 8), "value_dims": (0, 0, 8), "use_cpe": (False,) * 3}
    sizes |= {"act_layers": ("gelu",) * 3, "exp_ratios": (2.0,) * 3, "se_ratios": (0.0,) * 3}
    stages = {f"stackwise_{name}": [[a], [b, c], [b, c]] for name, (a, b, c) in sizes.items()}
    return keras_hub.models.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir", "mqa"], ["uir", "mqa"]],
        stackwise_num_blocks=[1, 2, 2],
        stackwise_num_filters=[[8], [16, 16], [24, 24]],
        stackwise_strides=[[2], [2, 1], [2, 1]],
        **stages,
        stem_size=8,
        num_features=32,
        msfa_output_resolution=2,
        layer_scale_init_value=0.5,
        image_shape=(32, 32, 3),
    ), keras_hub.layers.MobileNetV5ImageConverter(image_size=(32, 32), scale=1 / 255)


TINY = {
    "mobilenetv5": tiny_mobilenetv5,
    "clip": lambda: tiny_image_text("CLIP", projection_dim=8),
    "siglip": tiny_siglip,
    "metaclip_2": tiny_metaclip_2,
    "vit": tiny_vit,
    "deit": tiny_deit,
    "dinov2": tiny_dinov2,
    "dinov3": tiny_dinov3,
    "swin": tiny_swin,
    "resnet": tiny_resnet,
    "hgnetv2": tiny_hgnetv2,
}
#: These consist of core layers and become one flat graph of them.
FLAT = ("vit", "deit", "swin", "resnet", "hgnetv2", "clip", "siglip", "metaclip_2", "mobilenetv5")
PREFIX_TOKENS = {"clip": 1, "vit": 1, "deit": 2, "dinov2": 5, "dinov3": 5}


@pytest.fixture(scope="module")
def preset_of(tmp_path_factory):
    """Write the preset directory of a kind when it is first asked for; with KerasHub's own answer on `images(32)`."""

    @functools.cache
    def write(kind):
        directory = tmp_path_factory.mktemp(kind)
        network, converter, *encoder = TINY[kind]()
        network.save_to_preset(str(directory))
        converter.save_to_preset(str(directory))
        pixels = keras.ops.convert_to_numpy(converter(images(32)))
        network = encoder[0] if encoder else network
        expected = network(keras.tree.pack_sequence_as(network.input, [pixels]), training=False)
        expected = [*expected.values()][-1] if isinstance(expected, dict) else expected
        return f"hub:{directory}", keras.ops.convert_to_numpy(expected)

    return write


def answer(model, pixels):
    """What `predict` gives, without the time it takes to be compiled."""
    return keras.ops.convert_to_numpy(model(pixels, training=False))


@pytest.mark.filterwarnings("error:Keras does not save which parts of")
@pytest.mark.parametrize("kind", TINY)
def test_raw_pixels_give_what_converter_and_backbone_give_also_when_reloaded_with_its_frozen_layers(
    preset_of, kind, tmp_path
):
    name, expected = preset_of(kind)
    model = backbone(name)
    pixels = images(32)
    np.testing.assert_allclose(answer(model, pixels), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(pixels, images(32))
    unfreeze(model, last=1)
    assert keras.Model(model.input, [layer.output for layer in model.layers])  # each is of this graph
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(answer(reloaded, pixels), expected, rtol=1e-5, atol=1e-5)
    assert [weight.trainable for weight in reloaded.weights] == [weight.trainable for weight in model.weights]
    assert blocks(reloaded).names == blocks(model).names
    if kind in FLAT:
        assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
        assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    if kind == "mobilenetv5":
        assert blocks(model).names == ("stem", "stage1", "stage2", "stage3", "top")


def test_after_a_file_fit_moves_only_the_blocks_that_were_unfrozen(preset_of, tmp_path):
    model = image_classifier(preset_of("dinov3")[0], classes=2, dropout=0, image_size=32)
    unfreeze(model, last=1).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    model.compile(keras.optimizers.Lion(0.01), "sparse_categorical_crossentropy")  # steps of one size
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    model.fit(images(32), np.array([0, 0]), epochs=2, verbose=0)
    moved = {
        weight.path
        for weight, value in zip(model.weights, before, strict=True)
        if not np.array_equal(keras.ops.convert_to_numpy(weight), value)
    }
    unfrozen = [*blocks(model).body[-1].weights, *blocks(model).head.weights]
    keys = {
        weight.path for weight in unfrozen if re.search("key/bias|k_proj/bias", weight.path)
    }  # no part in a softmax
    assert moved - keys == {weight.path for weight in unfrozen} - keys


@pytest.mark.parametrize("kind", PREFIX_TOKENS)
def test_tokens_are_pooled_without_those_that_stand_for_no_patch(preset_of, kind):
    name, tokens = preset_of(kind)
    patches = tokens[:, PREFIX_TOKENS[kind] :]
    assert patches.shape[1] == 16
    both = np.hstack([patches.mean(axis=1), patches.max(axis=1)])
    for pooling, expected in {"concat": both, "cls": tokens[:, 0]}.items():
        found = answer(backbone(name, pooling=pooling), images(32))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_other_sizes_gray_images_random_weights_and_weights_files(preset_of, tmp_path):
    resnet, expected = preset_of("resnet")
    assert answer(backbone(resnet, image_size=64), images(64)).shape == (2, 8, 8, 64)
    assert answer(backbone(resnet, image_size=32, channels=1), images(32, 1)).shape == (2, 4, 4, 64)
    random = backbone(resnet, weights=None)
    assert np.abs(answer(random, images(32)) - expected).max() > 1e-3
    backbone(resnet).save_weights(tmp_path / "own.weights.h5")
    model = backbone(resnet, weights=tmp_path / "own.weights.h5")
    np.testing.assert_allclose(answer(model, images(32)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")  # KerasHub's own
def test_swin_of_another_size_pads_its_windows_as_keras_hub_does(preset_of):
    name = preset_of("swin")[0]
    network = keras_hub.models.Backbone.from_preset(name.removeprefix("hub:"), image_shape=(40, 56, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), dtype="uint8")
    model = backbone(name, image_size=(40, 56))
    np.testing.assert_allclose(answer(model, pixels), answer(network, pixels / 255.0), rtol=1e-5, atol=1e-5)
    assert blocks(model).names == blocks(network).names == ("stem", "stage_0", "stage_1")


def test_weights_files_of_the_preset_and_of_the_backbone_are_read_alike(preset_of, tmp_path):
    name, expected = preset_of("vit")
    keras_hub.models.Backbone.from_preset(name.removeprefix("hub:")).save_weights(tmp_path / "theirs.weights.h5")
    backbone(name).save_weights(tmp_path / "ours.weights.h5")
    for file in ("theirs", "ours"):
        model = backbone(name, weights=tmp_path / f"{file}.weights.h5")
        np.testing.assert_allclose(answer(model, images(32)), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="do not fit"):
        backbone(preset_of("resnet")[0], weights=tmp_path / "ours.weights.h5")


@pytest.mark.filterwarnings("ignore")  # Keras' own, from within Swin
def test_sizes_that_a_preset_cannot_take_are_refused_in_one_sentence(preset_of, monkeypatch):
    cases = [
        ("vit", 64, "imagenet", "weights are for 32 x 32 pixels"),
        ("vit", 20, None, "divisible by patch size"),
        ("dinov2", 4, None, "(4, 4, 3)"),
        ("swin", (24, 32), None, "at least 32 pixels and multiples of 8"),
        ("swin", (None, None), None, "at least 32 pixels and multiples of 8"),
    ]
    for kind, size, weights, words in cases:
        with pytest.raises(InputError) as error:
            backbone(preset_of(kind)[0], image_size=size, weights=weights)
        assert words in str(error.value) and "\n" not in str(error.value)
    monkeypatch.setattr(hub, "_source", lambda name, keras_hub: preset_of("resnet")[0].removeprefix("hub:"))
    with pytest.raises(InputError, match=r"at least 32 x 32 pixels for the backbone hub:vgg_16_imagenet"):
        backbone("hub:vgg_16_imagenet", image_size=16)


@pytest.mark.parametrize("kind", ["dinov3", "resnet"])
def test_a_preset_can_stand_on_other_layers(preset_of, kind):
    name, expected = preset_of(kind)
    image = keras.Input((40, 40, 3))
    model = backbone(name, input_tensor=keras.layers.CenterCrop(32, 32)(image))
    framed = np.pad(images(32), ((0, 0), (4, 4), (4, 4), (0, 0)))
    np.testing.assert_allclose(answer(model, framed), expected, rtol=1e-5, atol=1e-5)


def test_a_preset_without_image_converter_is_read_with_a_warning(tmp_path):
    network, _ = tiny_vit()
    network.save_to_preset(str(tmp_path))
    with pytest.warns(UserWarning, match="no image converter"):
        model = backbone(f"hub:{tmp_path}")
    expected = answer(network, images(32).astype("float32"))
    np.testing.assert_allclose(answer(model, images(32)), expected, rtol=1e-5, atol=1e-5)


def test_wrong_names_and_a_missing_network_are_told_in_one_sentence(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr("kagglehub.model_download", no_network)
    with pytest.raises(InputError, match="vit_base_patch16_224_imagenet"):
        backbone("hub:vit_base_patch16_224_imagene")
    with pytest.raises(InputError, match="no image preset"):
        backbone("hub:bert_base_en")
    with pytest.raises(InputError, match=r"config\.json"):
        backbone(f"hub:{tmp_path}")
    with pytest.raises(InputError) as error:
        backbone("hub:vit_base_patch16_224_imagenet")
    folder = tmp_path / "models" / "keras" / "vit" / "keras" / "vit_base_patch16_224_imagenet"
    for part in (
        "config.json",
        "model.weights.h5",
        "https://www.kaggle.com/models/keras/vit/keras/vit_base",
        str(folder),
    ):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_files_put_by_hand_where_the_message_says_are_read(monkeypatch, tmp_path, capsys):
    info = backbone_info("hub:vit_base_patch16_224_imagenet")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    assert not info.offline
    folder = tmp_path / "models" / info.weights_url.removeprefix("kaggle://")
    for part in tiny_vit():
        part.save_to_preset(str(folder))
    assert info.offline
    assert backbone(info.name).input_shape == (None, 32, 32, 3)
    assert capsys.readouterr().err == ""


def test_the_catalog_agrees_with_the_registry_of_keras_hub():
    known = keras_hub.layers.ImageConverter.presets
    for name in list_backbones("hub:*"):
        info = backbone_info(name)
        preset = known[name.removeprefix("hub:")]
        assert preset["kaggle_handle"].rpartition("/")[0] == info.weights_url.rpartition("/")[0]
        if info.sources["parameters"] == "keras-hub":
            assert info.parameters == preset["metadata"]["params"], name
        cls = getattr(keras_hub.models, info.constructor)
        assert name.removeprefix("hub:") in cls.presets


DEPTH = {"tiny": 12, "small": 12, "base": 12, "large": 24, "huge": 32, "giant": 40}


@pytest.mark.parametrize("name", list_backbones("hub:*vit_*", family="vit") + list_backbones(family="deit"))
def test_width_and_prefix_tokens_of_transformers_add_up_to_their_parameters(name):
    """Dosovitskiy et al., 2020: 12 d^2 + 13 d a block of width d, besides the embeddings and the last norm."""
    info = backbone_info(name)
    depth = next(depth for size, depth in DEPTH.items() if size in name)
    patch = int(re.search(r"patch(\d+)", name).group(1))
    width, tokens = info.width, (info.default_size // patch) ** 2 + info.prefix_tokens
    embeddings = (3 * patch**2 + 1) * width + tokens * width + info.prefix_tokens * width
    assert info.parameters == embeddings + depth * (12 * width**2 + 13 * width) + 2 * width


@pytest.mark.parametrize("name", list_backbones("hub:dinov2_*"))
def test_width_of_dinov2_adds_up_to_its_parameters(name):
    """Oquab et al., 2023: patches of 14, layer scale, SwiGLU in the giant; without the token of masked patches."""
    info = backbone_info(name)
    size, depth = next((size, depth) for size, depth in DEPTH.items() if name.endswith(size))
    width = info.width
    registers = info.prefix_tokens - 1
    positions = (info.default_size // 14) ** 2 + 1
    embeddings = (3 * 14**2 + 1) * width + positions * width + (1 + registers) * width
    hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
    mlp = (width + 1) * 2 * hidden + (hidden + 1) * width if size == "giant" else 8 * width**2 + 5 * width
    block = 4 * width**2 + 4 * width + mlp + 4 * width + 2 * width
    assert info.parameters == embeddings + depth * block + 2 * width


#: Of the text half of an image-text model, by the width of its vision half: width, blocks, width of its MLP.
TEXT_OF_CLIP = {768: (512, 12, 2048), 1024: (768, 12, 3072), 1280: (1024, 24, 4096), 1408: (1024, 24, 4096)}
TEXT_OF_CLIP |= {1664: (1280, 32, 5120)}


def transformer_block(width, hidden):
    return 4 * width**2 + 4 * width + 2 * width * hidden + hidden + width + 4 * width


@pytest.mark.parametrize("family", ["clip", "metaclip_2"])
def test_the_vision_towers_of_clip_and_their_text_halves_add_up_to_the_whole_models(family):
    """Radford et al., 2021: token and position embeddings, blocks, a norm, projections, a temperature, positions."""
    vocabulary = {"clip": 49408, "metaclip_2": 901629}[family]
    for name in list_backbones(family=family):
        info = backbone_info(name)
        width, depth, hidden = TEXT_OF_CLIP[info.width]
        text = (vocabulary + 77) * width + depth * transformer_block(width, hidden) + 2 * width
        whole = info.parameters + text + width * (width + info.width) + 1
        preset = keras_hub.models.Backbone.presets[name.removeprefix("hub:")]["metadata"]["params"]
        assert abs(whole - preset) < 1000, name  # KerasHub counts the numbers of positions too


def test_the_vision_towers_of_siglip_and_their_text_halves_add_up_to_the_whole_models():
    """Zhai et al., 2023: the pooling of the vision tower (a query, attention, an MLP) is not part of the backbone."""
    hidden_of, depth_of = {768: 3072, 1024: 4096, 1152: 4304, 1536: 6144}, {768: 12, 1024: 24, 1152: 27, 1536: 40}
    for name in list_backbones(family="siglip"):
        info = backbone_info(name)
        pooling = info.width + transformer_block(info.width, hidden_of[info.width]) - 2 * info.width
        width = 1152 if info.width == 1536 else info.width
        vocabulary = 256000 if "siglip2" in name else 250000 if re.search("i18n|multilingual", name) else 32000
        text = (vocabulary + 64) * width + depth_of[width] * transformer_block(width, hidden_of[width]) + 2 * width
        whole = info.parameters + pooling + text + (width + 1) * info.width + 2
        preset = keras_hub.models.Backbone.presets[name.removeprefix("hub:")]["metadata"]["params"]
        if name == "hub:siglip2_base_patch16_384":  # the registry repeats the number of siglip2_base_patch32_256
            continue
        shorter = 48 * width if name == "hub:siglip_so400m_patch14_224" else 0  # whose texts have 16 tokens
        assert abs(whole - shorter - preset) < 1200, name


@pytest.mark.parametrize(
    "hub, same",
    [
        ("densenet_121", "densenet121"),
        ("densenet_169", "densenet169"),
        ("densenet_201", "densenet201"),
        ("vgg_16", "vgg16"),
        ("vgg_19", "vgg19"),
        ("resnet_18", "cv:resnet18"),
        ("resnet_50", "cv:resnet50"),
        ("resnet_101", "cv:resnet101"),
        ("resnet_152", "cv:resnet152"),
    ],
)
def test_width_is_that_of_the_same_architecture_of_equal_parameters(hub, same):
    hub, same = backbone_info(f"hub:{hub}_imagenet"), backbone_info(same)
    assert (hub.parameters, hub.width) == (same.parameters, same.width)
