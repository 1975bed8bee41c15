"""Features come out as the network gives them, whatever form the images come in."""

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import tlkeras

pytestmark = pytest.mark.backends


@pytest.fixture(scope="module")
def extractor():
    return tlkeras.FeatureExtractor(image_size=(64, 64), batch_size=4)


@pytest.fixture(scope="module")
def paths(clipart10):
    return sorted(map(str, (clipart10 / "boat").glob("*.jpg")))[:6]


def test_features_are_those_of_the_backbone(extractor, paths):
    pixels = tlkeras.read_images(paths, (64, 64))
    network = tlkeras.backbone("efficientnet_lite0", input_shape=(64, 64, 3), pooling="avg")
    expected = network.predict(pixels, verbose=0)
    found = extractor.transform(paths)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_paths_arrays_and_splits_give_the_same_features(extractor, paths):
    from_paths = extractor.transform(paths)
    pixels = tlkeras.read_images(paths, (64, 64))
    np.testing.assert_allclose(extractor.transform(pixels), from_paths, atol=1e-4)
    np.testing.assert_allclose(extractor.transform(pixels.astype("float32")), from_paths, atol=1e-4)
    np.testing.assert_allclose(extractor.transform(np.array(paths)), from_paths, atol=1e-4)


def test_a_last_batch_of_another_size_changes_nothing(extractor, paths):
    one_by_one = np.concatenate([extractor.transform([path]) for path in paths])
    np.testing.assert_allclose(extractor.transform(paths), one_by_one, atol=1e-4)


def test_images_of_another_size_are_resized(extractor, paths):
    large = np.stack([tlkeras.read_image(path, (128, 128)) for path in paths])
    small = tlkeras.read_images(paths, (64, 64))
    both = extractor.transform(large), extractor.transform(small)
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.9


def test_the_callers_array_stays_as_it_was(extractor):
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    before = images.copy()
    extractor.transform(images)
    np.testing.assert_array_equal(images, before)


def test_works_in_a_pipeline_and_when_cloned(extractor, paths):
    labels = [0, 0, 0, 1, 1, 1]
    pipeline = make_pipeline(clone(extractor), LogisticRegression())
    assert pipeline.fit(paths, labels).predict(paths).shape == (6,)


def test_feature_names_count_the_features(extractor, paths):
    names = extractor.get_feature_names_out()
    assert len(names) == extractor.transform(paths[:1]).shape[1]
    assert names[3] == "efficientnet_lite0_3"


def test_a_keras_model_serves_as_backbone():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    images = np.arange(2 * 8 * 8 * 3, dtype="float32").reshape(2, 8, 8, 3)
    np.testing.assert_allclose(tlkeras.FeatureExtractor(model).transform(images), images.reshape(2, -1))


@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 8)), np.zeros((2, 8, 8, 4)), "boat.jpg", [1, 2], np.zeros((2, 8, 8, 3), bool)]
)
def test_what_is_not_images_is_refused(extractor, images):
    with pytest.raises(tlkeras.InputError, match="Received"):
        extractor.transform(images)
