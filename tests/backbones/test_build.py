"""`backbone`: raw pixels in, whatever the dtype; wrong input refused in one sentence."""

import sys

import keras
import numpy as np
import pytest

from tlkeras import InputError, backbone


def images(count=2, size=64, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), dtype="uint8")


def answer(model, pixels):
    """What `predict` gives, without the time it takes to be compiled."""
    return keras.ops.convert_to_numpy(model(pixels, training=False))


def test_uint8_and_float_pixels_give_the_same_and_stay_untouched():
    """The modes themselves are held to Keras in test_preprocessing.py, for both kinds of pixels."""
    model = backbone("mobilenet_v2", weights=None, image_size=32, pooling="avg")
    pixels = images(size=32)
    floats = pixels.astype("float32")
    answers = [answer(model, x) for x in (pixels, floats)]
    assert answers[0].std() > 0
    np.testing.assert_array_equal(*answers)
    np.testing.assert_array_equal(pixels, images(size=32))
    np.testing.assert_array_equal(floats, images(size=32))


@pytest.mark.backends
def test_uint8_pixels_can_be_fitted():
    features = backbone("mobilenet_v2", weights=None, image_size=32)
    pooled = keras.layers.GlobalAveragePooling2D()(
        features.get_layer("bn_Conv1").output
    )  # the rest takes long to compile
    model = keras.Model(features.input, keras.layers.Dense(2, activation="softmax")(pooled))
    model.compile("sgd", "sparse_categorical_crossentropy")
    pixels = images(4, 32)
    model.fit(pixels, np.array([0, 1, 0, 1]), verbose=0)
    np.testing.assert_array_equal(pixels, images(4, 32))


@pytest.mark.slow
def test_saved_backbones_need_keras_only(tmp_path):
    for name in ("vgg16", "efficientnet_lite0"):
        model = backbone(name, weights=None, image_size=32, channels=1, pooling="concat")
        model.save(tmp_path / "model.keras")
        reloaded = keras.saving.load_model(tmp_path / "model.keras")
        assert all(type(layer).__module__.startswith("keras.") for layer in reloaded.layers), name
        pixels = images(size=32, channels=1)
        np.testing.assert_allclose(answer(reloaded, pixels), answer(model, pixels), rtol=1e-5, atol=1e-6)


def test_gray_images_answer_as_the_same_in_three_channels():
    gray = backbone("mobilenet_v2", weights=None, image_size=32, channels=1)
    color = backbone("mobilenet_v2", weights=None, image_size=32)
    gray.set_weights(color.get_weights())
    pixels = images(size=32, channels=1)
    expected = answer(color, np.repeat(pixels, 3, axis=-1))
    np.testing.assert_allclose(answer(gray, pixels), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.backends
def test_a_backbone_can_stand_on_other_layers_in_one_graph():
    image = keras.Input((40, 40, 3))
    model = backbone("mobilenet_v2", weights=None, input_tensor=keras.layers.CenterCrop(32, 32)(image), pooling="avg")
    alone = backbone("mobilenet_v2", weights=None, image_size=32, pooling="avg")
    alone.set_weights(model.get_weights())
    pixels = images(size=40)
    expected = answer(alone, pixels[:, 4:-4, 4:-4])
    np.testing.assert_allclose(answer(model, pixels), expected, rtol=1e-5, atol=1e-7)
    assert model.input is image
    with pytest.raises(InputError, match="at least 32 x 32"):
        backbone("mobilenet_v2", weights=None, input_tensor=keras.Input((20, 20, 3)))


def test_pixels_are_scaled_in_float32_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = backbone("densenet121", weights=None, image_size=32)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.get_layer("preprocessing_rescaling").compute_dtype == "float32"
    assert model.get_layer("conv1_conv").compute_dtype == "float16"


@pytest.mark.parametrize("spelling", ["mobilenet_v2", "MobileNetV2", "mobilenet-v2", "MOBILENET V2"])
def test_spelling_variants_name_the_same_backbone(spelling):
    with keras.StatelessScope(initialize_variables=False):
        assert backbone(spelling, weights=None, image_size=32).name == "mobilenet_v2"


@pytest.mark.parametrize("module, name", [("keras_hub", "hub:resnet_18_imagenet"), ("keras_cv", "cv:resnet18")])
def test_a_provider_that_is_not_installed_is_named_with_its_installation(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"pip install {module.replace('_', '-')}"):
        backbone(name, weights=None)


def test_nasnet_mobile_is_refused_where_keras_cannot_build_it(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "torch")
    with pytest.raises(InputError, match="torch"):
        backbone("nasnet_mobile", weights=None)


def test_the_default_size_is_that_of_the_weights_and_none_takes_any():
    with keras.StatelessScope(initialize_variables=False):
        assert backbone("efficientnet_b1", weights=None).input_shape == (None, 240, 240, 3)
    model = backbone("mobilenet_v2", weights=None, image_size=(None, None), pooling="avg")
    assert answer(model, images(size=48)).shape == answer(model, images(size=80)).shape


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"name": "efficentnet_b0"}, ["'efficentnet_b0'", "Did you mean", "'efficientnet_b0'"]),
        ({"name": 7}, ["7", "name of a backbone"]),
        ({"image_size": (70, 80)}, ["at least 71 x 71", "(70, 80)"]),
        ({"image_size": (80, 80, 3)}, ["positive integer or a pair", "(80, 80, 3)"]),
        ({"image_size": (80.5, 80)}, ["positive integer", "80.5"]),
        ({"image_size": -80}, ["positive integer", "-80"]),
        ({"image_size": "80"}, ["positive integer", "'80'"]),
        ({"channels": 2}, ["3 or 1", "channels=2"]),
        ({"input_tensor": "image"}, ["KerasTensor", "'image'"]),
        ({"input_tensor": keras.Input((32, 32, 4))}, ["KerasTensor", "3 channels or 1"]),
        ({"pooling": "average"}, ["'avg', 'max', 'concat', 'cls'", "'average'"]),
        ({"pooling": "cls"}, ["class token", "'avg'"]),
        ({"weights": "imagenet21k"}, ["'imagenet', None or the path", "'imagenet21k'"]),
        ({"weights": "no/such.weights.h5"}, ["no/such.weights.h5"]),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(arguments, words):
    arguments = {"name": "xception", "weights": None, **arguments}
    with pytest.raises(InputError) as error:
        backbone(**arguments)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "broken.weights.h5").write_bytes(b"no weights at all")
    (tmp_path / "weights.txt").write_text("no weights")
    for file, words in [
        ("other.weights.h5", "do not fit"),
        ("broken.weights.h5", "do not fit"),
        ("weights.txt", ".h5"),
    ]:
        with pytest.raises(InputError, match=words) as error:
            backbone("mobilenet_v3_small", weights=tmp_path / file, image_size=32)
        assert file in str(error.value)
        assert "\n" not in str(error.value)
