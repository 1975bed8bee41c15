"""The folded Keras model answers as the scikit-learn pipeline did."""

import keras
import numpy as np
import pytest
import sklearn
from packaging.version import Version
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA, IncrementalPCA, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import tlkeras

NAMES = np.array(["pear", "apple", "fig", "quince", "plum"])


@pytest.fixture(scope="module")
def extractor():
    """A network small enough to be folded often; the real one is folded once below."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(12, 3, strides=2, activation="relu", kernel_initializer="he_normal"),
            layers.Flatten(),
            layers.Dense(10, activation="elu", kernel_initializer="he_normal"),
        ]
    )
    return tlkeras.FeatureExtractor(network, cache=False, batch_size=1000)


@pytest.fixture(scope="module")
def images():
    """What the pipelines are fitted on, and 1,000 others that they and the folded models answer on."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (150, 8, 8, 3), dtype="uint8"), rng.integers(0, 256, (1000, 8, 8, 3), dtype="uint8")


def _fitted(extractor, images, classes, *steps):
    """The pipeline, fitted to labels that its features tell, but for some noise."""
    features = extractor.transform(images[0])
    scores = features @ np.random.default_rng(1).normal(size=(features.shape[1], classes))
    labels = NAMES[(scores - scores.mean(axis=0)).argmax(axis=1)]
    return make_pipeline(extractor, *steps).fit(images[0], labels)


def _folded_answers(pipeline, images):
    """Return what `predict` of the folded model gives, without the time it takes to be compiled."""
    return keras.ops.convert_to_numpy(tlkeras.fold(pipeline)(images, training=False))


def _assert_same_answers(pipeline, images):
    found = _folded_answers(pipeline, images)
    assert found.dtype == np.float32 and found.shape == (len(images), len(pipeline.classes_))
    if hasattr(pipeline, "predict_proba"):
        expected = pipeline.predict_proba(images)
    else:
        expected = pipeline.decision_function(images)
        expected = np.stack([-expected, expected], axis=1) if expected.ndim == 1 else expected
    assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    _assert_same_decisions(pipeline, found, expected, images)


def _assert_same_decisions(pipeline, found, expected, images):
    """But where two classes are as good as tied, which float32 may break otherwise."""
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    clear = first - second > 1e-5 * max(1, np.abs(expected).max())
    assert clear.mean() > 0.99
    decisions = pipeline.classes_[found.argmax(axis=1)]
    np.testing.assert_array_equal(decisions[clear], pipeline.predict(images)[clear])


TRANSFORMERS = {
    "nothing": [],
    "standard": [StandardScaler()],
    "standard, twice": [StandardScaler(with_mean=False), StandardScaler(with_std=False)],
    "minmax": [MinMaxScaler((-1, 2))],
    "maxabs": [MaxAbsScaler()],
    "robust": [RobustScaler()],
    "robust, no scaling": [RobustScaler(with_scaling=False)],
    "pca": [PCA(5)],
    "whitened pca": [StandardScaler(), PCA(5, whiten=True), StandardScaler()],
    "incremental pca": [IncrementalPCA(5, whiten=True)],
    "svd": [TruncatedSVD(4)],
    "selector": [SelectKBest(k=6)],
    "l2": [Normalizer()],
    "l1": [Normalizer("l1")],
    "max": [Normalizer("max")],
    "scaled, l2, scaled": [StandardScaler(), Normalizer(), MinMaxScaler()],
    "pca, l2, pca": [PCA(6), Normalizer(), PCA(4)],
    "passthrough": ["passthrough", StandardScaler(), None],
    "nested": [make_pipeline(RobustScaler(), make_pipeline(PCA(5), "passthrough"))],
}

CLASSIFIERS = {
    "logistic": LogisticRegression(),
    "logistic without intercept": LogisticRegression(fit_intercept=False),
    "one-vs-rest logistic": OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    "one-vs-rest svm": OneVsRestClassifier(LinearSVC()),
    "svm": LinearSVC(),
    "crammer-singer": LinearSVC(multi_class="crammer_singer"),
    "sigmoid ensemble": CalibratedClassifierCV(LinearSVC(), cv=3),
    "sigmoid": CalibratedClassifierCV(LinearSVC(), cv=3, ensemble=False),
    "temperature ensemble": CalibratedClassifierCV(LinearSVC(), cv=3, method="temperature"),
    "temperature": CalibratedClassifierCV(LinearSVC(), cv=3, method="temperature", ensemble=False),
    "calibrated pipeline": CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC()), cv=3),
    "calibrated logistic": CalibratedClassifierCV(LogisticRegression(), cv=3, ensemble=False),
    "ridge": RidgeClassifier(),
    "sgd hinge": SGDClassifier(random_state=0),
    "sgd logistic": SGDClassifier(loss="log_loss", alpha=0.1, random_state=0),
    "perceptron": Perceptron(random_state=0),
    "lda": LinearDiscriminantAnalysis(),
    "shrunken lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "one-vs-rest centroids": OneVsRestClassifier(NearestCentroid(priors="empirical")),
    "one-vs-rest centroids, equal priors": OneVsRestClassifier(NearestCentroid()),
    "search": GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}),
}


@pytest.mark.backends
@pytest.mark.parametrize("transformers", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_what_stands_before_the_classifier_is_folded(extractor, images, transformers):
    _assert_same_answers(_fitted(extractor, images, 3, *transformers, LogisticRegression()), images[1])


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_every_linear_classifier_is_folded(extractor, images, classifier, classes):
    if getattr(classifier, "method", None) == "temperature" and Version(sklearn.__version__) < Version("1.8"):
        pytest.skip("temperature scaling is new in scikit-learn 1.8")
    _assert_same_answers(_fitted(extractor, images, classes, StandardScaler(), classifier), images[1])


@pytest.mark.backends
def test_binary_logistic_regression_by_liblinear_is_folded(extractor, images):
    _assert_same_answers(_fitted(extractor, images, 2, LogisticRegression(solver="liblinear")), images[1])


@pytest.mark.backends
def test_a_nearest_centroid_with_equal_priors_is_folded_into_that_by_which_it_predicts(extractor, images):
    pipeline = _fitted(extractor, images, 4, StandardScaler(), NearestCentroid())
    features = pipeline[:-1].transform(images[1])
    distances = np.square(features[:, None] - pipeline[-1].centroids_).sum(axis=2)
    expected = np.square(features).sum(axis=1, keepdims=True) - distances
    found = _folded_answers(pipeline, images[1])
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    _assert_same_decisions(pipeline, found, expected, images[1])


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("shrink_threshold", [None, 0.5])
def test_a_nearest_centroid_gives_scores_whatever_its_priors(extractor, images, classes, shrink_threshold):
    classifier = NearestCentroid(shrink_threshold=shrink_threshold, priors="empirical")
    pipeline = _fitted(extractor, images, classes, StandardScaler(), classifier)
    answers = _folded_answers(pipeline, images[1])
    margins = answers[:, 1:] - answers[:, :1]
    decisions = pipeline.decision_function(images[1]).reshape(len(images[1]), -1)
    expected = decisions if classes == 2 else decisions[:, 1:] - decisions[:, :1]
    assert np.abs(margins - expected).max() <= 1e-5 * np.abs(answers).max()
    _assert_same_decisions(pipeline, answers, answers, images[1])


@pytest.mark.backends
def test_a_network_with_a_lambda_layer_is_folded(images):
    half = keras.layers.Lambda(lambda x: x * 0.5, output_shape=(8, 8, 3))
    network = keras.Sequential([keras.Input((8, 8, 3)), half, keras.layers.Flatten()])
    extractor = tlkeras.FeatureExtractor(network, cache=False, batch_size=1000)
    _assert_same_answers(_fitted(extractor, images, 3, LogisticRegression(C=1e-3)), images[1])


@pytest.mark.backends
def test_several_labels_at_once_are_folded(extractor, images):
    features = extractor.transform(images[0])
    labels = (features[:, :3] > np.median(features[:, :3], axis=0)).astype(int)
    pipeline = make_pipeline(extractor, StandardScaler(), OneVsRestClassifier(LogisticRegression()))
    pipeline.fit(images[0], labels)
    found = _folded_answers(pipeline, images[1])
    np.testing.assert_allclose(found, pipeline.predict_proba(images[1]), atol=1e-5)


@pytest.mark.backends
def test_a_search_over_the_whole_pipeline_is_folded(extractor, images):
    pipeline = _fitted(extractor, images, 3, StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 1.0]}, cv=2)
    search.fit(images[0], pipeline.predict(images[0]))
    _assert_same_answers(search, images[1])


@pytest.mark.slow
def test_the_real_backbone_folds_to_the_same_answers(images):
    images = images[0][:60]
    extractor = tlkeras.FeatureExtractor(image_size=(32, 32), engine="keras", cache=False)
    pipeline = make_pipeline(extractor, StandardScaler(), LogisticRegression()).fit(images, np.arange(len(images)) % 3)
    pixels = tlkeras.read_images(list(images), (32, 32))
    difference = tlkeras.fold(pipeline).predict(pixels, verbose=0) - pipeline.predict_proba(images)
    assert np.abs(difference).max() <= 1e-5


@pytest.mark.backends
def test_a_row_of_zeros_stays_what_it_is_when_normalized():
    features = keras.Sequential([keras.Input((1, 2, 3)), keras.layers.Flatten()])
    extractor = tlkeras.FeatureExtractor(features, cache=False)
    images = np.random.default_rng(0).integers(0, 9, (20, 1, 2, 3), dtype="uint8")
    images[0] = 0
    for norm in ("l1", "l2", "max"):
        pipeline = make_pipeline(extractor, Normalizer(norm), LogisticRegression()).fit(images, np.arange(20) % 2)
        found = _folded_answers(pipeline, images)
        np.testing.assert_allclose(found, pipeline.predict_proba(images), atol=1e-6)


@pytest.mark.backends
def test_the_folded_model_shares_no_weights_with_the_extractor(extractor, images):
    pipeline = _fitted(extractor, images, 2, LogisticRegression())
    before = pipeline[0].transform(images[0][:2])
    folded = tlkeras.fold(pipeline)
    folded.set_weights([np.zeros_like(weight) for weight in folded.get_weights()])
    np.testing.assert_array_equal(pipeline[0].transform(images[0][:2]), before)


@pytest.mark.slow
def test_the_folded_model_is_flat_and_opens_with_keras_alone(extractor, images, tmp_path, children):
    everything = [StandardScaler(), Normalizer(), PCA(5), Normalizer("l1"), CalibratedClassifierCV(LinearSVC(), cv=2)]
    folded = tlkeras.fold(_fitted(extractor, images, 3, *everything))
    assert not any(isinstance(layer, keras.Model) for layer in folded.layers)
    folded.save(tmp_path / "folded.keras")
    np.savez(tmp_path / "answers.npz", images=images[1][:20], answers=folded.predict(images[1][:20], verbose=0))
    script = """
import sys, keras, numpy as np
saved = np.load(sys.argv[1] + "/answers.npz")
answers = keras.saving.load_model(sys.argv[1] + "/folded.keras").predict(saved["images"], verbose=0)
np.testing.assert_allclose(answers, saved["answers"], atol=1e-6)
assert "tlkeras" not in sys.modules
"""
    children.run(script, tmp_path)


@pytest.mark.parametrize(
    "steps",
    [
        [SVC()],
        [SVC(kernel="linear")],
        [DecisionTreeClassifier()],
        [RandomForestClassifier(3)],
        [KNeighborsClassifier()],
        [NearestCentroid(metric="manhattan")],
        [SGDClassifier(loss="modified_huber")],
        [CalibratedClassifierCV(LinearSVC(), cv=2, method="isotonic")],
        [CalibratedClassifierCV(KNeighborsClassifier(), cv=2)],
        [OneVsRestClassifier(CalibratedClassifierCV(LinearSVC(), cv=2))],
        [FunctionTransformer(np.sqrt), LogisticRegression()],
        [PolynomialFeatures(2), LogisticRegression()],
        [KernelPCA(3, kernel="rbf"), LogisticRegression()],
        [MinMaxScaler(clip=True), LogisticRegression()],
        [CalibratedClassifierCV(make_pipeline(Normalizer(), LinearSVC()), cv=2)],
        [PCA(2)],
    ],
    ids=str,
)
def test_what_cannot_be_folded_is_refused_with_a_reason_and_a_way_to_keep_it(extractor, images, steps):
    pipeline = _fitted(extractor, images, 3, MinMaxScaler(), *steps)
    with pytest.raises(tlkeras.InputError, match=r"cannot be folded: .* Received: .*save_pipeline"):
        tlkeras.fold(pipeline)


def test_a_regressor_is_refused_as_what_it_is(extractor, images):
    pipeline = make_pipeline(extractor, Ridge()).fit(images[0], np.arange(150.0))
    with pytest.raises(tlkeras.InputError, match=r"but is a regressor.*Received: Ridge\(\)"):
        tlkeras.fold(pipeline)


def test_an_unfitted_pipeline_or_search_is_refused(extractor):
    pipeline = make_pipeline(extractor, LogisticRegression())
    for unfitted in (pipeline, GridSearchCV(pipeline, {"logisticregression__C": [1]})):
        with pytest.raises(NotFittedError):
            tlkeras.fold(unfitted)


@pytest.mark.parametrize("steps", [[StandardScaler(), LogisticRegression()], [tlkeras.FeatureExtractor()]], ids=len)
def test_what_is_no_pipeline_of_extractor_and_classifier_is_refused(steps):
    with pytest.raises(tlkeras.InputError, match="starts with a FeatureExtractor"):
        tlkeras.fold(Pipeline([(str(index), step) for index, step in enumerate(steps)]))
