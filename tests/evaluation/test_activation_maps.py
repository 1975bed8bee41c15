"""Activation maps against closed forms: sums of scores, numerical derivatives, and where the evidence was planted."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tlkeras
from tlkeras.errors import InputError
from tlkeras.evaluation.activation_maps import activation_maps, quick_activation_maps
from tlkeras.evaluation.activation_overlay import activation_overlay
from tlkeras.evaluation.gradients import gradient

pytestmark = pytest.mark.backends


def images(count=3, side=32):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype("uint8")


def scores(model, pixels):
    return ops.convert_to_numpy(model(pixels, training=False))


def convolutional(classes=4, pooling=None, nested=False, activation="linear"):
    keras.utils.set_random_seed(3)
    body = [
        layers.Rescaling(1 / 255),
        layers.Conv2D(6, 3, strides=4, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
    ]
    tail = [pooling or layers.GlobalAveragePooling2D(), layers.Dropout(0.5)]
    head = layers.Dense(classes, bias_initializer="uniform", activation=activation)
    if nested:
        return keras.Sequential([keras.Input((32, 32, 3)), keras.Sequential(body), keras.Sequential(tail), head])
    return keras.Sequential([keras.Input((32, 32, 3)), *body, *tail, head])


def transformer(class_token=True, side=32, patch=8, width=8):
    keras.utils.set_random_seed(5)
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(width, patch, strides=patch)(layers.Rescaling(1 / 255)(inputs))
    x = layers.Reshape((-1, width))(x)
    if class_token:
        first = layers.Dense(width)(layers.GlobalAveragePooling1D(keepdims=True)(x))
        x = layers.Concatenate(axis=1)([first, x])
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(normal, normal)])
        x = layers.Add()([x, layers.Dense(width)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))])
    x = layers.LayerNormalization()(x)
    if class_token:
        x = layers.Flatten()(layers.Cropping1D((0, x.shape[1] - 1))(x))
    else:
        x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("nested", [False, True])
def test_cam_adds_up_to_the_score_minus_the_bias_and_the_other_methods_agree_after_an_average(nested):
    model, pixels = convolutional(nested=nested), images()
    classes = np.array([0, 3, 1])
    maps = activation_maps(model, pixels, classes)
    assert maps.shape == (3, 4, 4) and maps.dtype == "float32"
    expected = scores(model, pixels)[np.arange(3), classes] - ops.convert_to_numpy(model.layers[-1].bias)[classes]
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), expected, atol=1e-4)
    for method in ("cam", "grad_cam", "gradient"):
        np.testing.assert_allclose(activation_maps(model, pixels, classes, method=method), maps, atol=1e-5)


def test_maps_by_litert_are_the_same():
    model, pixels, classes = convolutional(), images(), np.array([0, 3, 1])
    quick = quick_activation_maps(model, pixels, classes)
    np.testing.assert_allclose(quick, activation_maps(model, pixels, classes), atol=1e-5)
    other = convolutional(pooling=layers.GlobalMaxPooling2D())  # has no exact map: Keras computes it
    np.testing.assert_allclose(quick_activation_maps(other, pixels, classes), activation_maps(other, pixels, classes))


@pytest.mark.parametrize("pooling", [layers.Flatten(), layers.GlobalMaxPooling2D()], ids=["flatten", "max"])
def test_gradient_maps_add_up_to_the_score_wherever_the_head_is_linear_in_the_features(pooling):
    model, pixels = convolutional(pooling=pooling), images()
    maps = activation_maps(model, pixels, 2)
    bias = float(ops.convert_to_numpy(model.layers[-1].bias)[2])
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), scores(model, pixels)[:, 2] - bias, atol=1e-4)
    with pytest.raises(InputError, match="method='cam'"):
        activation_maps(model, pixels, 2, method="cam")


def test_the_predicted_class_is_explained_by_default_also_below_a_softmax():
    model, pixels = convolutional(activation="softmax"), images(5)
    predicted = scores(model, pixels).argmax(axis=1)
    np.testing.assert_allclose(
        activation_maps(model, pixels, batch_size=2), activation_maps(model, pixels, predicted), atol=1e-6
    )


def test_one_unit_speaks_for_class_1_and_against_class_0():
    model, pixels = convolutional(classes=1, activation="sigmoid"), images()
    np.testing.assert_allclose(activation_maps(model, pixels, 0), -activation_maps(model, pixels, 1))
    probable = (scores(model, pixels)[:, 0] > 0.5).astype(int)
    np.testing.assert_allclose(activation_maps(model, pixels), activation_maps(model, pixels, probable))


def test_the_map_is_bright_where_the_evidence_is():
    inputs = keras.Input((32, 32, 3))
    x = layers.AveragePooling2D(8)(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.GlobalAveragePooling2D()(x)))
    model.layers[-1].set_weights([np.array([[1.0, 0], [0, 0], [0, 1]])])  # red is class 0, blue is class 1
    pixels = np.zeros((1, 32, 32, 3), "uint8")
    pixels[0, 8:16, 24:, 0], pixels[0, 24:, :8, 2] = 255, 255
    for number, place in enumerate([(1, 3), (3, 0)]):
        (one,) = activation_maps(model, pixels, number)
        expected = np.zeros((4, 4))
        expected[place] = 1 / 16
        np.testing.assert_allclose(one, expected, atol=1e-6)


@pytest.mark.one_backend
@pytest.mark.parametrize("class_token", [True, False])
def test_maps_of_transformers_are_the_derivative_by_the_strength_of_each_patch(class_token):
    model, pixels = transformer(class_token), images(2)
    maps = activation_maps(model, pixels, 1, method="gradient")
    assert maps.shape == (2, 4, 4) and np.abs(maps).min() > 0
    from tlkeras.evaluation.activation_maps import _Explained

    explained = _Explained(model)
    explained.maps(pixels, np.array([1, 1]), "gradient")  # settles where the class token has not read the patches yet
    values = ops.convert_to_numpy(explained.trunk(pixels))
    for patch in (0, 5, 15):
        change = np.zeros_like(values)
        change[:, patch + class_token] = values[:, patch + class_token]
        up, down = (
            ops.convert_to_numpy(explained.rest(values + sign * 0.01 * change)) @ explained.kernel[:, 1]
            for sign in (1, -1)
        )
        np.testing.assert_allclose(maps.reshape(2, -1)[:, patch], (up - down) / 0.02, rtol=0.02, atol=1e-4)


def test_gradients_are_zero_where_nothing_depends_on_the_argument():
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(gradient(lambda x: x * x * 3, x)), 6)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient(lambda x: ops.ones((2,)), x)), 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"classes": 4}, "between 0 and 3"),
        ({"classes": [0, 1]}, r"one integer per image \(3\)"),
        ({"classes": "cat"}, "be an integer"),
        ({"method": "lime"}, "method='lime'"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments, text):
    with pytest.raises(InputError, match=text):
        activation_maps(convolutional(), images(), **arguments)


def test_a_model_without_places_or_without_a_head_is_refused():
    with pytest.raises(InputError, match="no recognizable head"):
        activation_maps(keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten()]), images(1, 8))
    inputs = keras.Input((3,))
    with pytest.raises(InputError, match="no spatial features"):
        activation_maps(keras.Model(inputs, layers.Dense(2)(inputs)), images(1, 8))
    assert activation_maps(convolutional(), np.zeros((0, 32, 32, 3), "uint8")).shape == (0, 4, 4)


def test_files_are_resized_to_the_model():
    path = "data/clipart10/bug/bee.jpg"
    expected = activation_maps(convolutional(), tlkeras.read_images([path], 32), 0)
    np.testing.assert_array_equal(activation_maps(convolutional(), [path], 0), expected)


def test_the_overlay_keeps_the_colors_of_what_counts_and_darkens_the_rest():
    image, places = np.full((40, 60, 3), 200, "uint8"), np.array([[1.0, 0], [-5, 0]])
    drawn = np.asarray(activation_overlay(image, places))
    assert drawn.shape == (40, 60, 3)
    assert drawn[0, 0, 0] == 200 and drawn[-1].max() < 50  # bicubic interpolation rings a little
    assert activation_overlay(image, np.zeros((2, 2)), image_size=32).size == (32, 32)
    with pytest.raises(InputError, match="activation_map"):
        activation_overlay(image, np.zeros(4))
