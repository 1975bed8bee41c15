"""A pipeline that cannot be folded comes back from its folder with the same answers."""

import json
import sys

import keras
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import tlkeras

pytest.importorskip("skops")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype="uint8")


@pytest.fixture(scope="module")
def extractor():
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3), keras.layers.Flatten()]
    )
    return tlkeras.FeatureExtractor(network, resize="pad", normalize=True, cache=False, batch_size=20)


def _fitted(extractor, images, *steps):
    return make_pipeline(extractor, *steps).fit(images, np.array(["fig", "pear", "plum"])[np.arange(len(images)) % 3])


@pytest.mark.parametrize(
    ("classifier", "trusted"),
    [
        (SVC(), None),
        (KNeighborsClassifier(), None),
        (DecisionTreeClassifier(random_state=0), ["sklearn.tree._tree.Tree"]),
    ],
    ids=str,
)
def test_answers_are_the_same_after_loading(extractor, images, classifier, trusted, tmp_path):
    pipeline = _fitted(extractor, images, StandardScaler(), classifier)
    tlkeras.save_pipeline(pipeline, tmp_path / "saved")
    again = tlkeras.load_pipeline(tmp_path / "saved", trusted)
    np.testing.assert_allclose(again[:-1].transform(images), pipeline[:-1].transform(images), atol=1e-5)
    np.testing.assert_array_equal(again.predict(images), pipeline.predict(images))
    assert again[0].resize == "pad" and again[0].batch_size == 20


@pytest.mark.parametrize("size", [(12, 16), np.array([12, 16])], ids=["tuple", "array"])
def test_the_size_of_images_for_a_network_that_takes_any_comes_back(images, clipart10, size, tmp_path):
    network = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    )
    extractor = tlkeras.FeatureExtractor(network, image_size=size, engine="keras", cache=False)
    paths = sorted((clipart10 / "bug").iterdir())[:9]
    pipeline = _fitted(extractor, paths, KNeighborsClassifier())
    tlkeras.save_pipeline(pipeline, tmp_path / "saved")
    again = tlkeras.load_pipeline(tmp_path / "saved")
    np.testing.assert_array_equal(again[:-1].transform(paths), pipeline[:-1].transform(paths))


def test_of_a_search_the_best_pipeline_is_saved(extractor, images, tmp_path):
    pipeline = make_pipeline(extractor, KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"kneighborsclassifier__n_neighbors": [1, 5]}, cv=2)
    search.fit(images, np.arange(len(images)) % 3)
    tlkeras.save_pipeline(search, tmp_path / "saved")
    np.testing.assert_array_equal(tlkeras.load_pipeline(tmp_path / "saved").predict(images), search.predict(images))


def test_code_in_the_file_is_not_run_unless_trusted(extractor, images, tmp_path):
    pipeline = _fitted(extractor, images, FunctionTransformer(_twice), KNeighborsClassifier())
    tlkeras.save_pipeline(pipeline, tmp_path / "saved")
    with pytest.raises(tlkeras.InputError, match="_twice"):
        tlkeras.load_pipeline(tmp_path / "saved")


def _twice(features):
    return 2 * features


def test_what_is_there_is_not_replaced(extractor, images, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(tlkeras.InputError, match="contains other files"):
        tlkeras.save_pipeline(_fitted(extractor, images, KNeighborsClassifier()), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_incomplete_folder_is_refused(extractor, images, tmp_path):
    tlkeras.save_pipeline(_fitted(extractor, images, KNeighborsClassifier()), tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "extractor.json").read_text())["resize"] == "pad"
    (tmp_path / "saved" / "estimator.skops").unlink()
    with pytest.raises(tlkeras.InputError, match=r"lacks estimator\.skops"):
        tlkeras.load_pipeline(tmp_path / "saved")


def test_without_skops_its_installation_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    for call in (lambda: tlkeras.save_pipeline(None, tmp_path), lambda: tlkeras.load_pipeline(tmp_path)):
        with pytest.raises(tlkeras.InputError, match=r"pip install 'tlkeras\[skops\]'"):
            call()


@pytest.mark.parametrize("name", ["estimator.skops", "extractor.json", "network.keras"])
def test_a_damaged_folder_is_refused(extractor, images, tmp_path, name):
    tlkeras.save_pipeline(_fitted(extractor, images, KNeighborsClassifier()), tmp_path / "it")
    (tmp_path / "it" / name).write_text("damaged")
    with pytest.raises(tlkeras.InputError, match="cannot be read"):
        tlkeras.load_pipeline(tmp_path / "it")


def test_what_is_no_fitted_pipeline_of_an_extractor_is_refused(extractor, tmp_path):
    with pytest.raises(tlkeras.InputError, match="starts with a FeatureExtractor"):
        tlkeras.save_pipeline(make_pipeline(StandardScaler(), LogisticRegression()), tmp_path / "saved")
    with pytest.raises(tlkeras.InputError, match="has steps after it") as refused:
        tlkeras.save_pipeline(make_pipeline(extractor), tmp_path / "saved")
    assert "\n" not in str(refused.value)
    with pytest.raises(NotFittedError):
        tlkeras.save_pipeline(make_pipeline(extractor, LogisticRegression()), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
