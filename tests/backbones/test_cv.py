"""KerasCV backbones: built without a network where the architecture is known, flat, on raw pixels."""

import keras
import numpy as np
import pytest

from tlkeras import InputError, backbone, backbone_info, list_backbones, unfreeze

keras_cv = pytest.importorskip("keras_cv", reason="keras-cv is not installed (extra 'cv')")

BUILT_OFFLINE = [name for name in list_backbones("cv:*") if name.startswith(("cv:resnet", "cv:efficientnetlite"))]


def images(size=64):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype="uint8")


def answer(model, pixels):
    """What `predict` gives, without the time it takes to be compiled."""
    return keras.ops.convert_to_numpy(model(pixels, training=False))


@pytest.mark.parametrize("name", BUILT_OFFLINE)
def test_figures_are_those_of_the_built_model_which_is_flat(name):
    info = backbone_info(name)
    with keras.StatelessScope(initialize_variables=False):  # variables of a shape and no value
        model = backbone(name, weights=None, input_shape=(64, 64, 3))
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
    model = backbone("cv:resnet18", weights=None, input_shape=(64, 64, 3))
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
    model = backbone(info.name, input_shape=(64, 64, 3))
    expected = answer(network, images() / 255.0)
    np.testing.assert_allclose(answer(model, images()), expected, rtol=1e-4, atol=1e-5)


def test_blocks_of_efficientnet_v2_are_laid_out_and_keep_what_is_frozen_in_a_file(monkeypatch, tmp_path):
    from keras_cv.src.utils import preset_utils

    info = backbone_info("cv:efficientnetv2_b0_imagenet")
    network = keras_cv.models.EfficientNetV2Backbone(
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
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    preset_utils.save_to_preset(network, str(tmp_path / "models" / info.weights_url.removeprefix("kaggle://")))
    model = unfreeze(backbone(info.name, input_shape=(64, 64, 3)), 1)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers) and info.flat
    np.testing.assert_allclose(answer(model, images()), answer(network, images()), rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [weight.trainable for weight in again.weights] == [weight.trainable for weight in model.weights]
    np.testing.assert_array_equal(answer(again, images()), answer(model, images()))


def test_of_blocks_that_stay_composite_it_is_said_that_a_file_does_not_keep_what_is_frozen(monkeypatch, tmp_path):
    from keras_cv.src.utils import preset_utils

    info = backbone_info("cv:csp_darknet_tiny_imagenet")
    network = keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[8, 16], stackwise_depth=[1, 1], include_rescaling=True
    )
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    preset_utils.save_to_preset(network, str(tmp_path / "models" / info.weights_url.removeprefix("kaggle://")))
    with pytest.warns(UserWarning, match=r"load_model, call tlkeras\.freeze"):
        unfreeze(backbone(info.name, input_shape=(64, 64, 3)), 1)
    assert not info.flat


def test_an_architecture_without_published_weights_says_so():
    with pytest.raises(InputError, match="publishes no weights"):
        backbone("cv:resnet34")
