"""A classifier is one flat model from raw pixels to probabilities, whatever it was asked for."""

import keras
import numpy as np
import pytest

import tlkeras

pytestmark = pytest.mark.backends

SMALL = {"weights": None, "image_size": 32}


def answer(model, pixels):
    """What `predict` gives, without the time it takes to be compiled."""
    return keras.ops.convert_to_numpy(model(pixels, training=False))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")


@pytest.mark.parametrize(
    ("task", "classes", "units", "sums_to_one"),
    [
        ("multiclass", 3, 3, True),
        ("binary", ["cat", "dog"], 1, False),
        ("multilabel", 4, 4, False),
    ],
)
def test_head_suits_the_task(pixels, task, classes, units, sums_to_one):
    model = tlkeras.image_classifier(classes=classes, task=task, **SMALL)
    answers = answer(model, pixels)
    assert answers.shape == (3, units)
    assert ((answers >= 0) & (answers <= 1)).all()
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-5) == sums_to_one


@pytest.mark.one_backend
def test_model_is_flat_and_keeps_the_backbones_layers():
    with keras.StatelessScope(initialize_variables=False):
        model = tlkeras.image_classifier(classes=3, augmentation=keras.layers.RandomFlip(), **SMALL)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert {"stem_conv", "block7a_dwconv", "avg_pool", "head_dropout", "predictions"} <= {
        layer.name for layer in model.layers
    }


@pytest.mark.one_backend
def test_augmentation_and_dropout_act_in_training_only(pixels):
    augmentation = [keras.layers.RandomFlip(), keras.layers.RandomRotation(0.5)]
    model = tlkeras.image_classifier(classes=3, augmentation=augmentation, dropout=0.5, **SMALL)
    np.testing.assert_array_equal(answer(model, pixels), answer(model, pixels))
    once, twice = (keras.ops.convert_to_numpy(model(pixels.astype("float32"), training=True)) for _ in range(2))
    assert not np.allclose(once, twice)


@pytest.mark.one_backend
@pytest.mark.parametrize(("pooling", "width"), [("avg", 1280), ("max", 1280), ("concat", 2560)])
def test_pooling_sets_the_width_of_the_head(pooling, width):
    with keras.StatelessScope(initialize_variables=False):
        model = tlkeras.image_classifier(classes=3, pooling=pooling, **SMALL)
    assert model.layers[-1].kernel.shape == (width, 3)


def test_gray_images_and_other_sizes_are_taken(pixels):
    policy = tlkeras.AugmentationPolicy(why={}, horizontal_flip=True, color=0.3, gray=0.1)
    augmentation = tlkeras.augmentation(policy)
    model = tlkeras.image_classifier(classes=3, weights=None, image_size=32, channels=1, augmentation=augmentation)
    assert answer(model, pixels[..., :1]).shape == (3, 3)
    model = tlkeras.image_classifier(classes=3, weights=None, image_size=(40, 72))
    assert (model.input_shape, model.output_shape) == ((None, 40, 72, 3), (None, 3))


@pytest.mark.one_backend
def test_probabilities_stay_float32_under_mixed_precision(pixels):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tlkeras.image_classifier(classes=3, **SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.dtype == "float32"
    assert np.allclose(answer(model, pixels).sum(axis=1), 1, atol=1e-5)


@pytest.mark.one_backend
def test_learns(pixels):
    model = tlkeras.image_classifier(classes=3, dropout=0, image_size=32)
    tlkeras.freeze(model)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    history = model.fit(pixels, np.arange(3), epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.one_backend
@pytest.mark.slow
def test_a_classifier_augments_in_fit_only_and_its_file_too_where_tlkeras_is_not_imported(pixels, tmp_path, children):
    policy = tlkeras.AugmentationPolicy(why={}, small_rotation=90, crop=0.5, light=0.5)
    model = tlkeras.image_classifier(classes=3, augmentation=tlkeras.augmentation(policy), **SMALL)
    # A random network answers all images alike; a large head tells them apart.
    model.layers[-1].kernel.assign(100 * keras.random.normal(model.layers[-1].kernel.shape, seed=0))
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    expected = answer(model, pixels)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(pixels)), expected, atol=1e-6)
    for weight, value in zip(model.weights, before, strict=True):  # moving statistics, states of random numbers
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "pixels.npy", pixels)
    script = """if True:
        import sys, keras, numpy
        model = keras.saving.load_model(sys.argv[1] + "/model.keras")
        pixels = numpy.load(sys.argv[1] + "/pixels.npy")
        rotation = next(layer for layer in model.layers if isinstance(layer, keras.layers.RandomRotation))
        numpy.save(sys.argv[1] + "/answers.npy", keras.ops.convert_to_numpy(model(pixels)))
        # The rest is shown on the first layers alone, which need no minute to compile.
        first = keras.Sequential([keras.Model(model.input, rotation.output), keras.layers.Conv2D(1, 32)])
        first.compile("sgd", "mse")
        seen = []
        rotate = rotation.transform_images

        def spy(images, transformation, training=True):
            seen.append(training)
            return rotate(images, transformation, training=training)

        rotation.transform_images = spy
        first.evaluate(pixels, numpy.zeros((3, 1, 1, 1)), verbose=0)
        assert seen and not any(seen), seen
        first.fit(pixels, numpy.zeros((3, 1, 1, 1)), verbose=0)
        assert seen[-1] is True, seen
        assert "tlkeras" not in sys.modules
    """
    children.run(script, tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), expected, atol=1e-6)


def test_replaced_head_keeps_the_trunk(pixels):
    model = tlkeras.image_classifier(classes=3, **SMALL)
    other = tlkeras.replace_head(model, classes=["a", "b", "c", "d", "e"])
    assert answer(other, pixels).shape == (3, 5)
    assert answer(model, pixels).shape == (3, 3)
    assert other.get_layer("stem_conv") is model.get_layer("stem_conv")


def test_replaced_binary_head_stays_binary():
    model = tlkeras.image_classifier(classes=2, task="binary", **SMALL)
    assert tlkeras.replace_head(model, classes=2).output_shape == (None, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 1}, "classes=1"),
        ({"classes": ["cat"]}, "cat"),
        ({"classes": 3, "task": "binary"}, "two names for a binary task.*classes=3"),
        ({"classes": 3, "task": "ranking"}, "ranking"),
        ({"classes": 3, "dropout": 1.0}, "dropout=1.0"),
        ({"classes": 3, "channels": 2}, "channels"),
        ({"classes": 3, "image_size": 8}, "at least 32"),
        ({"classes": 3, "backbone": "efficientnet_light0"}, "efficientnet_lite0"),
        ({"classes": 3, "pooling": "mean"}, "mean"),
        ({"classes": 3, "pooling": None}, "pooling=None"),
        ({"classes": 3, "dropout": "some"}, "some"),
        ({"classes": "cat"}, "cat"),
        ({"classes": 3.0}, "3.0"),
        ({"classes": ["cat", "dog", "cat"]}, "different name"),
        ({"classes": 3, "augmentation": "photo"}, "Keras layer.*'photo'"),
        ({"classes": 3, "augmentation": [keras.ops.flip]}, "Keras layer.*flip"),
        ({"classes": 3, "augmentation": keras.layers.RandomFlip(), "image_size": (32, 32, 3)}, "Received: image_size="),
        ({"classes": 3, "task": ["binary"]}, "'multiclass', 'binary' or"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_was_received(arguments, message):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.image_classifier(**(SMALL | arguments))


def test_a_binary_head_gives_way_to_a_softmax_for_more_classes(pixels):
    model = tlkeras.image_classifier(classes=2, task="binary", **SMALL)
    answers = tlkeras.replace_head(model, classes=np.int64(4)).predict(pixels, verbose=0)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_the_head_of_a_model_of_two_inputs_and_of_one_with_a_layer_of_that_name_is_replaced():
    image, place = keras.Input((4,)), keras.Input((2,))
    x = keras.layers.Concatenate()([keras.layers.Dense(3, name="predictions")(image), place])
    model = tlkeras.replace_head(keras.Model([image, place], keras.layers.Dense(5)(x)), 2)
    assert model.output_shape == (None, 2) and model([np.zeros((1, 4)), np.zeros((1, 2))]).shape == (1, 2)


def test_the_head_of_a_sequential_model_is_replaced():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(3, activation="softmax")])
    other = tlkeras.replace_head(model, classes=5)
    assert other.output_shape == (None, 5)
    assert other.layers[1] is model.layers[0]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tlkeras.backbone("efficientnet_lite0", **SMALL), "Dense"),
        (Subclassed, "functional or Sequential"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "built"),
        (lambda: "mobilenet_v2", "mobilenet_v2"),
    ],
)
def test_replace_head_refuses_a_model_without_a_head(make, message):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.replace_head(make(), classes=3)
