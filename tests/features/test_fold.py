"""The folded Keras model answers as the scikit-learn pipeline did."""

import keras
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import tlkeras

pytestmark = pytest.mark.backends


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype="uint8")


def _extractor():
    """A network small enough to be folded often; the real one is folded once below."""
    return tlkeras.FeatureExtractor(
        keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(16, 5, strides=4, activation="relu"),
                keras.layers.Conv2D(64, 3, activation="relu"),
                keras.layers.GlobalAveragePooling2D(),
            ]
        )
    )


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(
    "scalers",
    [[], [StandardScaler()], [StandardScaler(with_mean=False), StandardScaler(with_std=False)]],
    ids=["plain", "scaled", "scaled twice"],
)
def test_probabilities_are_those_of_the_pipeline(images, classes, scalers):
    labels = np.arange(len(images)) % classes
    pipeline = make_pipeline(_extractor(), *scalers, LogisticRegression(max_iter=500)).fit(images, labels)
    folded = tlkeras.fold(pipeline)
    difference = folded.predict(images, verbose=0) - pipeline.predict_proba(images)
    assert np.abs(difference).max() <= 1e-5


def test_the_real_backbone_folds_to_the_same_answers(images):
    extractor = tlkeras.FeatureExtractor(image_size=(32, 32))
    pipeline = make_pipeline(extractor, StandardScaler(), LogisticRegression()).fit(images, np.arange(len(images)) % 3)
    difference = tlkeras.fold(pipeline).predict(images, verbose=0) - pipeline.predict_proba(images)
    assert np.abs(difference).max() <= 1e-5


def test_columns_follow_the_classifiers_classes(images):
    names = np.array(["pear", "apple", "fig"])[np.arange(len(images)) % 3]
    pipeline = make_pipeline(_extractor(), StandardScaler(), LogisticRegression()).fit(images, names)
    best = tlkeras.fold(pipeline).predict(images, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(pipeline.classes_[best], pipeline.predict(images))


def test_the_folded_model_shares_no_weights_with_the_extractor(images):
    pipeline = make_pipeline(_extractor(), LogisticRegression()).fit(images, np.arange(len(images)) % 2)
    before = pipeline[0].transform(images[:2])
    folded = tlkeras.fold(pipeline)
    folded.set_weights([np.zeros_like(weight) for weight in folded.get_weights()])
    np.testing.assert_array_equal(pipeline[0].transform(images[:2]), before)


def test_the_folded_model_is_flat_and_reloads(images, tmp_path):
    pipeline = make_pipeline(_extractor(), LogisticRegression()).fit(images, np.arange(len(images)) % 2)
    folded = tlkeras.fold(pipeline)
    assert not any(isinstance(layer, keras.Model) for layer in folded.layers)
    folded.save(tmp_path / "folded.keras")
    again = keras.saving.load_model(tmp_path / "folded.keras")
    np.testing.assert_allclose(again.predict(images, verbose=0), folded.predict(images, verbose=0), atol=1e-6)


@pytest.mark.parametrize("steps", [[PCA(3), LogisticRegression()], [SVC()]])
def test_what_cannot_be_folded_is_refused_with_a_reason(images, steps):
    labels = np.arange(len(images)) % 3
    with pytest.raises(tlkeras.InputError, match="Received"):
        tlkeras.fold(make_pipeline(_extractor(), *steps).fit(images, labels))


def test_an_unfitted_pipeline_is_refused():
    with pytest.raises(NotFittedError):
        tlkeras.fold(make_pipeline(_extractor(), LogisticRegression()))


def test_what_is_no_pipeline_of_an_extractor_is_refused():
    with pytest.raises(tlkeras.InputError, match="starts with a FeatureExtractor"):
        tlkeras.fold(make_pipeline(StandardScaler(), LogisticRegression()))
