"""KerasCV backbones: built without a network where the architecture is known, flat, on raw pixels."""

import keras
import numpy as np
import pytest

from tlkeras import InputError, backbone, backbone_info, blocks, list_backbones, unfreeze

pytestmark = pytest.mark.slow

keras_cv = pytest.importorskip("keras_cv", reason="keras-cv is not installed (extra 'cv')")

#: One of each block that is built without a network, and one that is scaled; benchmarks/multiply_adds.py builds all.
BUILT_OFFLINE = ("cv:resnet18", "cv:resnet50_v2", "cv:efficientnetlite_b0", "cv:efficientnetlite_b4")


def images(size=64):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype="uint8")


def answer(model, pixels):
    """What `predict` gives, without the time it takes to be compiled."""
    return keras.ops.convert_to_numpy(model(pixels, training=False))


@pytest.mark.parametrize("name", BUILT_OFFLINE)
def test_figures_are_those_of_the_built_model_which_is_flat(name):
    info = backbone_info(name)
    with keras.StatelessScope(initialize_variables=False):  # variables of a shape and no value
        model = backbone(name, weights=None, image_size=64)
    assert model.count_params() == info.parameters
    assert model.output_shape[-1] == info.width
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers) == info.flat


def test_the_catalog_agrees_with_the_registry_of_keras_cv():
    classes = [getattr(keras_cv.models, name) for name in dir(keras_cv.models) if name.endswith("Backbone")]
    registry = {name: preset for cls in classes for name, preset in cls.presets.items()}
    for name in list_backbones("cv:*"):
        info = backbone_info(name)
        preset = registry[info.constructor]
        assert info.weights_url in (None, preset["kaggle_handle"]), name


def test_raw_pixels_give_what_keras_cv_gives():
    model = backbone("cv:resnet18", weights=None, image_size=64)
    original = keras_cv.models.ResNetBackbone(
        stackwise_filters=[64, 128, 256, 512],
        stackwise_blocks=[2, 2, 2, 2],
        stackwise_strides=[1, 2, 2, 2],
        include_rescaling=False,
        block_type="basic_block",
    )
    model.set_weights(original.get_weights())
    expected = answer(original, images() / 255.0)
    np.testing.assert_allclose(answer(model, images()), expected, rtol=1e-4, atol=1e-5)


def test_a_preset_put_where_the_message_says_is_read(monkeypatch, tmp_path, capsys):
    from keras_cv.src.utils import preset_utils

    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr("kagglehub.model_download", no_network)
    info = backbone_info("cv:resnet50_imagenet")
    folder = tmp_path / "models" / info.weights_url.removeprefix("kaggle://")
    with pytest.raises(InputError) as error:
        backbone(info.name)
    assert str(folder) in str(error.value)
    assert "https://www.kaggle.com/models/keras/resnetv1" in str(error.value)
    assert "downloading" in capsys.readouterr().err

    network = keras_cv.models.ResNetBackbone(
        stackwise_filters=[64, 128],
        stackwise_blocks=[1, 1],
        stackwise_strides=[1, 2],
        include_rescaling=False,
        block_type="basic_block",
    )
    preset_utils.save_to_preset(network, str(folder))
    model = backbone(info.name, image_size=64)
    expected = answer(network, images() / 255.0)
    np.testing.assert_allclose(answer(model, images()), expected, rtol=1e-4, atol=1e-5)


def tiny_csp_darknet():
    return keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[8, 16], stackwise_depth=[1, 2], include_rescaling=True
    )


def tiny_efficientnet_v2():
    return keras_cv.models.EfficientNetV2Backbone(
        include_rescaling=True,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25],
        stackwise_strides=[1, 2],
        stackwise_conv_types=["fused", "unfused"],
    )


def tiny_mit():
    return keras_cv.models.MiTBackbone(
        include_rescaling=True, depths=[1, 1, 1, 1], embedding_dims=[4, 4, 10, 8], input_shape=(64, 64, 3)
    )


def tiny_mobilenet_v3():
    return keras_cv.models.MobileNetV3Backbone(
        include_rescaling=True,
        stackwise_expansion=[1, 4],
        stackwise_filters=[16, 16],
        stackwise_kernel_size=[3, 5],
        stackwise_stride=[2, 1],
        stackwise_se_ratio=[0.25, 0.25],
        stackwise_activation=["relu", "hard_swish"],
    )


#: What becomes flat only when its composite layers are laid out, and how many blocks it has.
COMPOSITE = {
    "cv:csp_darknet_tiny_imagenet": (tiny_csp_darknet, 3),
    "cv:efficientnetv2_b0_imagenet": (tiny_efficientnet_v2, 4),
    "cv:mit_b0_imagenet": (tiny_mit, 5),
    "cv:mobilenet_v3_small_imagenet": (tiny_mobilenet_v3, 4),
}


@pytest.fixture
def preset(request, monkeypatch, tmp_path):
    """A name of `COMPOSITE` and a network of its kind, in the folder that this preset is read from."""
    from keras_cv.src.utils import preset_utils

    network = COMPOSITE[request.param][0]()
    rng = np.random.default_rng(0)
    for weight in network.weights:  # none of the zeros and ones with which scales, biases and statistics begin
        weight.assign(weight + rng.uniform(0, 0.5, weight.shape))
    folder = tmp_path / "models" / backbone_info(request.param).weights_url.removeprefix("kaggle://")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    preset_utils.save_to_preset(network, str(folder))
    config = (folder / "config.json").read_text().replace("64", "224")  # the size for which presets are published
    (folder / "config.json").write_text(config)
    return request.param, network


@pytest.mark.filterwarnings("error:Keras does not save which parts of")
@pytest.mark.parametrize("preset", COMPOSITE, indirect=True)
def test_composite_layers_are_laid_out_as_core_layers_and_keep_what_is_frozen_in_a_file(preset, tmp_path):
    name, network = preset
    model = unfreeze(backbone(name, image_size=64), last=1)
    assert all(type(operation).__module__.startswith("keras.src") for operation in model.operations)
    assert not any(isinstance(layer, keras.Model | keras.layers.Lambda) for layer in model.layers)
    assert keras.Model(model.input, [layer.output for layer in model.layers])  # each is of this graph
    expected = answer(network, images())
    np.testing.assert_allclose(answer(model, images()), expected, rtol=1e-5, atol=1e-5)
    assert len(blocks(model)) == COMPOSITE[name][1]
    weights = [id(weight) for block in blocks(model) for weight in block.weights]
    assert sorted(weights) == sorted(map(id, model.weights))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert [weight.trainable for weight in again.weights] == [weight.trainable for weight in model.weights]
    assert blocks(again).names == blocks(model).names
    np.testing.assert_allclose(answer(again, images()), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("preset", ["cv:mobilenet_v3_small_imagenet"], indirect=True)
def test_weights_files_of_keras_cv_and_of_the_backbone_are_read_alike(preset, tmp_path):
    name, network = preset
    network.save_weights(tmp_path / "theirs.weights.h5")
    backbone(name).save_weights(tmp_path / "ours.weights.h5")
    for file in ("theirs", "ours"):
        model = backbone(name, weights=tmp_path / f"{file}.weights.h5", image_size=64)
        np.testing.assert_allclose(answer(model, images()), answer(network, images()), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="do not fit"):
        backbone("cv:resnet18", weights=tmp_path / "ours.weights.h5")


def test_every_backbone_of_keras_cv_is_flat():
    assert all(backbone_info(name).flat for name in list_backbones("cv:*"))


@pytest.mark.parametrize("height, width", [(64, 256), (72, 72), (None, None)])
def test_a_mix_transformer_refuses_sizes_at_which_its_maps_are_no_squares_of_patches(height, width):
    with pytest.raises(InputError, match=f"multiple of 32 pixels. Received: images of {height} x {width} pixels"):
        backbone("cv:mit_b0_imagenet", image_size=(height, width))


def test_an_architecture_without_published_weights_says_so():
    with pytest.raises(InputError, match="publishes no weights"):
        backbone("cv:resnet34")
