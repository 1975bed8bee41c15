"""A plain call `model(x)` of what tlkeras makes infers, as `predict` does, whatever preprocessing layers it holds."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import tlkeras
from tlkeras.models.graph import infer_by_default


def statistics_after(*preprocessing):
    """A tiny network whose BatchNorm answers otherwise in training."""
    top = [layers.Conv2D(3, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return [keras.Input((16, 16, 3)), *preprocessing, *top]


def functional(image, *stack):
    x = image
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


MODELS = {
    "functional": lambda: functional(*statistics_after(layers.Resizing(12, 12))),
    "sequential": lambda: keras.Sequential(statistics_after(layers.CenterCrop(12, 12), layers.RandomFlip())),
    "nested": lambda: functional(*statistics_after(keras.Sequential([layers.Resizing(12, 12)]))),
    "pipeline": lambda: functional(*statistics_after(layers.Pipeline([layers.RandomRotation(0.5)]))),
}


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (6, 16, 16, 3)).astype("float32")


@pytest.fixture(
    params=[
        "functional",
        *(pytest.param(name, marks=pytest.mark.one_backend) for name in MODELS if name != "functional"),
    ]
)
def model(request, images):
    model = MODELS[request.param]()
    trained = keras.ops.convert_to_numpy(model(images))  # moves the statistics, so the two modes differ
    assert not np.allclose(trained, model.predict_on_batch(images), atol=0.1), "Keras has changed its default"
    return model


def plain_call(model, images):
    """What `model(x)` answers, and whether it left all weights as they were."""
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    answer = keras.ops.convert_to_numpy(model(images))
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)
    return answer


@pytest.mark.backends
def test_a_plain_call_infers_and_training_trains(model, images, tmp_path):
    inferring = infer_by_default(model)
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(plain_call(inferring, images), expected, atol=1e-5)
    assert not np.allclose(keras.ops.convert_to_numpy(inferring(images, training=True)), expected, atol=0.1)
    expected = model.predict_on_batch(images)
    inferring.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        plain_call(keras.saving.load_model(tmp_path / "model.keras"), images), expected, atol=1e-5
    )
    assert infer_by_default(inferring) is inferring
    model.save(tmp_path / "former.keras")  # whose graph is still whole
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "former.keras").predict_on_batch(images), expected, atol=1e-5
    )


@pytest.mark.backends
def test_what_tlkeras_makes_of_a_model_infers_in_a_plain_call(model, images):
    made = [tlkeras.replace_head(model, classes=3), tlkeras.FeatureExtractor(model).build_network()]
    pipeline = make_pipeline(tlkeras.FeatureExtractor(model, cache=False), LogisticRegression())
    made.append(tlkeras.fold(pipeline.fit(images, [0, 1] * 3)))
    for one in made:
        np.testing.assert_allclose(plain_call(one, images), one.predict_on_batch(images), atol=1e-5)


@pytest.mark.slow
def test_a_backbone_on_resized_images_is_exported_as_it_predicts(images, tmp_path):
    tf = pytest.importorskip("tensorflow")
    image = keras.Input((16, 16, 3))
    model = tlkeras.backbone(
        "mobilenet_v3_small", weights=None, pooling="avg", input_tensor=layers.Resizing(32, 32)(image)
    )
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(plain_call(model, images), expected, atol=1e-5)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(images), expected, atol=1e-5)
